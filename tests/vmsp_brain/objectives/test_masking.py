"""Masks, and what stands behind them."""

import pytest
import torch
from speechbrain.dataio.batch import PaddedBatch
from torch import Tensor

from tests.helpers.small_models import LATENT_SIZE, batch_of, noise, small_encoder
from vmsp_brain.objectives.masking import MaskedPrediction

LENGTHS = torch.tensor([200, 3, 57, 1, 120])


def objective(**overrides) -> MaskedPrediction:
    return MaskedPrediction(LATENT_SIZE, **overrides)


def every_third(lengths: Tensor, max_len: int) -> Tensor:
    """A mask without chance."""
    frame = torch.arange(max_len)
    return (frame % 3 == 0) & (frame < lengths.unsqueeze(1))


def spans(row: Tensor) -> list[int]:
    """Lengths of the runs of True."""
    text = "".join("x" if value else " " for value in row.tolist())
    return [len(run) for run in text.split()]


@pytest.mark.parametrize("mask_start", [0.0, 0.05, 0.5, 1.0])
def test_mask_is_in_valid_frames_with_at_least_one_span_each(mask_start):
    made = objective(mask_start=mask_start)
    valid = torch.arange(200) < LENGTHS.unsqueeze(1)
    for _ in range(20):
        mask = made.mask(LENGTHS, 200)
        assert mask.shape == valid.shape and mask.dtype == torch.bool
        assert not (mask & ~valid).any()
        assert mask.any(1).all()


def test_spans_have_their_length_unless_the_utterance_ends():
    made = objective(mask_start=0.02, mask_length=5)
    for _ in range(20):
        mask = made.mask(LENGTHS, 200)
        for row, length in zip(mask, LENGTHS.tolist(), strict=True):
            runs = spans(row[:length])
            if row[length - 1]:
                runs.pop()  # may be cut off
            assert all(run >= 5 for run in runs)


def test_without_chance_every_utterance_has_exactly_one_span():
    mask = objective(mask_start=0.0, mask_length=5).mask(LENGTHS, 200)
    for row, length in zip(mask, LENGTHS.tolist(), strict=True):
        assert len(spans(row)) == 1
        assert spans(row)[0] == 5 or row[length - 1]


@pytest.mark.parametrize(("mask_start", "mask_length"), [(0.1, 5), (0.065, 10), (0.3, 1)])
def test_masked_share_is_close_to_its_expectation(mask_start, mask_length):
    """Frame t is masked unless none of the min(t + 1, mask_length) starts before it is."""
    utterances, frames = 200, 400
    mask = objective(mask_start=mask_start, mask_length=mask_length).mask(
        torch.full((utterances,), frames), frames
    )
    reach = torch.arange(1, frames + 1).clamp(max=mask_length)
    expected = (1 - (1 - mask_start) ** reach.double()).mean().item()
    # Frames of a span go together, so the 80 000 frames count as at least 8 000 independent ones
    assert mask.double().mean().item() == pytest.approx(expected, abs=4 * (0.25 / 8000) ** 0.5)


def test_masked_share_of_an_utterance_does_not_depend_on_the_longest_of_its_batch():
    made, short = objective(), torch.full((400,), 50)
    alone = made.mask(short, 50).double().mean().item()
    padded = made.mask(short, 500)[:, :50].double().mean().item()
    assert alone == pytest.approx(padded, abs=0.04)


def test_masked_frames_hidden_states_do_not_depend_on_the_rest_of_the_batch(monkeypatch):
    made, encoder = objective().eval(), small_encoder().eval()
    monkeypatch.setattr(made, "mask", every_third)
    together = made.encode(encoder, batch_of(1.0, 0.4))
    own = made.encode(encoder, batch_of(1.0))
    counts = together.mask.sum(1).tolist()
    assert counts == [9, 4]  # 26 and 11 frames
    first = counts[0]
    torch.testing.assert_close(together.hidden[:first], own.hidden, rtol=0, atol=1e-5)
    torch.testing.assert_close(together.latents[:first], own.latents, rtol=0, atol=1e-5)


def test_encoder_does_not_see_what_is_masked(monkeypatch):
    made, encoder = objective().eval(), small_encoder().eval()
    monkeypatch.setattr(made, "mask", lambda lengths, n: torch.ones(1, n, dtype=torch.bool))
    first = made.encode(encoder, batch_of(1.0))
    other = PaddedBatch([{"sig": noise(1.0, seed=5)[0][0]}])
    second = made.encode(encoder, other)
    assert torch.equal(first.hidden, second.hidden)
    assert not torch.allclose(first.latents, second.latents)
