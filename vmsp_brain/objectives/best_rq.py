"""Self-supervision by BEST-RQ (Chiu et al., ICML 2022): random-projection quantizer as target."""

from typing import Any

import torch
import torch.nn.functional as F
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.lobes.features import Fbank
from speechbrain.nnet.quantisers import RandomProjectionQuantizer
from speechbrain.processing.features import InputNormalization
from torch import Tensor, nn

from vmsp_brain.encoders import Encoder
from vmsp_brain.encoders.filter_banks import constants_follow, normalized_filter_banks
from vmsp_brain.objectives.masking import MaskedFrames, MaskedPrediction

AT_ONCE = 256
"""Frames that are quantized together: SpeechBrain's quantizer compares each with every code."""


class BestRQObjective(MaskedPrediction):
    """Name the code of a masked frame, one of a random codebook that is never trained.

    The codes are those of log-Mel filter banks, normalized per utterance and stacked to the
    encoder's frame rate; they do not depend on the encoder, whichever it is. As in the paper the
    loss is a cross-entropy over masked frames; what is masked are the encoder's latents, by a
    learned vector (the paper puts noise into the filter banks, whose scale it knows).

    Arguments
    ---------
    latent_size : int
        Width C of the encoder's latents.
    d_model : int
        Width D of the encoder's hidden states.
    samples_per_frame : int
        Samples at 16 kHz from one of the encoder's frames to the next, a multiple of 160.
    n_mels : int
        Mel bands.
    code_size : int
        Width of the codes.
    num_codes : int
        Codes in the codebook.
    **masking
        See `MaskedPrediction`.

    Raises
    ------
    ValueError
        If the frames are not a multiple of the filter banks' 10 ms, or not the encoder's.

    Example
    -------
    >>> objective = BestRQObjective(latent_size=12, d_model=16, samples_per_frame=640, num_codes=8)
    >>> batch = PaddedBatch([{"sig": torch.rand(16000)}])
    >>> codes = objective.codes(batch, torch.ones(1, 26, dtype=torch.bool))
    >>> codes.shape, int(codes.max()) < 8
    (torch.Size([26]), True)
    """

    def __init__(
        self,
        latent_size: int,
        d_model: int,
        samples_per_frame: int,
        n_mels: int = 80,
        code_size: int = 16,
        num_codes: int = 8192,
        **masking: Any,
    ) -> None:
        super().__init__(latent_size, **masking)
        self.samples_per_frame = samples_per_frame
        self.features = Fbank(n_mels=n_mels)
        constants_follow(self.features)
        self.normalize = InputNormalization(norm_type="sentence")
        self.stack_size, rest = divmod(samples_per_frame, self.features.compute_STFT.hop_length)
        if rest or not self.stack_size:
            raise ValueError(
                f"samples_per_frame: found {samples_per_frame}, expected a multiple of the filter "
                f"banks' hop of {self.features.compute_STFT.hop_length} samples."
            )
        self.quantizer = RandomProjectionQuantizer(self.stack_size * n_mels, code_size, num_codes)
        self.output = nn.Linear(d_model, num_codes)

    def encode(self, encoder: Encoder, batch: PaddedBatch) -> MaskedFrames:
        """Hidden states of the masked latents."""
        if encoder.samples_per_frame != self.samples_per_frame:
            raise ValueError(
                f"samples_per_frame: found {self.samples_per_frame}, but the encoder gives a frame "
                f"every {encoder.samples_per_frame} samples."
            )
        return super().encode(encoder, batch)

    def loss(self, frames: MaskedFrames, batch: PaddedBatch) -> Tensor:
        """Cross-entropy of the codes, mean over masked frames, a scalar."""
        logits = self.output(frames.hidden).float()  # (K, codes)
        return F.cross_entropy(logits, self.codes(batch, frames.mask))

    @torch.no_grad()
    def codes(self, batch: PaddedBatch, mask: Tensor) -> Tensor:
        """The codes at the encoder's frames (B, T) where the mask is True, (K,)."""
        filter_banks = normalized_filter_banks(self.features, self.normalize, *batch.sig).data
        frames = mask.shape[1]
        missing = frames * self.stack_size - filter_banks.shape[1]  # negative: cut off
        stacked = F.pad(filter_banks, (0, 0, 0, missing)).reshape(len(mask), frames, -1)
        with torch.autocast(mask.device.type, enabled=False):
            pieces = stacked[mask].unsqueeze(0).split(AT_ONCE, dim=1)  # (1, at most AT_ONCE, F)
            return torch.cat([self.quantizer(piece) for piece in pieces], dim=1).squeeze(0)
