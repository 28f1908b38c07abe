"""Models small enough to be built and trained in a test."""

from collections.abc import Iterable
from functools import partial

import torch
from speechbrain.lobes.features import Fbank
from speechbrain.lobes.models.convolution import ConvolutionFrontEnd
from speechbrain.lobes.models.transformer.TransformerASR import TransformerASR
from speechbrain.nnet.CNN import Conv2d
from torch import nn

from vmsp_brain.encoders import ConformerEncoder
from vmsp_brain.objectives import (
    AttentionObjective,
    CTCAttentionObjective,
    Wav2Vec2Objective,
    multilingual_objectives,
)

N_MELS = 40
CHANNELS = 4
LATENT_SIZE = N_MELS // 4 * CHANNELS
"""Width of a small encoder's latents: mel bands, subsampled by 4, times channels."""


def small_encoder(
    d_model: int = 16, num_layers: int = 2, augment: nn.Module | None = None
) -> ConformerEncoder:
    """A Conformer of a few thousand parameters, without dropout."""
    front_end = ConvolutionFrontEnd(
        (None, None, N_MELS),
        num_blocks=2,
        num_layers_per_block=1,
        out_channels=(CHANNELS, CHANNELS),
        kernel_sizes=(3, 3),
        strides=(2, 2),
        residuals=(False, False),
        dropout=0.0,
        conv_module=partial(Conv2d, padding_mode="constant"),
    )
    conformer = TransformerASR(
        tgt_vocab=1,
        input_size=LATENT_SIZE,
        d_model=d_model,
        nhead=4,
        num_encoder_layers=num_layers,
        num_decoder_layers=0,
        d_ffn=2 * d_model,
        dropout=0.0,
        encoder_module="conformer",
        kernel_size=7,
        normalize_before=True,
        attention_type="RoPEMHA",
        causal=False,
    )
    return ConformerEncoder(Fbank(n_mels=N_MELS), front_end, conformer, augment)


def small_objectives(
    languages: Iterable[str], pairs: Iterable[str], d_model: int = 16, vocab_size: int = 20
) -> nn.ModuleDict:
    """Heads over a `small_encoder`, by name."""
    decoder = {"vocab_size": vocab_size, "d_model": d_model, "num_layers": 1, "d_ffn": 32}
    return multilingual_objectives(
        languages,
        pairs,
        recognition=partial(CTCAttentionObjective, **decoder),
        translation=partial(AttentionObjective, **decoder),
        ssl=small_wav2vec2(d_model),
    )


def small_wav2vec2(d_model: int = 16) -> Wav2Vec2Objective:
    """The self-supervised objective over a `small_encoder`."""
    return Wav2Vec2Objective(LATENT_SIZE, d_model, quantized_size=8, num_codes=8, num_negatives=10)


def noise(*seconds: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Waveforms of these durations, zero-padded, (B, samples), and their relative lengths."""
    generator = torch.Generator().manual_seed(seed)
    lengths = [round(16_000 * duration) for duration in seconds]
    wavs = torch.zeros(len(lengths), max(lengths))
    for wav, length in zip(wavs, lengths, strict=True):
        wav[:length] = 0.1 * torch.randn(length, generator=generator)
    return wavs, torch.tensor(lengths) / max(lengths)
