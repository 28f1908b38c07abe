"""Negatives, contrastive and diversity loss of wav2vec 2.0."""

import math

import pytest
import torch
from torch import Tensor

from tests.helpers.small_models import LATENT_SIZE, melodies, small_encoder, small_wav2vec2
from vmsp_brain.objectives import Wav2Vec2Objective
from vmsp_brain.objectives.masking import MaskedFrames


def objective(**overrides) -> Wav2Vec2Objective:
    arguments = {"quantized_size": 8, "num_codes": 8, "num_negatives": 10, **overrides}
    return Wav2Vec2Objective(LATENT_SIZE, 16, **arguments)


def every_third(lengths: Tensor, max_len: int) -> Tensor:
    """A mask without chance."""
    frame = torch.arange(max_len)
    return (frame % 3 == 0) & (frame < lengths.unsqueeze(1))


def mask_of(counts: Tensor) -> Tensor:
    """A mask with so many masked frames in each utterance."""
    return torch.arange(int(counts.max())) < counts.unsqueeze(1)


def masked_frames(counts: list[int]) -> MaskedFrames:
    """So many masked frames of each utterance."""
    total = sum(counts)
    hidden, latents = torch.randn(total, 16), torch.randn(total, LATENT_SIZE)
    return MaskedFrames(hidden, latents, mask_of(torch.tensor(counts)))


@pytest.mark.parametrize("counts", [[7, 2, 30], [1, 5], [2, 2]])
def test_negatives_are_of_the_same_utterance_and_never_the_frame_itself(counts):
    negatives = objective(num_negatives=500).negatives(masked_frames(counts))
    counts = torch.tensor(counts)
    owner = torch.repeat_interleave(torch.arange(len(counts)), counts)
    assert negatives.shape == (500, len(owner))
    assert (owner[negatives] == owner).all()
    itself = negatives == torch.arange(len(owner))
    assert not itself[:, counts[owner] > 1].any()
    assert itself[:, counts[owner] == 1].all()  # it has none, which the loss leaves out


def test_every_other_masked_frame_is_as_likely_a_negative():
    negatives = objective(num_negatives=6000).negatives(masked_frames([5]))
    for frame in range(5):
        shares = torch.bincount(negatives[:, frame], minlength=5) / 6000
        others = [i for i in range(5) if i != frame]
        assert (shares[others] - 0.25).abs().max() < 4 * (0.25 * 0.75 / 6000) ** 0.5


def test_loss_is_the_contrastive_loss_written_out(monkeypatch):
    made = objective(diversity_weight=0.0, temperature=0.2).eval()
    frames = masked_frames([4, 6])
    negatives = made.negatives(frames)
    monkeypatch.setattr(made, "negatives", lambda _: negatives)
    targets, _ = made.quantizer(frames.latents.unsqueeze(0))
    targets, predicted = targets[0], made.projection(frames.hidden)
    losses = []
    for k in range(10):
        wrong = [n for n in negatives[:, k].tolist() if not torch.equal(targets[n], targets[k])]
        candidates = targets[[k, *wrong]]
        similar = (candidates @ predicted[k]) / (candidates.norm(dim=1) * predicted[k].norm())
        losses.append(-(similar / 0.2).log_softmax(0)[0])
    torch.testing.assert_close(made.loss(frames, None), torch.stack(losses).mean())


def test_diversity_loss_is_the_share_of_unused_codes(monkeypatch):
    torch.manual_seed(1)
    weighted, plain = objective(diversity_weight=0.5).eval(), objective(diversity_weight=0.0).eval()
    plain.load_state_dict(weighted.state_dict())
    frames = masked_frames([10])
    negatives = plain.negatives(frames)
    for made in (weighted, plain):
        monkeypatch.setattr(made, "negatives", lambda _: negatives)
    logits = plain.quantizer.quantiser.weight_proj(frames.latents).view(10, 2, 8)
    used = logits.softmax(-1).mean(0)  # of each codebook, as probabilities
    perplexity = (-(used * used.log()).sum(-1)).exp().sum()
    difference = weighted.loss(frames, None) - plain.loss(frames, None)
    torch.testing.assert_close(difference, 0.5 * (16 - perplexity) / 16, rtol=1e-4, atol=1e-5)


def test_an_utterance_with_a_single_masked_frame_gives_a_finite_loss():
    assert objective().loss(masked_frames([1, 1]), None).isfinite()


def test_loss_falls_under_chance_and_the_codes_do_not_collapse(monkeypatch):
    torch.manual_seed(2)  # from some seeds it takes twice the steps
    made, encoder, batch = small_wav2vec2(), small_encoder(), melodies()
    monkeypatch.setattr(made, "mask", every_third)
    optimizer = torch.optim.Adam([*made.parameters(), *encoder.parameters()], lr=1e-2)
    losses = []
    for step in range(110):
        made.begin_step(step)
        frames = made.encode(encoder, batch)
        loss = made.loss(frames, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    chance = math.log(1 + made.num_negatives)
    assert sum(losses[-10:]) / 10 < 0.6 * chance
    targets = made.quantizer(frames.latents.unsqueeze(0))[0][0]
    negatives = targets[made.negatives(frames)]
    assert (negatives != targets).any(-1).float().mean() > 0.7  # else they would not count


def test_temperature_of_the_quantizer_falls_with_the_steps():
    made = small_wav2vec2()
    temperatures = []
    for step in (0, 1000, 100_000, 10_000_000):
        made.begin_step(step)
        temperatures.append(made.quantizer.quantiser.curr_temp)
    assert temperatures == sorted(temperatures, reverse=True)
    assert temperatures[0] == 2.0 and temperatures[-1] == 0.25
