"""What self-supervised objectives share that predict masked frames: masks, and the masked frames.

Spans of the encoder's latents are replaced by a learned vector; what stood there is to be found
from the encoder's hidden states.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from speechbrain.dataio.batch import PaddedBatch
from torch import Tensor, nn

from vmsp_brain.encoders import Encoder, Frames
from vmsp_brain.objectives.interface import Objective


@dataclass
class MaskedFrames:
    """The masked frames of a batch, utterance after utterance.

    Arguments
    ---------
    hidden : Tensor
        The encoder's hidden states there, (K, D).
    latents : Tensor
        The latents that were masked, (K, C).
    mask : Tensor
        Where the K frames are, (B, T), boolean.
    """

    hidden: Tensor
    latents: Tensor
    mask: Tensor


class MaskedPrediction(Objective):
    """Base of the objectives that predict masked frames (``ssl``): masks, and encodes.

    SpeechBrain 1.1.2's ``compute_mask`` (of wav2vec 2.0 as of BEST-RQ) lets the shortest utterance
    of a batch set the number of masks of all; here every utterance has its own.

    Arguments
    ---------
    latent_size : int
        Width C of the encoder's latents.
    mask_start : float
        Probability that a frame begins a masked span.
    mask_length : int
        Frames of a span.
    source : str
        Which part of a batch it reads.

    Example
    -------
    >>> objective = MaskedPrediction(latent_size=12)
    >>> objective.mask(torch.tensor([30, 20]), max_len=30).shape
    torch.Size([2, 30])
    """

    name = "ssl"

    def __init__(
        self,
        latent_size: int,
        mask_start: float = 0.1,
        mask_length: int = 5,
        source: str = "ssl",
    ) -> None:
        super().__init__()
        self.source = source
        self.mask_start = mask_start
        self.mask_length = mask_length
        self.masked_latent = nn.Parameter(torch.rand(latent_size))

    def encode(self, encoder: Encoder, batch: PaddedBatch) -> MaskedFrames:
        """Hidden states of the masked latents, with what was masked."""
        latents = encoder.extract(*batch.sig)
        mask = self.mask(latents.lengths, latents.data.shape[1])
        masked = torch.where(mask.unsqueeze(-1), self.masked_latent.to(latents.data), latents.data)
        hidden = encoder.contextualize(Frames(masked, latents.lengths))
        places = mask.nonzero(as_tuple=True)  # once: it waits for the device
        return MaskedFrames(hidden.data[places], latents.data[places], mask)

    def mask(self, lengths: Tensor, max_len: int) -> Tensor:
        """Random spans, at least one in each utterance, none in padding; (B, T), boolean."""
        valid = Frames(torch.empty(len(lengths), max_len), lengths).mask
        chance = torch.rand(valid.shape, device=lengths.device).masked_fill(~valid, 2.0)
        starts = chance < self.mask_start
        starts[torch.arange(len(starts), device=starts.device), chance.argmin(1)] = True
        spans = F.pad(starts.float(), (self.mask_length - 1, 0)).unsqueeze(1)
        return F.max_pool1d(spans, self.mask_length, stride=1).squeeze(1).bool() & valid
