"""Models small enough to be built and trained in a test."""

import importlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from speechbrain.dataio.batch import PaddedBatch
from torch import nn

from tests.helpers.saved_models import saved_model
from vmsp_brain.encoders import ConformerEncoder, Frames, conformer_encoder
from vmsp_brain.objectives import (
    AttentionObjective,
    BestRQObjective,
    CPCObjective,
    CTCAttentionObjective,
    LanguageObjective,
    Wav2Vec2Objective,
    multilingual_objectives,
)

N_MELS = 40
CHANNELS = 8
LATENT_SIZE = N_MELS // 4 * CHANNELS // 2
"""Width of a small encoder's latents: mel bands, subsampled by 4, times half the channels."""


def small_encoder(
    d_model: int = 16, num_layers: int = 2, augment: nn.Module | None = None
) -> ConformerEncoder:
    """A Conformer of a few thousand parameters, without dropout."""
    return conformer_encoder(
        d_model=d_model,
        nhead=4,
        num_layers=num_layers,
        d_ffn=2 * d_model,
        kernel_size=7,
        front_end_channels=CHANNELS,
        n_mels=N_MELS,
        dropout=0.0,
        augment=augment,
    )


ENCODERS = ("conformer", "wav2vec2", "hubert", "wavlm", "whisper")
"""Kinds of encoders."""


def small_encoder_of(kind: str, source: str | Path = "", **options) -> nn.Module:
    """An encoder of one of the `ENCODERS`, with random weights and without dropout.

    Those of transformers are loaded from a folder, as users load theirs; from ``source`` if given.
    """
    torch.manual_seed(1)
    if kind == "conformer":
        return small_encoder(**options)
    module = importlib.import_module(f"vmsp_brain.encoders.{_module(kind)}")
    make = module.WhisperEncoder if kind == "whisper" else module.Wav2Vec2Encoder
    options = {"freeze_feature_extractor": False, **options}
    return make(str(source or saved_model(kind)), save_path="", **options)


def _module(kind: str) -> str:
    return "whisper" if kind == "whisper" else "wav2vec2"


SSL = ("wav2vec2", "cpc", "best_rq")
"""Kinds of self-supervised objectives."""


def small_ssl(kind: str, encoder: nn.Module) -> nn.Module:
    """A self-supervised objective of one of the kinds `SSL` for an encoder."""
    torch.manual_seed(0)
    sizes = {"latent_size": encoder.latent_size, "d_model": encoder.d_model}
    if kind == "wav2vec2":
        sizes |= {"quantized_size": 8, "num_codes": 8, "num_negatives": 10}
        return Wav2Vec2Objective(**sizes)
    if kind == "cpc":
        return CPCObjective(**sizes, window=6, steps=3, projection_size=8, num_negatives=10)
    return BestRQObjective(**sizes, samples_per_frame=encoder.samples_per_frame, num_codes=16)


def small_objectives(
    languages: Iterable[str],
    pairs: Iterable[str],
    d_model: int = 16,
    vocab_size: int = 20,
    ssl: Callable[[], nn.Module] | None = None,
    recognition: Mapping[str, Any] | None = None,
    translation: Mapping[str, Any] | None = None,
    **options: Any,
) -> nn.ModuleDict:
    """Heads over a `small_encoder`, by name; options are those of each task, and of all."""
    decoder = {"vocab_size": vocab_size, "d_model": d_model, "num_layers": 1, "d_ffn": 32}
    own = {"ctc_weight": 0.0, **(translation or {})}
    return multilingual_objectives(
        languages,
        pairs,
        recognition=partial(CTCAttentionObjective, **decoder, **(recognition or {})),
        translation=partial(CTCAttentionObjective, **decoder, **own),
        ssl=ssl or partial(small_wav2vec2, d_model),
        identification=partial(LanguageObjective, d_model=d_model),
        **options,
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


def melodies() -> PaddedBatch:
    """Tones of a quarter of a second each: a frame can be told from its neighbours."""
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(4000) / 16_000
    items = []
    for number in (6, 5, 4, 6):
        frequencies = 200 * 2 ** (4 * torch.rand(number, 1, generator=generator))
        tones = 0.3 * torch.sin(2 * torch.pi * frequencies * time).flatten()
        items.append({"sig": tones + 0.001 * torch.randn(len(tones), generator=generator)})
    return PaddedBatch(items)


def batch_of(*seconds: float) -> PaddedBatch:
    """A batch of `noise` as the SSL objectives read it."""
    wavs, lengths = noise(*seconds)
    counts = (lengths * wavs.shape[1]).round().long()
    return PaddedBatch([{"sig": wav[:n]} for wav, n in zip(wavs, counts, strict=True)])


def overfit(
    objective: AttentionObjective, frames: Frames, batch: PaddedBatch, steps: int
) -> AttentionObjective:
    """The objective, once it knows a batch by heart."""
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        objective.loss(frames, batch).backward()
        optimizer.step()
    return objective.eval()
