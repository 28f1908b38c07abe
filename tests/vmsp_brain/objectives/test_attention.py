"""The translation loss is cross-entropy per target token, whatever the batch; search finds it."""

import pytest
import torch
from speechbrain.dataio.batch import PaddedBatch
from torch import Tensor

from tests.helpers.small_models import noise, overfit, small_encoder
from vmsp_brain.data.tokenizers import BOS, EOS
from vmsp_brain.encoders import Frames
from vmsp_brain.names import text_key
from vmsp_brain.objectives import AttentionObjective

NAME = "st/fr-en"
VOCABULARY = 20
TARGETS = [[5, 6, 7, 8, 9], [10, 4], [12, 12, 13]]
LENGTHS = [40, 25, 33]


def objective(**overrides) -> AttentionObjective:
    arguments = {"vocab_size": VOCABULARY, "d_model": 16, "d_ffn": 32, **overrides}
    return AttentionObjective(NAME, "fr", **arguments)


def batch_of(targets: list[list[int]]) -> PaddedBatch:
    items = [
        {NAME: torch.tensor(tokens, dtype=torch.long), text_key(NAME): "text" if tokens else ""}
        for tokens in targets
    ]
    return PaddedBatch(items)


def random_frames(lengths: list[int] = LENGTHS, padded_to: int | None = None) -> Frames:
    """Hidden states, whose padding is noise too: nobody may look at it."""
    data = torch.randn(len(lengths), padded_to or max(lengths), 16)
    return Frames(data, torch.tensor(lengths))


def chosen(frames: Frames, index: list[int]) -> Frames:
    lengths = frames.lengths[index]
    return Frames(frames.data[index][:, : int(lengths.max())], lengths)


def token_losses(head: AttentionObjective, frames: Frames, i: int, smoothing: float) -> Tensor:
    """Label-smoothed cross-entropy of each token of one utterance, unpadded, by its definition."""
    own = chosen(frames, [i])
    states, _ = head.decode(torch.tensor([[BOS, *TARGETS[i]]]), own.data, own.lengths)
    log_probabilities = head.output(states)[0].log_softmax(-1)
    target = torch.tensor([*TARGETS[i], EOS])
    wanted = torch.full((len(target), VOCABULARY), smoothing / VOCABULARY)
    wanted[torch.arange(len(target)), target] += 1 - smoothing
    return -(wanted * log_probabilities).sum(-1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_smoothed_cross_entropy_averaged_over_all_tokens(smoothing):
    head, frames = objective(label_smoothing=smoothing), random_frames()
    expected = torch.cat([token_losses(head, frames, i, smoothing) for i in range(3)]).mean()
    torch.testing.assert_close(head.loss(frames, batch_of(TARGETS)), expected)


def test_loss_does_not_depend_on_padding_of_the_frames():
    head, frames = objective(), random_frames()
    longer = Frames(torch.cat([frames.data, torch.randn(3, 30, 16)], 1), frames.lengths)
    batch = batch_of(TARGETS)
    torch.testing.assert_close(head.loss(frames, batch), head.loss(longer, batch))


def test_loss_does_not_depend_on_the_order_of_the_batch():
    head, frames, order = objective(), random_frames(), [2, 0, 1]
    permuted = head.loss(chosen(frames, order), batch_of([TARGETS[i] for i in order]))
    torch.testing.assert_close(head.loss(frames, batch_of(TARGETS)), permuted)


def test_utterances_without_translation_do_not_count():
    head, frames = objective(), random_frames()
    with_gap = head.loss(frames, batch_of([TARGETS[0], [], TARGETS[2]]))
    without = head.loss(chosen(frames, [0, 2]), batch_of([TARGETS[0], TARGETS[2]]))
    torch.testing.assert_close(with_gap, without)


def test_a_draw_without_translations_has_zero_loss_and_zero_gradient():
    head, frames = objective(), random_frames([7])
    frames.data.requires_grad_()
    loss = head.loss(frames, batch_of([[]]))
    loss.backward()
    assert loss.item() == 0.0
    assert frames.data.grad is not None and not frames.data.grad.any()
    assert all(p.grad is None or not p.grad.any() for p in head.parameters())


def test_a_token_is_predicted_from_earlier_ones_alone():
    head, frames = objective().eval(), random_frames([30])
    tokens = torch.tensor([[BOS, 5, 6, 7]])
    changed = torch.tensor([[BOS, 5, 6, 9]])
    states, attention = head.decode(tokens, frames.data, frames.lengths)
    other, _ = head.decode(changed, frames.data, frames.lengths)
    torch.testing.assert_close(states[:, :3], other[:, :3])
    assert not torch.allclose(states[:, 3], other[:, 3])
    assert attention.shape == (1, 4, 30)


def test_loss_falls_on_a_fixed_batch():
    head, encoder = objective(label_smoothing=0.0), small_encoder()
    wavs, lengths = noise(1.0, 0.6, 0.8)
    batch = batch_of(TARGETS)
    parameters = [*head.parameters(), *encoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=5e-3)
    losses = []
    for _ in range(30):
        loss = head.loss(encoder(wavs, lengths), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_gradients_reach_the_whole_head_and_the_frames():
    head, frames = objective(), random_frames()
    frames.data.requires_grad_()
    head.loss(frames, batch_of(TARGETS)).backward()
    reached = frames.data.grad.abs().sum(-1) > 0
    assert torch.equal(reached, frames.mask)
    assert all(p.grad is not None for p in head.parameters())


@pytest.fixture(scope="module")
def overfitted() -> tuple[AttentionObjective, Frames]:
    """A head that knows two utterances by heart."""
    torch.manual_seed(0)
    head, frames = objective(label_smoothing=0.0), random_frames(LENGTHS[:2])
    return overfit(head, frames, batch_of(TARGETS[:2]), steps=150), frames


@pytest.mark.parametrize("beam_size", [1, 4])
def test_search_gives_back_what_was_learned(overfitted, beam_size):
    head, frames = overfitted
    assert head.search(frames, beam_size, max_decode_ratio=1.0) == TARGETS[:2]


@pytest.mark.parametrize("beam_size", [1, 4])
def test_search_does_not_depend_on_what_an_utterance_is_batched_with(overfitted, beam_size):
    head, frames = overfitted
    together = head.search(frames, beam_size, max_decode_ratio=1.0)
    for i in range(2):
        assert head.search(chosen(frames, [i]), beam_size, 1.0) == [together[i]]
    assert head.search(chosen(frames, [1, 0]), beam_size, 1.0) == together[::-1]


def test_search_stops_at_the_longest_length_allowed():
    head, frames = objective().eval(), random_frames([40, 20])
    found = head.search(frames, 2, max_decode_ratio=0.1)
    assert all(len(tokens) <= 4 for tokens in found)


@pytest.mark.parametrize(("beam_size", "ratio"), [(0, 1.0), (-1, 1.0), (2, 0.0), (2, -0.5)])
def test_a_search_without_hypotheses_is_refused(overfitted, beam_size, ratio):
    head, frames, *_ = overfitted
    with pytest.raises(
        ValueError, match=f"found beam_size {beam_size} and max_decode_ratio {ratio}"
    ):
        head.search(frames, beam_size, ratio)


def test_search_leaves_no_gradient(overfitted):
    head, frames = overfitted
    data = frames.data.clone().requires_grad_()
    head.search(Frames(data, frames.lengths), 2, max_decode_ratio=0.5)
    assert data.grad is None
