"""The search's results are SpeechBrain's; a step decodes one token of each hypothesis."""

import pytest
import torch
from speechbrain.decoders.seq2seq import S2STransformerBeamSearcher

from vmsp_brain.data.tokenizers import BOS, EOS
from vmsp_brain.encoders import Frames
from vmsp_brain.objectives import AttentionObjective, CTCAttentionObjective
from vmsp_brain.objectives.incremental import IncrementalSearcher

LENGTHS = [40, 25, 33]


def make_head(kind: type, sharpness: float) -> AttentionObjective:
    """An untrained head of two layers, whose choices are as clear as they are sharp."""
    sizes = {"vocab_size": 20, "d_model": 16, "d_ffn": 32, "num_layers": 2}
    head = kind(name="asr/fr", source="fr", **sizes).eval()
    with torch.no_grad():
        head.output.w.weight *= sharpness
        head.output.w.bias[EOS] += 1.0
        for parameter in head.parameters():  # norms and biases that do something
            parameter += 0.1 * torch.randn_like(parameter)
    return head


def searched(searcher: type, head: AttentionObjective, frames: Frames, beam_size: int):
    """Hypotheses, and their scores."""
    made = searcher(
        modules=[head, head.output],
        bos_index=BOS,
        eos_index=EOS,
        min_decode_ratio=0.0,
        max_decode_ratio=1.0,
        beam_size=beam_size,
        scorer=head.scorer(),
    )
    with torch.no_grad():
        hypotheses, _, scores, _ = made(frames.data.clone(), frames.relative_lengths)
    return hypotheses, scores


@pytest.mark.parametrize("kind", [AttentionObjective, CTCAttentionObjective])
@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize("sharpness", [1.0, 5.0])
def test_results_are_speechbrains_whatever_the_model(kind, beam_size, sharpness):
    lengths = set()
    for seed in range(4):
        torch.manual_seed(seed)
        head = make_head(kind, sharpness)
        frames = Frames(torch.randn(len(LENGTHS), max(LENGTHS), 16), torch.tensor(LENGTHS))
        found, scores = searched(IncrementalSearcher, head, frames, beam_size)
        expected, expected_scores = searched(S2STransformerBeamSearcher, head, frames, beam_size)
        assert found == expected
        torch.testing.assert_close(scores, expected_scores, atol=1e-4, rtol=1e-4)
        lengths |= set(map(len, found))
    assert len(lengths) > 1


def test_a_step_decodes_one_token_of_each_hypothesis_whatever_the_prefix():
    head, frames = make_head(AttentionObjective, 1.0), torch.randn(2, 30, 16)
    seen = []
    for layer in head.decoder.layers:
        layer.pos_ffn.register_forward_hook(lambda _, args, __: seen.append(args[0].shape))
    searched(IncrementalSearcher, head, Frames(frames, torch.tensor([30, 20])), beam_size=3)
    assert len(seen) > 10 and set(seen) == {(6, 1, 16)}
