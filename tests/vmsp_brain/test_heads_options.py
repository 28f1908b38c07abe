"""The heads' options keep the step: gradients and λ are those of separate backward passes."""

import pytest
import torch
from speechbrain import Stage

from tests.helpers.oracles import (
    assert_close,
    lambdas_of,
    make_batch,
    make_brain,
    oracle_gradients,
    oracle_step,
    step_gradients,
)

LANGUAGES, PAIRS = ["en", "fr"], ["fr-en"]
HEADS = {
    "CTC on the translation": {"translation": {"ctc_weight": 0.3}},
}


@pytest.mark.parametrize("order", ["UAS", "USA"])
@pytest.mark.parametrize("heads", HEADS)
def test_gradients_and_lambda_are_those_of_separate_backward_passes(order, heads):
    brain = make_brain(order, LANGUAGES, PAIRS, heads=HEADS[heads])
    lambdas = lambdas_of(brain)
    for epoch, seeds in [(1, (1, 2)), (7, (3, 4))]:
        brain.on_stage_start(Stage.TRAIN, epoch)
        batch = make_batch(brain, *seeds)
        gradients = oracle_gradients(brain, batch)
        expected, lambdas = oracle_step(brain, [gradients], lambdas)
        assert_close(step_gradients(brain, batch), expected)
        for found, value in zip(lambdas_of(brain), lambdas, strict=True):
            torch.testing.assert_close(found, value, rtol=1e-5, atol=1e-7)
