"""The heads' options keep the step: gradients and λ are those of separate backward passes."""

from functools import partial

import pytest
import torch

from tests.helpers.oracles import (
    assert_close,
    assert_steps_are_the_oracles,
    lambdas_of,
    make_batch,
    make_brain,
    make_items,
    oracle_gradients,
    oracle_step,
    step_gradients,
)
from vmsp_brain.data.batches import MultilingualBatch
from vmsp_brain.method.layer_selection import LayerSelection
from vmsp_brain.method.step import GradientStep

LANGUAGES, PAIRS = ["en", "fr"], ["fr-en", "fr-de"]
HEADS = {
    "CTC on the translation": {"translation": {"ctc_weight": 0.3}},
    "inner CTC": {"recognition": {"inner_ctc_layers": ["block_01"]}},
    "inner CTC of both": {
        "recognition": {"inner_ctc_layers": ["block_02", "block_01"]},
        "translation": {"inner_ctc_layers": ["block_01"], "ctc_weight": 0.5},
    },
    "shared decoders": {"asr_decoder": "shared", "st_decoder": "shared"},
    "all": {
        "recognition": {"inner_ctc_layers": ["block_01"]},
        "translation": {"ctc_weight": 0.3},
        "asr_decoder": "shared",
        "st_decoder": "shared",
    },
}


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("order", ["UAS", "USA"])
def test_gradients_and_lambda_are_those_of_separate_backward_passes(order, heads):
    brain = make_brain(order, LANGUAGES, PAIRS, heads=HEADS[heads])
    assert_steps_are_the_oracles(brain)


@pytest.mark.parametrize("selected", [["block_02", "norm"], ["norm"], []])
def test_in_efficient_mode_inner_layers_may_be_below_the_boundary(selected):
    """Where the losses go on as one, and one of them enters on the way."""
    selection = LayerSelection(efficient=True)
    selection.selected = selected
    step = partial(GradientStep, selection=selection, measure_every=1000)
    brain = make_brain(
        "UAS", LANGUAGES, PAIRS, gradient_step=step, heads=HEADS["inner CTC of both"]
    )
    brain.optimizer_step = 1  # it does not measure
    batch = make_batch(brain)
    gradients = oracle_gradients(brain, batch)
    expected, _ = oracle_step(brain, [gradients], lambdas_of(brain), selected=selected)
    assert_close(step_gradients(brain, batch), expected)
    assert brain.gradient.plan.boundary == 4 - len(selected)


@pytest.mark.parametrize("encoder", ["wav2vec2", "whisper"])
def test_inner_layers_of_other_encoders_are_read_alike(encoder):
    options = {"gradient_checkpointing": True} if encoder == "wav2vec2" else {}
    heads = HEADS["inner CTC"]
    brain = make_brain("UAS", LANGUAGES, PAIRS, encoder, encoder_options=options, heads=heads)
    batch = make_batch(brain)
    gradients = oracle_gradients(brain, batch)
    expected, _ = oracle_step(brain, [gradients], lambdas_of(brain))
    assert_close(step_gradients(brain, batch), expected)


def test_a_loss_that_is_not_finite_leaves_a_shared_decoder_to_the_others():
    brain = make_brain("UAS", LANGUAGES, PAIRS, heads=HEADS["shared decoders"])
    batch = make_batch(brain)
    gradients = oracle_gradients(brain, batch)
    brain.nonfinite_count = 0  # as ``fit`` begins
    english = brain.modules.objectives["asr/en"]
    english.loss = lambda frames, part: frames.data.sum() * torch.nan
    found = step_gradients(brain, batch)
    own = [gradients[draw, "asr/fr"] for draw in (0, 1)]
    shared = [name for name in found if "asr/en.decoder" in name]  # as the first that has it
    assert shared
    for name in shared:
        torch.testing.assert_close(found[name], (own[0][name] + own[1][name]) / 2)


def test_an_optimizer_steps_a_shared_decoder_once():
    brain = make_brain("UAS", LANGUAGES, PAIRS, heads=HEADS["shared decoders"])
    optimizer = brain.optimizers_dict["heads"]
    parameters = [id(parameter) for parameter in optimizer.param_groups[0]["params"]]
    assert len(parameters) == len(set(parameters))
    trained = (p for p in brain.modules.objectives.parameters() if p.requires_grad)
    assert set(parameters) == {id(parameter) for parameter in trained}


class OtherViews(torch.nn.Module):
    """Drops the first frames of the second half of a batch."""

    def forward(self, filter_banks: torch.Tensor) -> torch.Tensor:
        kept = torch.ones_like(filter_banks)
        kept[len(kept) // 2 :, :12] = 0.0
        return filter_banks * kept


def test_consistency_of_two_views_keeps_the_step():
    heads = {"recognition": {"consistency_weight": 0.5, "inner_ctc_layers": ["block_01"]}}
    options = {"augment": OtherViews()}
    brain = make_brain("UAS", LANGUAGES, PAIRS, encoder_options=options, heads=heads)
    items = make_items(brain, 0, 1) + make_items(brain, 1, 2)
    batch = MultilingualBatch(items, twice=LANGUAGES)
    assert len(batch.draws[0]["fr"].id) == 2 * len(batch.draws[0]["ssl"].id)
    gradients = oracle_gradients(brain, batch)
    expected, _ = oracle_step(brain, [gradients], lambdas_of(brain))
    assert_close(step_gradients(brain, batch), expected)
    with pytest.raises(ValueError, match="the batch does not hold each twice"):
        brain.fit_batch(MultilingualBatch(items))
