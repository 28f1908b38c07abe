"""How often a training step waits for the device: what the CPU can know, it does not ask for."""

from unittest.mock import patch

import pytest
import torch

from tests.helpers.oracles import make_brain, make_items
from tests.helpers.synchronizations import Synchronizations
from vmsp_brain.data.batches import MultilingualBatch
from vmsp_brain.names import text_key

MOST = 17
"""Of any step: losses, whether they are finite, the Gramian, products and the norm are each read at
once; the levels' weights are on the CPU; the rest is self-supervision."""
OF_SCALER = 3
"""fp16 besides."""
LANGUAGES = ["en", *(f"x{letter}" for letter in "abcdefghi")]


def waits(languages: int, ssl: str = "wav2vec2", fp16: bool = False, translated: bool = True):
    """Those of a step that shows nothing, with so many languages, all but one translated."""
    spoken = LANGUAGES[:languages]
    brain = make_brain("UAS", spoken, [f"{language}-en" for language in spoken[1:]], ssl=ssl)
    if fp16:
        brain.scaler = torch.GradScaler("cpu", init_scale=4.0)
    items = make_items(brain, 0, 1) + make_items(brain, 1, 2)
    if not translated:
        for name in [name for name in brain.modules.objectives if name.startswith("st/")]:
            _, _, item = next(key for key in items if name in key[2])
            item |= {name: item[name][:0], text_key(name): ""}
    brain.step, brain.optimizer_step = 2, 1
    found = Synchronizations()
    brain.hierarchy.update_lambdas = found.uncounted(brain.hierarchy.update_lambdas)
    with found, patch("vmsp_brain.method.rows.known_at_once", return_value=False):
        brain.fit_batch(MultilingualBatch(items))
    return found.counts


@pytest.mark.parametrize("fp16", [False, True], ids=["fp32", "fp16"])
def test_a_step_waits_for_the_device_as_often_for_ten_languages_as_for_two(fp16):
    """Not once for each of its 40 losses."""
    two, ten = waits(2, fp16=fp16), waits(10, fp16=fp16)
    assert two == ten
    assert ten.total() <= MOST + OF_SCALER * fp16, ten


@pytest.mark.parametrize("ssl", ["cpc", "best_rq"])
def test_no_kind_of_self_supervision_and_no_missing_translation_waits_more_often(ssl):
    counts = waits(3, ssl, translated=False)
    assert counts.total() <= MOST, counts
