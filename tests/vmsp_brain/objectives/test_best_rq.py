"""The codes of BEST-RQ are those of the audio, at the encoder's frames."""

import math

import pytest
import torch
from speechbrain.dataio.batch import PaddedBatch

from tests.helpers.small_models import LATENT_SIZE, batch_of, small_encoder
from vmsp_brain.objectives import BestRQObjective
from vmsp_brain.objectives.masking import MaskedFrames


def objective(**overrides) -> BestRQObjective:
    arguments = {"samples_per_frame": 640, "n_mels": 40, "num_codes": 16, **overrides}
    return BestRQObjective(LATENT_SIZE, 16, **arguments)


def all_frames(*lengths: int) -> torch.Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)


def test_codes_do_not_depend_on_the_rest_of_the_batch():
    made = objective()
    together = made.codes(batch_of(1.0, 0.4), all_frames(26, 11))
    assert torch.equal(together[:26], made.codes(batch_of(1.0), all_frames(26)))


def test_codes_are_those_of_the_nearest_entries():
    made, batch = objective(), batch_of(1.0)
    filter_banks = made.normalize(made.features(batch.sig.data), torch.ones(1))[0]  # (101, 40)
    stacked = torch.cat([filter_banks, torch.zeros(3, 40)]).reshape(26, 160)
    projected = torch.nn.functional.normalize(stacked @ made.quantizer.P, dim=1)
    expected = torch.cdist(projected, made.quantizer.CB).argmin(1)
    assert torch.equal(made.codes(batch, all_frames(26)), expected)


@pytest.mark.parametrize("samples_per_frame", [160, 320, 640])
def test_codes_stand_where_the_sound_is(samples_per_frame):
    """A click at 0.5 s changes the codes there, and only there."""
    made = objective(samples_per_frame=samples_per_frame, num_codes=4096)
    made.normalize.forward = lambda data, lengths: (
        data
    )  # over the utterance a click is felt everywhere
    (silent,) = batch_of(1.0).sig.data.clone()
    clicked = silent.clone()
    clicked[8000:8020] += 1.0
    frames = 16_000 // samples_per_frame
    codes = [
        made.codes(PaddedBatch([{"sig": wav}]), all_frames(frames)) for wav in (silent, clicked)
    ]
    changed = (codes[0] != codes[1]).nonzero().flatten()
    assert len(changed) > 0
    assert (changed * samples_per_frame - 8000).abs().max() <= samples_per_frame + 400


def test_long_batches_are_quantized_in_pieces_alike():
    made, batch = objective(samples_per_frame=160), batch_of(4.0)
    codes = made.codes(batch, all_frames(400))
    halves = [torch.zeros(1, 400, dtype=torch.bool) for _ in range(2)]
    halves[0][:, :200], halves[1][:, 200:] = True, True
    assert torch.equal(codes, torch.cat([made.codes(batch, half) for half in halves]))


def test_loss_without_knowledge_is_that_of_chance():
    made, batch = objective(), batch_of(1.0)
    torch.nn.init.zeros_(made.output.weight)
    torch.nn.init.zeros_(made.output.bias)
    frames = MaskedFrames(torch.randn(26, 16), torch.randn(26, LATENT_SIZE), all_frames(26))
    assert made.loss(frames, batch).item() == pytest.approx(math.log(16), rel=1e-5)


def test_the_codebook_is_never_trained_and_is_saved():
    made = objective()
    assert {"quantizer.P", "quantizer.CB"} <= made.state_dict().keys()
    assert not {name for name, _ in made.named_parameters() if name.startswith("quantizer")}


@pytest.mark.parametrize("samples", [0, 100, 500])
def test_frames_that_are_no_multiple_of_10_ms_are_refused(samples):
    with pytest.raises(ValueError, match=rf"samples_per_frame: found {samples}.*160"):
        objective(samples_per_frame=samples)


def test_another_frame_rate_than_the_encoders_is_refused():
    with pytest.raises(ValueError, match=r"found 320, but the encoder gives a frame every 640"):
        objective(samples_per_frame=320).encode(small_encoder(), batch_of(1.0))
