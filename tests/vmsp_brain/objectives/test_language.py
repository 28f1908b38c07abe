"""Language identification from the mean of the frames that are there."""

import pytest
import torch
from speechbrain.dataio.batch import PaddedBatch

from vmsp_brain.encoders import Frames
from vmsp_brain.objectives import LanguageObjective


def test_padding_has_no_part_in_it():
    objective = LanguageObjective(["en", "fr", "de"], d_model=8)
    data = torch.randn(2, 10, 8)
    alone = objective.log_probabilities(Frames(data[1:, :4], torch.tensor([4])))
    padded = objective.log_probabilities(Frames(data, torch.tensor([10, 4])))
    torch.testing.assert_close(padded[1:], alone)
    assert not torch.allclose(padded[0], alone[0])


def test_two_directions_of_the_hidden_states_are_told_apart():
    torch.manual_seed(0)
    objective = LanguageObjective(["en", "fr"], d_model=8)
    ways = torch.randn(2, 1, 8)
    labels = torch.tensor([0, 1, 1, 0])
    frames = Frames(ways[labels] + torch.randn(4, 30, 8), torch.tensor([30, 30, 20, 10]))
    batch = PaddedBatch([{"lid": label.unsqueeze(0)} for label in labels])
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.1)
    for _ in range(50):
        optimizer.zero_grad()
        objective.loss(frames, batch).backward()
        optimizer.step()
    assert objective.search(frames, beam_size=3) == [[0], [1], [1], [0]]


def test_a_single_language_is_refused():
    with pytest.raises(ValueError, match="expected two or more to tell apart"):
        LanguageObjective(["en"], d_model=8)
