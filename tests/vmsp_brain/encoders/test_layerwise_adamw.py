"""Each layer at its own rate, and one parameter group for all that look at the optimizer."""

import copy

import pytest
import torch

from tests.helpers.small_models import noise, small_encoder_of
from vmsp_brain.encoders.layerwise_adamw import LayerwiseAdamW


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
    layerwise = LayerwiseAdamW(encoder.parameters(), encoder, 0.5, lr=0.01, weight_decay=0.1)
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
    optimizer = LayerwiseAdamW(encoder.parameters(), encoder, 0.9, lr=1.0)
    for group in optimizer.param_groups:  # as SpeechBrain's schedulers do
        group["lr"] = 0.1
    assert list(optimizer.rates()) == ["front_end", "block_01", "block_02", "norm"]
    assert list(optimizer.rates().values()) == pytest.approx([0.0729, 0.081, 0.09, 0.1])


def test_frozen_layers_are_left_out_and_count_for_the_depth():
    encoder = small_encoder_of("wav2vec2", frozen_blocks=1)
    trained = [p for p in encoder.parameters() if p.requires_grad]
    optimizer = LayerwiseAdamW(trained, encoder, 0.5, lr=1.0)
    assert optimizer.rates() == {"block_02": 0.5, "norm": 1.0}
    assert len(optimizer.param_groups) == 1


def test_state_is_saved_and_restored():
    encoder = small_encoder_of("conformer")
    optimizer = LayerwiseAdamW(encoder.parameters(), encoder, 0.5, lr=0.01)
    stepped(optimizer, encoder)
    twin = copy.deepcopy(encoder)
    other = LayerwiseAdamW(twin.parameters(), twin, 0.5, lr=0.01)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    stepped(optimizer, encoder)
    stepped(other, twin)
    for expected, found in zip(encoder.parameters(), twin.parameters(), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("decay", [0.0, -1.0, 1.1])
def test_impossible_decays_are_refused(decay):
    encoder = small_encoder_of("conformer")
    with pytest.raises(ValueError, match=rf"layer_decay: found {decay}"):
        LayerwiseAdamW(encoder.parameters(), encoder, decay)
