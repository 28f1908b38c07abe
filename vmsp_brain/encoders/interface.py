"""What the Brain, the conflict analysis and the objectives need of an encoder, whichever it is.

Every encoder has two halves, so that a self-supervised objective can stand between them:
``extract`` turns waveforms into latents, ``contextualize`` turns (masked) latents into hidden
states. Recognition and translation call the encoder whole; that alone augments in training, so that
no self-supervised objective learns to predict what augmentation dropped.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from speechbrain.dataio.dataio import length_to_mask
from torch import Tensor, nn


@dataclass
class Frames:
    """A batch of frame sequences of different lengths.

    Arguments
    ---------
    data : Tensor
        (B, T, D).
    lengths : Tensor
        Valid frames of each sequence, (B,), integers.
    inner : dict
        The outputs of inner layers that were asked for, by layer, (B, T, D).
    """

    data: Tensor
    lengths: Tensor
    inner: dict[str, Tensor] = field(default_factory=dict)

    @property
    def relative_lengths(self) -> Tensor:
        """Lengths as SpeechBrain takes them, relative to T, (B,)."""
        return self.lengths / self.data.shape[1]

    @property
    def mask(self) -> Tensor:
        """True where a frame is not padding, (B, T)."""
        return length_to_mask(self.lengths, max_len=self.data.shape[1]).bool()

    def select(self, index: Tensor) -> "Frames":
        """Those of some utterances, by their numbers (K,)."""
        inner = {layer: data[index] for layer, data in self.inner.items()}
        return Frames(self.data[index], self.lengths[index], inner)


class Encoder(nn.Module, ABC):
    """A module with the two halves, its sizes and its layers.

    Attributes
    ----------
    latent_size, d_model : int
        Widths of the latents and of the hidden states.
    samples_per_frame : int
        Samples at 16 kHz from one latent, and one hidden state, to the next.
    max_seconds : float
        The longest utterance that it takes; infinite if there is no limit.
    augments : bool
        Whether its ``forward`` augments in training, so that two copies of an utterance differ.
    """

    latent_size: int
    d_model: int
    samples_per_frame: int
    max_seconds: float
    augments: bool = False

    @abstractmethod
    def forward(self, wavs: Tensor, relative_lengths: Tensor) -> Frames:
        """Hidden states (B, T, D) of waveforms (B, samples) at 16 kHz; T is the longest's."""

    @abstractmethod
    def extract(self, wavs: Tensor, relative_lengths: Tensor) -> Frames:
        """Latents (B, T, C) of waveforms (B, samples) at 16 kHz; never augmented."""

    @abstractmethod
    def contextualize(self, latents: Frames) -> Frames:
        """Hidden states (B, T, D) of latents (B, T, C)."""

    @abstractmethod
    def layers(self) -> dict[str, nn.Module]:
        """The parts by name in the order in which they are applied, every parameter in exactly one.

        Each but the first is called as a module, all that reaches the output from the layers below
        it goes through its inputs, and the last one's output is the encoder's.
        """


def number_of_samples(wavs: Tensor, relative_lengths: Tensor) -> Tensor:
    """Valid samples of each waveform, (B,), integers."""
    return torch.round(relative_lengths * wavs.shape[1]).long()


def check_layers(encoder: Encoder) -> None:
    """Check that all trainable parameters are in the encoder's layers.

    Raises
    ------
    ValueError
        If one is not: it would never be trained.
    """
    inside = {id(p) for layer in encoder.layers().values() for p in layer.parameters()}
    stray = [
        name
        for name, parameter in encoder.named_parameters()
        if parameter.requires_grad and id(parameter) not in inside
    ]
    if stray:
        raise ValueError(
            f"The encoder's layers() leave out {', '.join(stray)}. Every trainable parameter must "
            "be in one layer, or it would never be trained."
        )
