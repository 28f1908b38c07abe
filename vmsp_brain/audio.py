"""Audio files as the encoders take them: mono, at 16 kHz."""

import functools
import math
from pathlib import Path

import numpy as np
import torchaudio
from speechbrain.dataio import audio_io
from torch import Tensor

from vmsp_brain.shards import opened

SAMPLE_RATE = 16_000
"""Sampling rate of the waveforms that all encoders take, in Hz."""

SHORTEST = 0.025
"""Seconds of audio that make a frame; less is refused."""

SILENCE = 1e-4
"""Amplitude, of at most 1, that is nothing but silence: three steps of 16 bit."""

SUFFIXES = (".wav", ".flac", ".mp3")
"""Of the files that are taken from a folder, in upper or lower case."""

_REPAIR = (
    "Put the file back as it was, or prepare the corpus again without it (remove preparation.json "
    "beside the manifest); a dev or test row less changes the score."
)


def load_audio(wav: str) -> Tensor:
    """Waveform of an audio file, or a clip in a shard, mono, at 16 kHz, (samples,).

    Raises
    ------
    ValueError
        If the file is missing or is not audio, or has samples that are no finite numbers; if the
        shard has changed.
    """
    try:
        waveform, rate = audio_io.load(opened(wav))  # (channels, samples)
    except RuntimeError as error:
        raise ValueError(
            f"{wav} cannot be read, though the manifest lists it: "
            f"{str(error).rstrip('.')}. {_REPAIR}"
        ) from error
    waveform = mono_at_model_rate(waveform, rate)
    if not waveform.isfinite().all():
        raise ValueError(f"{wav} has samples that are infinite or no numbers (NaN). {_REPAIR}")
    return waveform


def audio_files(folder: str | Path, key: str) -> list[Path]:
    """The audio files in a folder, and in those in it, in an order of their names.

    Arguments
    ---------
    folder : Path
        The folder.
    key : str
        What it is given by, for messages.

    Raises
    ------
    FileNotFoundError
        If it is not there, or holds no audio.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{key}: {folder} is not a folder.")
    found = [path for path in sorted(Path(folder).rglob("*")) if path.suffix.lower() in SUFFIXES]
    if not found:
        raise FileNotFoundError(f"{key}: found no {', '.join(SUFFIXES)} in {folder} or below.")
    return found


def mono_at_model_rate(waveform: Tensor, rate: int) -> Tensor:
    """A waveform (channels, samples) of this rate in Hz as mono at 16 kHz, (samples,)."""
    return _resampler(rate)(waveform.mean(0))


def is_silent(samples: Tensor | np.ndarray) -> bool:
    """Whether samples, of which there are some, are equal but for silence; a level is not heard."""
    return bool((samples.max() - samples.min()) / 2 <= SILENCE)


def can_resample(rate: int) -> bool:
    """Whether a rate in Hz, such as all that are in use, has a filter of at most 64 MB to 16 kHz.

    That of 48001 Hz, which a damaged header may announce, is of 3 GB.
    """
    steps = math.gcd(rate, SAMPLE_RATE)
    return rate >= 1000 and (rate // steps) * (SAMPLE_RATE // steps) <= 2**24


@functools.cache
def _resampler(rate: int) -> torchaudio.transforms.Resample:
    # Making its filter takes as long as using it.
    return torchaudio.transforms.Resample(rate, SAMPLE_RATE)
