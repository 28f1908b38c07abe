"""An audio file of any length: measured block by block and read piece by piece."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
from speechbrain.dataio import audio_io
from torch import Tensor

from vmsp_brain.audio import SHORTEST, SILENCE, mono_at_model_rate
from vmsp_brain.shards import file_of, opened
from vmsp_brain.use.pauses import QUIETEST, pieces

_FRAME = 0.01  # s
_BLOCK = 1000  # frames that are measured at a time


class Recording:
    """An audio file that need not fit into memory.

    Arguments
    ---------
    path : Path
        Of any sample rate and number of channels; into a shard too.

    Attributes
    ----------
    seconds : float
        Its duration.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not audio or is shorter than a frame.

    Example
    -------
    >>> recording = Recording("bonjour.wav")
    >>> recording.pieces(usual_seconds=20, max_seconds=30) == [(0.0, recording.seconds)]
    True
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        if not file_of(path).is_file():
            raise FileNotFoundError(f"{path}: there is no such file.")
        with self._readable():
            info = audio_io.info(opened(path))
        self.rate, self.seconds = info.sample_rate, info.duration
        if self.seconds < SHORTEST:
            raise ValueError(
                f"{path} holds {self.seconds:.3f} s of audio, expected at least {SHORTEST} s."
            )

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise ValueError(
                f"{self.path} cannot be read as audio ({error}). It is damaged or of a kind that "
                "libsndfile does not know; try WAV, FLAC, MP3 or OGG."
            ) from error

    @property
    def frame(self) -> float:
        """Seconds of which a level is measured: 10 ms, in whole samples."""
        return self._samples_per_frame / self.rate

    @property
    def _samples_per_frame(self) -> int:
        return round(_FRAME * self.rate)

    @cached_property
    def levels(self) -> np.ndarray:
        """Level of every frame but for its mean, which is not heard, dB of full scale, (frames,).

        Raises
        ------
        ValueError
            If a sample is not a finite number, or none is heard; the message says where.
        """
        size, found = self._samples_per_frame, []
        lowest, highest, read = np.inf, -np.inf, 0
        with self._readable():
            for block in soundfile.blocks(
                opened(self.path), size * _BLOCK, dtype="float32", always_2d=True
            ):
                mono = block.mean(1)
                self._check_finite(mono, read)
                lowest, highest = min(lowest, mono.min()), max(highest, mono.max())
                read += len(mono)
                whole = len(mono) // size * size
                found += [mono[:whole].reshape(-1, size).std(1), *_rest(mono[whole:])]
        if not read or (highest - lowest) / 2 <= SILENCE:
            raise ValueError(
                f"{self.path} is silent from 0 to {self.seconds:.1f} s: no sample is above "
                f"{SILENCE:g} of full scale. Expected speech."
            )
        return 20 * np.log10(np.maximum(np.concatenate(found), 10 ** (QUIETEST / 20)))

    def _check_finite(self, mono: np.ndarray, before: int) -> None:
        bad = np.flatnonzero(~np.isfinite(mono))
        if len(bad):
            raise ValueError(
                f"{self.path}, at {(before + bad[0]) / self.rate:.3f} s: samples that are not "
                "finite numbers. Make the file anew."
            )

    def check(self) -> None:
        """Refuse what is no sound, see `levels`."""
        _ = self.levels

    def pieces(self, usual_seconds: float, max_seconds: float) -> list[tuple[float, float]]:
        """Start and end in seconds of what is to be transcribed: all of a recording that is no
        longer than usual, else what lies between the pauses, see `vmsp_brain.use.pauses.pieces`.

        Raises
        ------
        ValueError
            As `levels` does, or if there is nothing but clicks.
        """
        self.check()
        if self.seconds <= usual_seconds:
            return [(0.0, self.seconds)]
        found = pieces(self.levels, self.frame, usual_seconds, max_seconds)
        if not found:
            raise ValueError(
                f"{self.path} holds nothing but clicks in {self.seconds:.1f} s. Expected speech."
            )
        return found

    def read(self, start: float = 0.0, end: float | None = None) -> Tensor:
        """A part of the waveform, mono, at 16 kHz, (samples,); resampled as in training."""
        first = round(start * self.rate)
        number = -1 if end is None else round(end * self.rate) - first
        with self._readable():
            loaded = audio_io.load(opened(self.path), frame_offset=first, num_frames=number)
        return mono_at_model_rate(*loaded)


def _rest(mono: np.ndarray) -> list[np.ndarray]:
    """The level of what is left of the last block, if anything is."""
    return [mono.std(keepdims=True)] if len(mono) else []
