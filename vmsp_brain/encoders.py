"""The shared speech encoder: waveforms in, hidden states out, with its layers named in order.

Every encoder has two halves, so that a self-supervised objective can stand between them:
``extract`` turns waveforms into latents, ``contextualize`` turns (masked) latents into hidden
states. Recognition and translation call the encoder whole.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from speechbrain.dataio.dataio import length_to_mask
from speechbrain.lobes.features import Fbank
from speechbrain.lobes.models.convolution import ConvolutionFrontEnd
from speechbrain.lobes.models.transformer.TransformerASR import TransformerASR
from speechbrain.processing.features import InputNormalization
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
    """

    data: Tensor
    lengths: Tensor

    @property
    def relative_lengths(self) -> Tensor:
        """Lengths as SpeechBrain takes them, relative to T, (B,)."""
        return self.lengths / self.data.shape[1]

    @property
    def mask(self) -> Tensor:
        """True where a frame is not padding, (B, T)."""
        return length_to_mask(self.lengths, max_len=self.data.shape[1]).bool()


class Encoder(Protocol):
    """What objectives and the Brain need of an encoder."""

    def __call__(self, wavs: Tensor, relative_lengths: Tensor) -> Frames: ...

    def extract(self, wavs: Tensor, relative_lengths: Tensor) -> Frames: ...

    def contextualize(self, latents: Frames) -> Frames: ...

    def layers(self) -> dict[str, nn.Module]: ...


class ConformerEncoder(nn.Module):
    """Log-Mel features, a convolutional front-end that subsamples by 4, Conformer blocks.

    Features are normalized per utterance and every convolution sees zeros where there is padding,
    so that an utterance's hidden states do not depend on what it is batched with. (SpeechBrain's
    Conformer alone lets its depthwise convolutions see the padded frames.)

    Arguments
    ---------
    features : Fbank
        SpeechBrain's filter banks, 10 ms hop.
    front_end : ConvolutionFrontEnd
        SpeechBrain's front-end with stride 2 in time in each of its blocks.
    conformer : TransformerASR
        SpeechBrain's Transformer with ``encoder_module: conformer`` and no decoder.
    augment : Module, optional
        Applied to the normalized filter banks (B, T, F) in training, SpecAugment for example.

    Example
    -------
    >>> from functools import partial
    >>> from speechbrain.nnet.CNN import Conv2d
    >>> front_end = ConvolutionFrontEnd(
    ...     (None, None, 80), num_blocks=2, num_layers_per_block=1, out_channels=(8, 8),
    ...     kernel_sizes=(3, 3), strides=(2, 2), residuals=(False, False),
    ...     conv_module=partial(Conv2d, padding_mode="constant"),
    ... )
    >>> conformer = TransformerASR(
    ...     tgt_vocab=1, input_size=160, d_model=32, nhead=4, num_encoder_layers=2,
    ...     num_decoder_layers=0, d_ffn=64, encoder_module="conformer", normalize_before=True,
    ...     attention_type="RoPEMHA", causal=False,
    ... )
    >>> encoder = ConformerEncoder(Fbank(n_mels=80), front_end, conformer)
    >>> frames = encoder(torch.rand(2, 16000), torch.tensor([1.0, 0.5]))
    >>> frames.data.shape, frames.lengths
    (torch.Size([2, 26, 32]), tensor([26, 13]))
    """

    def __init__(
        self,
        features: Fbank,
        front_end: ConvolutionFrontEnd,
        conformer: TransformerASR,
        augment: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.features = features
        self.normalize = InputNormalization(norm_type="sentence")
        self.front_end = front_end
        self.conformer = conformer
        self.augment = augment
        self.hop_samples = features.compute_STFT.hop_length
        self._valid = torch.ones(1, 1, 1)  # (B, 1, T), the mask of the batch being encoded
        for block in conformer.encoder.layers:
            block.convolution_module.bottleneck.register_forward_hook(self._zero_padding)

    @property
    def latent_size(self) -> int:
        """Width of the latents that `extract` gives."""
        return self.conformer.custom_src_module.layers[0].w.in_features

    def forward(self, wavs: Tensor, relative_lengths: Tensor) -> Frames:
        """Hidden states (B, T, D) of waveforms (B, samples) at 16 kHz."""
        return self.contextualize(self.extract(wavs, relative_lengths))

    def extract(self, wavs: Tensor, relative_lengths: Tensor) -> Frames:
        """Latents (B, T, C), about 25 a second, of waveforms (B, samples) at 16 kHz."""
        samples = torch.round(relative_lengths * wavs.shape[1]).long()
        with torch.no_grad(), torch.autocast(wavs.device.type, enabled=False):
            filter_banks = self.features(wavs.float())
            frames = Frames(filter_banks, samples // self.hop_samples + 1)
            # Half a frame less, for SpeechBrain's mask rounds 52/201 of 201 frames up to 53.
            frames.data = self.normalize(
                filter_banks, (frames.lengths - 0.5) / filter_banks.shape[1]
            )
            if self.training and self.augment is not None:
                frames.data = self.augment(frames.data)
        for block in self.front_end.children():
            zeroed = frames.data * _expand(frames.mask, frames.data)
            frames = Frames(block(zeroed), (frames.lengths + 1) // 2)
        return Frames(frames.data.flatten(2), frames.lengths)

    def contextualize(self, latents: Frames) -> Frames:
        """Hidden states (B, T, D) of latents (B, T, C)."""
        self._valid = latents.mask.unsqueeze(1)
        hidden = self.conformer.encode(latents.data, latents.relative_lengths)
        return Frames(hidden, latents.lengths)

    def layers(self) -> dict[str, nn.Module]:
        """The encoder's parts by name, in the order in which they are applied."""
        blocks = self.conformer.encoder.layers
        return {
            "front_end": nn.ModuleList([self.front_end, self.conformer.custom_src_module]),
            **{f"block_{number:02d}": block for number, block in enumerate(blocks, start=1)},
            "norm": self.conformer.encoder.norm,
        }

    def _zero_padding(self, module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        return output * self._valid.to(output.dtype)  # (B, D, T)


def _expand(mask: Tensor, data: Tensor) -> Tensor:
    return mask.reshape(*mask.shape, *[1] * (data.dim() - 2)).to(data.dtype)
