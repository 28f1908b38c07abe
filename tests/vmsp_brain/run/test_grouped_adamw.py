"""Rates by layer, decay by kind, and one parameter group for all that look at the optimizer."""

import copy

import pytest
import torch

from tests.helpers.small_models import noise, small_encoder_of
from vmsp_brain.run.grouped_adamw import GroupedAdamW


def stepped(optimizer: torch.optim.Optimizer, encoder) -> None:
    torch.manual_seed(0)
    for _ in range(3):
        (encoder(*noise(0.5)).data * torch.randn(16)).sum().backward()
        torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 0.1)
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("kind", ["conformer", "wav2vec2"])
def test_a_step_is_that_of_a_parameter_group_for_each_layer(kind):
    encoder = small_encoder_of(kind)
    twin = copy.deepcopy(encoder)
    layers = list(twin.layers().values())
    groups = [
        {"params": list(layer.parameters()), "lr": 0.01 * 0.5 ** (len(layers) - 1 - number)}
        for number, layer in enumerate(layers)
    ]
    plain = torch.optim.AdamW(groups, weight_decay=0.1)
    layerwise = GroupedAdamW(encoder.parameters(), encoder, 0.5, lr=0.01, weight_decay=0.1)
    # One group for the clipping of all
    plain_all = torch.optim.AdamW(twin.parameters())
    step, plain.step = plain.step, lambda: None
    plain_all.step, plain_all.zero_grad = step, plain.zero_grad
    stepped(plain_all, twin)
    stepped(layerwise, encoder)
    for expected, found in zip(twin.parameters(), encoder.parameters(), strict=True):
        torch.testing.assert_close(found, expected)


def test_rates_follow_the_schedule_and_the_layers():
    encoder = small_encoder_of("conformer")
    optimizer = GroupedAdamW(encoder.parameters(), encoder, 0.9, lr=1.0)
    for group in optimizer.param_groups:  # as SpeechBrain's schedulers do
        group["lr"] = 0.1
    assert list(optimizer.rates()) == ["front_end", "block_01", "block_02", "norm"]
    assert list(optimizer.rates().values()) == pytest.approx([0.0729, 0.081, 0.09, 0.1])


def test_frozen_layers_are_left_out_and_count_for_the_depth():
    encoder = small_encoder_of("wav2vec2", frozen_blocks=1)
    trained = [p for p in encoder.parameters() if p.requires_grad]
    optimizer = GroupedAdamW(trained, encoder, 0.5, lr=1.0)
    assert optimizer.rates() == {"block_02": 0.5, "norm": 1.0}
    assert len(optimizer.param_groups) == 1


def test_state_is_saved_and_restored():
    encoder = small_encoder_of("conformer")
    optimizer = GroupedAdamW(encoder.parameters(), encoder, 0.5, lr=0.01)
    stepped(optimizer, encoder)
    twin = copy.deepcopy(encoder)
    other = GroupedAdamW(twin.parameters(), twin, 0.5, lr=0.01)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    stepped(optimizer, encoder)
    stepped(other, twin)
    for expected, found in zip(encoder.parameters(), twin.parameters(), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("decay", [0.0, -1.0, 1.1])
def test_impossible_decays_are_refused(decay):
    encoder = small_encoder_of("conformer")
    with pytest.raises(ValueError, match=rf"layer_decay: found {decay}"):
        GroupedAdamW(encoder.parameters(), encoder, decay)


@pytest.mark.parametrize("fused", [False, True])
def test_as_it_is_its_steps_are_adamws_to_the_bit(fused):
    encoder = small_encoder_of("conformer")
    twin = copy.deepcopy(encoder)
    options = {"lr": 0.01, "weight_decay": 0.1, "fused": fused}
    stepped(GroupedAdamW(encoder.parameters(), encoder, **options), encoder)
    stepped(torch.optim.AdamW(twin.parameters(), **options), twin)
    for expected, found in zip(twin.parameters(), encoder.parameters(), strict=True):
        assert torch.equal(found, expected)


def test_without_decay_of_norms_and_biases_all_else_shrinks():
    encoder = small_encoder_of("conformer")
    before = {name: value.detach().clone() for name, value in encoder.named_parameters()}
    optimizer = GroupedAdamW(
        encoder.parameters(), encoder, decay_norms_and_biases=False, lr=0.1, weight_decay=0.5
    )
    for parameter in encoder.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    norms = {
        f"{name}." for name, part in encoder.named_modules() if type(part).__name__ == "LayerNorm"
    }
    kept = {name for name in before if name.endswith("bias") or name.startswith(tuple(norms))}
    assert {name.partition(".")[0] for name in kept} == {"front_end", "conformer"}
    for name, value in encoder.named_parameters():
        expected = before[name] if name in kept else 0.95 * before[name]
        torch.testing.assert_close(value.detach(), expected, msg=name)
    assert kept != before.keys()
