"""The prefix scores are SpeechBrain's, to the bit, whatever the beam keeps."""

import pytest
import torch
from speechbrain.decoders.ctc import CTCPrefixScore

from vmsp_brain.data.tokenizers import BLANK, BOS, EOS
from vmsp_brain.objectives.ctc_scores import PrefixScores


@pytest.mark.parametrize("vocabulary", [6, 40])
@pytest.mark.parametrize("beam", [1, 3])
def test_scores_are_speechbrains_to_the_bit(vocabulary, beam):
    torch.manual_seed(vocabulary + beam)
    lengths = torch.tensor([12, 7])
    posteriors = (3 * torch.randn(2, 12, vocabulary)).log_softmax(-1)
    own, theirs = (
        made(posteriors.clone(), lengths, BLANK, EOS) for made in (PrefixScores, CTCPrefixScore)
    )
    tokens, states, expected_states = torch.full((2 * beam,), BOS), None, None
    for _ in range(9):
        found, memory = own.forward_step(tokens, states)
        expected, expected_memory = theirs.forward_step(tokens, expected_states)
        assert torch.equal(found, expected)
        index = torch.randint(beam * vocabulary, (2, beam))  # ends and repetitions among them
        tokens = (index % vocabulary).flatten()
        states = own.permute_mem(memory, index)
        expected_states = theirs.permute_mem(expected_memory, index)
        for state, expected_state in zip(states, expected_states, strict=True):
            assert torch.equal(state, expected_state)
