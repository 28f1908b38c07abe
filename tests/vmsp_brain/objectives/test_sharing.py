"""A decoder for several languages: one set of parameters, and a first token for each language."""

from functools import partial

import pytest
import torch
from speechbrain.dataio.batch import PaddedBatch

from tests.helpers.small_models import small_objectives
from vmsp_brain.encoders import Frames
from vmsp_brain.names import text_key
from vmsp_brain.objectives import AttentionObjective, CTCAttentionObjective
from vmsp_brain.objectives.sharing import share_decoder

SIZES = {"vocab_size": 20, "d_model": 16, "d_ffn": 32}
FRAMES = Frames(
    torch.randn(2, 30, 16, generator=torch.Generator().manual_seed(1)), torch.tensor([30, 25])
)
TARGETS = [[5, 6, 6, 8], [10, 4]]


def batch_for(*names: str) -> PaddedBatch:
    items = [
        {k: v for name in names for k, v in ((name, torch.tensor(t)), (text_key(name), "text"))}
        for t in TARGETS
    ]
    return PaddedBatch(items)


def parameters_of(objectives) -> int:
    return sum(parameter.numel() for parameter in objectives.parameters())


def test_more_languages_add_a_vector_each():
    make = partial(small_objectives, pairs=[], asr_decoder="shared")
    two, three = parameters_of(make(["en", "fr"])), parameters_of(make(["en", "fr", "de"]))
    assert three - two == 16


def test_the_vector_is_of_the_written_language():
    objectives = small_objectives(["fr", "de"], ["fr-en", "de-en", "fr-de"], st_decoder="shared")
    vectors = {
        name: objectives[f"st/{name}"].embedding.language for name in ("fr-en", "de-en", "fr-de")
    }
    assert vectors["fr-en"] is vectors["de-en"]
    assert vectors["fr-de"] is not vectors["fr-en"]
    assert objectives["asr/fr"].decoder is not objectives["asr/de"].decoder, (
        "recognition is not shared"
    )


def test_a_shared_decoder_begins_as_a_decoder_alone():
    """With BOS for a start, until its languages' vectors have learned."""
    torch.manual_seed(0)
    alone = CTCAttentionObjective(name="asr/fr", source="fr", **SIZES)
    torch.manual_seed(0)
    first = CTCAttentionObjective(name="asr/fr", source="fr", **SIZES)
    share_decoder([first, CTCAttentionObjective(name="asr/de", source="de", **SIZES)])
    batch = batch_for("asr/fr")
    torch.testing.assert_close(first.loss(FRAMES, batch), alone.loss(FRAMES, batch))


@pytest.mark.parametrize("kind", [AttentionObjective, CTCAttentionObjective])
def test_the_first_token_tells_the_language(kind):
    """One decoder learns to write the same sounds in two ways."""
    torch.manual_seed(0)
    names = ("asr/fr", "asr/de")
    objectives = [kind(name=name, source=name[-2:], label_smoothing=0.0, **SIZES) for name in names]
    share_decoder(objectives)
    for each in objectives:
        each.ctc_weight_decode = 0.0  # CTC is not told
    other = [[t + 7 for t in target] for target in TARGETS]
    batches = [batch_for("asr/fr"), batch_for("asr/de")]
    batches[1]["asr/de"].data[:] = torch.where(
        batches[1]["asr/de"].data > 0, batches[1]["asr/de"].data + 7, 0
    )
    parameters = {id(p): p for each in objectives for p in each.parameters()}
    optimizer = torch.optim.Adam(parameters.values(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        sum(o.loss(FRAMES, b) for o, b in zip(objectives, batches, strict=True)).backward()
        optimizer.step()
    found = [each.eval().search(FRAMES, 2, max_decode_ratio=1.0) for each in objectives]
    assert found == [TARGETS, other]


def test_by_default_nothing_is_shared_or_drawn():
    states = []
    for options in ({}, {"asr_decoder": "separate", "st_decoder": "separate"}):
        torch.manual_seed(3)
        states.append(small_objectives(["en", "fr"], ["fr-en"], **options).state_dict())
    plain, separate = states
    assert plain.keys() == separate.keys()
    assert all(torch.equal(plain[name], separate[name]) for name in plain)
    assert not any("language" in name for name in plain)
