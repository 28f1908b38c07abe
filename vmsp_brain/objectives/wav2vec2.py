"""Self-supervision by wav2vec 2.0 (Baevski et al., NeurIPS 2020) on the shared encoder."""

from typing import Any

import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.lobes.models.wav2vec import W2VTargetQuantiser
from speechbrain.nnet.losses import ContrastiveLoss
from torch import Tensor, nn

from vmsp_brain.objectives.masking import MaskedFrames, MaskedPrediction
from vmsp_brain.objectives.negatives import sample_negatives


class Wav2Vec2Objective(MaskedPrediction):
    """Tell the true quantized latent of a masked frame from those of other masked frames.

    At each masked frame, the encoder's hidden state must be closest to the quantized true latent
    among ``num_negatives`` others of the same utterance (contrastive loss, mean over masked
    frames), while the codebook is to be used evenly (diversity loss).

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
    num_negatives : int
        Negatives per masked frame.
    temperature : float
        Divides the cosine similarities.
    diversity_weight : float
        Weight of the diversity loss.
    **masking
        See `MaskedPrediction`.

    Example
    -------
    >>> objective = Wav2Vec2Objective(latent_size=12, d_model=16)
    >>> mask = torch.tensor([[True, True, False]])
    >>> objective.loss(MaskedFrames(torch.rand(2, 16), torch.rand(2, 12), mask), None).shape
    torch.Size([])
    """

    def __init__(
        self,
        latent_size: int,
        d_model: int,
        quantized_size: int = 256,
        num_codes: int = 320,
        num_negatives: int = 100,
        temperature: float = 0.1,
        diversity_weight: float = 0.1,
        **masking: Any,
    ) -> None:
        super().__init__(latent_size, **masking)
        self.num_negatives = num_negatives
        self.diversity_weight = diversity_weight
        self.quantizer = W2VTargetQuantiser(latent_size, quantized_size, num_vars=num_codes)
        self.projection = nn.Linear(d_model, quantized_size)
        self.contrast = ContrastiveLoss(temperature)

    def begin_step(self, step: int) -> None:
        """Anneal the Gumbel temperature of the quantizer, once per optimizer step."""
        self.quantizer.quantiser.update_temp(step)

    def loss(self, frames: MaskedFrames, batch: PaddedBatch) -> Tensor:
        """Contrastive plus weighted diversity loss, mean over masked frames, a scalar."""
        targets, quantized = self.quantizer(frames.latents.unsqueeze(0))  # (1, K, Q)
        predicted = self.projection(frames.hidden).unsqueeze(0)  # (1, K, Q)
        negatives = targets[0][self.negatives(frames)].unsqueeze(1)  # (N, 1, K, Q)
        contrastive, _ = self.contrast(predicted, targets, negatives)
        diversity = quantized["diversity_loss"]
        return contrastive / len(frames.hidden) + self.diversity_weight * diversity

    def negatives(self, frames: MaskedFrames) -> Tensor:
        """Indices (N, K) among the K masked frames: of the same utterance, not the frame itself."""
        counts, total = frames.mask.sum(1), len(frames.hidden)
        first = torch.repeat_interleave(
            counts.cumsum(0) - counts, counts, output_size=total
        )  # (K,)
        count = torch.repeat_interleave(counts, counts, output_size=total)  # (K,)
        place = torch.arange(total, device=counts.device) - first
        return first + sample_negatives(place, count, self.num_negatives)
