"""Self-supervision by wav2vec 2.0 (Baevski et al., NeurIPS 2020) on the shared encoder."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.lobes.models.wav2vec import W2VTargetQuantiser
from speechbrain.nnet.losses import ContrastiveLoss
from torch import Tensor, nn

from vmsp_brain.encoders import Encoder, Frames


@dataclass
class MaskedFrames:
    """The masked frames of a batch, utterance after utterance.

    Arguments
    ---------
    hidden : Tensor
        The encoder's hidden states there, (K, D).
    latents : Tensor
        The latents that were masked, (K, C).
    counts : Tensor
        How many of the K belong to each utterance, (B,).
    """

    hidden: Tensor
    latents: Tensor
    counts: Tensor


class Wav2Vec2Objective(nn.Module):
    """Tell the true quantized latent of a masked frame from those of other masked frames.

    Spans of the latents are replaced by a learned vector; at each masked frame, the encoder's
    hidden state must be closest to the quantized true latent among ``num_negatives`` others of the
    same utterance (contrastive loss, mean over masked frames), while the codebook is to be used
    evenly (diversity loss).

    Negatives are drawn here: SpeechBrain 1.1.2's ``sample_negatives`` offsets the utterances of a
    batch by T - 1 instead of T, and its ``compute_mask`` lets the shortest utterance of a batch set
    the number of masks of all.

    Arguments
    ---------
    latent_size : int
        Width C of the encoder's latents.
    d_model : int
        Width D of the encoder's hidden states.
    quantized_size : int
        Width of the quantized latents, even.
    num_codes : int
        Codes in each of the two codebooks.
    mask_start : float
        Probability that a frame begins a masked span.
    mask_length : int
        Frames of a span.
    num_negatives : int
        Negatives per masked frame.
    temperature : float
        Divides the cosine similarities.
    diversity_weight : float
        Weight of the diversity loss.
    source : str
        Which part of a batch it reads.

    Example
    -------
    >>> objective = Wav2Vec2Objective(latent_size=12, d_model=16)
    >>> objective.mask(torch.tensor([30, 20]), max_len=30).shape
    torch.Size([2, 30])
    """

    name = "ssl"

    def __init__(
        self,
        latent_size: int,
        d_model: int,
        quantized_size: int = 256,
        num_codes: int = 320,
        mask_start: float = 0.1,
        mask_length: int = 5,
        num_negatives: int = 100,
        temperature: float = 0.1,
        diversity_weight: float = 0.1,
        source: str = "ssl",
    ) -> None:
        super().__init__()
        self.source = source
        self.mask_start = mask_start
        self.mask_length = mask_length
        self.num_negatives = num_negatives
        self.diversity_weight = diversity_weight
        self.masked_latent = nn.Parameter(torch.rand(latent_size))
        self.quantizer = W2VTargetQuantiser(latent_size, quantized_size, num_vars=num_codes)
        self.projection = nn.Linear(d_model, quantized_size)
        self.contrast = ContrastiveLoss(temperature)

    def begin_step(self, step: int) -> None:
        """Anneal the Gumbel temperature of the quantizer, once per optimizer step."""
        self.quantizer.quantiser.update_temp(step)

    def encode(self, encoder: Encoder, batch: PaddedBatch) -> MaskedFrames:
        """Hidden states of the masked latents, with what was masked."""
        latents = encoder.extract(*batch.sig)
        mask = self.mask(latents.lengths, latents.data.shape[1])
        masked = torch.where(mask.unsqueeze(-1), self.masked_latent.to(latents.data), latents.data)
        hidden = encoder.contextualize(Frames(masked, latents.lengths))
        return MaskedFrames(hidden.data[mask], latents.data[mask], mask.sum(1))

    def loss(self, frames: MaskedFrames, batch: PaddedBatch) -> Tensor:
        """Contrastive plus weighted diversity loss, mean over masked frames, a scalar."""
        targets, quantized = self.quantizer(frames.latents.unsqueeze(0))  # (1, K, Q)
        predicted = self.projection(frames.hidden).unsqueeze(0)  # (1, K, Q)
        negatives = targets[0][self.negatives(frames.counts)].unsqueeze(1)  # (N, 1, K, Q)
        contrastive, _ = self.contrast(predicted, targets, negatives)
        diversity = quantized["diversity_loss"]
        return contrastive / len(frames.hidden) + self.diversity_weight * diversity

    def mask(self, lengths: Tensor, max_len: int) -> Tensor:
        """Random spans, at least one in each utterance, none in padding; (B, T), boolean."""
        valid = Frames(torch.empty(len(lengths), max_len), lengths).mask
        chance = torch.rand(valid.shape, device=lengths.device).masked_fill(~valid, 2.0)
        starts = chance < self.mask_start
        starts[torch.arange(len(starts)), chance.argmin(1)] = True
        spans = F.pad(starts.float(), (self.mask_length - 1, 0)).unsqueeze(1)
        return F.max_pool1d(spans, self.mask_length, stride=1).squeeze(1).bool() & valid

    def negatives(self, counts: Tensor) -> Tensor:
        """Indices of negatives, (N, K), each of the same utterance and not the frame itself.

        Arguments
        ---------
        counts : Tensor
            Masked frames of each utterance, (B,); K is their sum. An utterance with a single one
            has no negatives but itself, which the contrastive loss leaves out.
        """
        first = torch.repeat_interleave(counts.cumsum(0) - counts, counts)  # (K,)
        count = torch.repeat_interleave(counts, counts)  # (K,)
        own = torch.arange(len(first), device=counts.device) - first
        shape = (self.num_negatives, len(first))
        step = 1 + torch.rand(shape, device=counts.device) * (count - 1)
        return first + (own + step.long().clamp(max=(count - 1).clamp(min=1))) % count
