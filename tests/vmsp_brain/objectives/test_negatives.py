"""Negatives are others of the same utterance."""

import torch

from vmsp_brain.objectives.negatives import sample_negatives


def test_every_other_is_as_likely_and_the_frame_itself_never_drawn():
    own, count = torch.tensor([0, 3, 6]), torch.tensor([7, 7, 7])
    negatives = sample_negatives(own, count, number=12_000)
    assert negatives.shape == (12_000, 3)
    for column, place in zip(negatives.T, own.tolist(), strict=True):
        shares = torch.bincount(column, minlength=7) / 12_000
        assert shares[place] == 0
        others = shares[torch.arange(7) != place]
        assert (others - 1 / 6).abs().max() < 4 * (1 / 6 * 5 / 6 / 12_000) ** 0.5


def test_the_only_candidate_is_its_own_negative():
    assert sample_negatives(torch.tensor([0]), torch.tensor([1]), 3).tolist() == [[0]] * 3
