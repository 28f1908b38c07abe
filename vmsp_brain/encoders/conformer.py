"""A Conformer of SpeechBrain's parts as the shared encoder."""

import math
from functools import partial

import torch
from speechbrain.lobes.features import Fbank
from speechbrain.lobes.models.convolution import ConvolutionFrontEnd
from speechbrain.lobes.models.transformer.Conformer import ConformerEncoderLayer
from speechbrain.lobes.models.transformer.TransformerASR import TransformerASR
from speechbrain.nnet.CNN import Conv2d
from speechbrain.processing.features import InputNormalization
from speechbrain.utils.callchains import lengths_arg_exists
from torch import Tensor, nn

from vmsp_brain.audio import SAMPLE_RATE
from vmsp_brain.encoders.filter_banks import constants_follow, normalized_filter_banks
from vmsp_brain.encoders.interface import Encoder, Frames


class ConformerEncoder(Encoder):
    """Log-Mel features, a convolutional front-end that subsamples, Conformer or Transformer blocks.

    Every convolution sees zeros where there is padding, so that an utterance's hidden states do not
    depend on what it is batched with. (SpeechBrain's Conformer alone lets its depthwise
    convolutions see the padded frames.) `conformer_encoder` makes the parts from their sizes.

    Arguments
    ---------
    features : Fbank
        SpeechBrain's filter banks, of audio at 16 kHz.
    front_end : ConvolutionFrontEnd
        SpeechBrain's front-end.
    conformer : TransformerASR
        SpeechBrain's Transformer without decoder, ``encoder_module: conformer`` or ``transformer``.
    normalize : Module, optional
        Normalizes filter banks, given relative lengths; per utterance if not given.
    augment : Module, optional
        Applied to the normalized filter banks (B, T, F) in training, with their relative lengths
        (B,) if it takes ``lengths``, SpecAugment for example; not to what self-supervision reads,
        whose targets would be what was dropped.

    Raises
    ------
    ValueError
        If the features are of another sampling rate, or the front-end's width is not what the
        Conformer takes.

    Example
    -------
    >>> encoder = conformer_encoder(d_model=32, nhead=4, num_layers=2, d_ffn=64)
    >>> list(encoder.layers()), encoder.samples_per_frame
    (['front_end', 'block_01', 'block_02', 'norm'], 640)
    """

    max_seconds = math.inf

    def __init__(
        self,
        features: Fbank,
        front_end: ConvolutionFrontEnd,
        conformer: TransformerASR,
        normalize: nn.Module | None = None,
        augment: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.features = features
        constants_follow(features)
        self.normalize = normalize or InputNormalization(norm_type="sentence")
        self.front_end = front_end
        self.conformer = conformer
        self.augment = augment
        self.augments = augment is not None
        self.latent_size = conformer.custom_src_module.layers[0].w.in_features
        self.d_model = conformer.custom_src_module.layers[0].w.out_features
        self.strides = [block.get_filter_properties().stride for block in front_end.children()]
        self.samples_per_frame = features.compute_STFT.hop_length * math.prod(self.strides)
        self._check()
        self._valid = torch.ones(1, 1, 1)  # (B, 1, T), the mask of the batch being encoded
        for block in conformer.encoder.layers:
            if isinstance(block, ConformerEncoderLayer):
                block.convolution_module.bottleneck.register_forward_hook(self._zero_padding)

    def forward(self, wavs: Tensor, relative_lengths: Tensor) -> Frames:
        """Hidden states (B, T, D) of waveforms (B, samples) at 16 kHz, augmented in training."""
        filter_banks = self._filter_banks(wavs, relative_lengths)
        if self.training and self.augment is not None:
            filter_banks.data = _augmented(self.augment, filter_banks)
        return self.contextualize(self._subsample(filter_banks))

    def extract(self, wavs: Tensor, relative_lengths: Tensor) -> Frames:
        """Latents (B, T, C), about 25 a second, of waveforms (B, samples) at 16 kHz."""
        return self._subsample(self._filter_banks(wavs, relative_lengths))

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

    def _filter_banks(self, wavs: Tensor, relative_lengths: Tensor) -> Frames:
        return normalized_filter_banks(self.features, self.normalize, wavs, relative_lengths)

    def _subsample(self, frames: Frames) -> Frames:
        """Latents (B, T, C) of filter banks (B, 4T, F)."""
        for block, stride in zip(self.front_end.children(), self.strides, strict=True):
            zeroed = frames.data * _expand(frames.mask, frames.data)
            frames = Frames(block(zeroed), (frames.lengths + stride - 1) // stride)
        return Frames(frames.data.flatten(2), frames.lengths)

    def _check(self) -> None:
        rate = self.features.compute_STFT.sample_rate
        if rate != SAMPLE_RATE:
            raise ValueError(
                f"features: the filter banks are of audio at {rate} Hz, expected {SAMPLE_RATE} Hz. "
                "Set their sample_rate, or take a model trained at that rate."
            )
        with torch.no_grad():
            bands = self.features.compute_fbanks.n_mels
            width = self.front_end.eval()(torch.zeros(1, 8, bands)).flatten(2).shape[2]
        self.front_end.train()
        if width != self.latent_size:
            raise ValueError(
                f"front_end: it gives {width} values per frame of {bands} Mel bands, but the "
                f"Conformer's input_size is {self.latent_size}. Make them equal."
            )

    def _zero_padding(self, module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        return output * self._valid.to(output.dtype)  # (B, D, T)


def conformer_encoder(
    d_model: int = 512,
    nhead: int = 8,
    num_layers: int = 12,
    d_ffn: int = 2048,
    kernel_size: int = 31,
    front_end_channels: int = 64,
    n_mels: int = 80,
    hop_length: float = 10.0,
    dropout: float = 0.1,
    augment: nn.Module | None = None,
) -> ConformerEncoder:
    """A Conformer from its sizes; the front-end subsamples by 4 in time.

    Arguments
    ---------
    d_model, nhead, num_layers, d_ffn, kernel_size
        The Conformer's, see SpeechBrain's ``TransformerASR``.
    front_end_channels : int
        Of the first convolution; the second has half.
    n_mels : int
        Mel bands.
    hop_length : float
        ms from one filter bank to the next; 10 ms become frames of 40 ms.
    dropout : float
        Of the front-end and the Conformer.
    augment : Module, optional
        See `ConformerEncoder`.

    Example
    -------
    >>> encoder = conformer_encoder(d_model=32, nhead=4, num_layers=2, d_ffn=64)
    >>> frames = encoder(torch.rand(2, 16000), torch.tensor([1.0, 0.5]))
    >>> frames.data.shape, frames.lengths
    (torch.Size([2, 26, 32]), tensor([26, 13]))
    """
    front_end = ConvolutionFrontEnd(
        (None, None, n_mels),
        num_blocks=2,
        num_layers_per_block=1,
        out_channels=(front_end_channels, front_end_channels // 2),
        kernel_sizes=(3, 3),
        strides=(2, 2),
        residuals=(False, False),
        dropout=dropout,
        # Padded with zeros, so that padding does not change an utterance.
        conv_module=partial(Conv2d, padding_mode="constant"),
    )
    conformer = TransformerASR(
        tgt_vocab=1,  # unused: the decoders belong to the objectives
        input_size=math.ceil(n_mels / 4) * (front_end_channels // 2),
        d_model=d_model,
        nhead=nhead,
        num_encoder_layers=num_layers,
        num_decoder_layers=0,
        d_ffn=d_ffn,
        kernel_size=kernel_size,
        dropout=dropout,
        encoder_module="conformer",
        attention_type="RoPEMHA",
        normalize_before=True,
        causal=False,
    )
    return ConformerEncoder(
        Fbank(n_mels=n_mels, hop_length=hop_length), front_end, conformer, augment=augment
    )


def _expand(mask: Tensor, data: Tensor) -> Tensor:
    return mask.reshape(*mask.shape, *[1] * (data.dim() - 2)).to(data.dtype)


def _augmented(augment: nn.Module, frames: Frames) -> Tensor:
    if lengths_arg_exists(augment.forward):
        return augment(frames.data, lengths=frames.relative_lengths)
    return augment(frames.data)
