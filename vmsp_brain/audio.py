"""Audio files as the encoders take them: mono, at 16 kHz."""

import functools

import torchaudio
from speechbrain.dataio import audio_io
from torch import Tensor

SAMPLE_RATE = 16_000
"""Sampling rate of the waveforms that all encoders take, in Hz."""


def load_audio(wav: str) -> Tensor:
    """Waveform of an audio file, mono, at 16 kHz, (samples,).

    Raises
    ------
    ValueError
        If the file is missing or is not audio.
    """
    try:
        waveform, rate = audio_io.load(wav)  # (channels, samples)
    except RuntimeError as error:
        raise ValueError(
            f"{wav} cannot be read, though the manifest lists it: {error}. Put the file back, or "
            "remove its row from the manifest (a dev or test row less changes the score)."
        ) from error
    return mono_at_model_rate(waveform, rate)


def mono_at_model_rate(waveform: Tensor, rate: int) -> Tensor:
    """A waveform (channels, samples) of this rate in Hz as mono at 16 kHz, (samples,)."""
    return _resampler(rate)(waveform.mean(0))


@functools.cache
def _resampler(rate: int) -> torchaudio.transforms.Resample:
    # Making its filter takes as long as using it.
    return torchaudio.transforms.Resample(rate, SAMPLE_RATE)
