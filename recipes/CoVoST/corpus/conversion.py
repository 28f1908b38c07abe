"""Clips as 16 kHz mono FLAC, which is read several times faster than 48 kHz mp3.

The copies are in a folder ``flac`` beside ``clips``. A FLAC gets its name only once it is whole, so
a killed run leaves none that is damaged, and runs that share a corpus may convert it side by side.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
import torch

from vmsp_brain.audio import SAMPLE_RATE, mono_at_model_rate
from vmsp_brain.files import whole_file
from vmsp_brain.shards import name_of


def converted_path(clips_folder: Path, path: str) -> Path:
    """Where a clip's copy is; ``.flac`` follows the whole name, so x.mp3 and x.wav stay apart."""
    return clips_folder.parent / "flac" / f"{name_of(path)}.flac"


def write_converted(samples: np.ndarray, rate: int, file: Path) -> None:
    """Write a decoded clip as FLAC of 16 bits, at the rate that the encoders take.

    Arguments
    ---------
    samples : ndarray
        The clip as it was decoded, (samples, channels).
    rate : int
        Its sampling rate in Hz.
    file : Path
        The FLAC, see `converted_path`.

    Raises
    ------
    OSError
        If it cannot be written; there is no such file then, or the one that was there.
    """
    waveform = mono_at_model_rate(torch.from_numpy(samples.T), rate)
    try:
        with whole_file(file, sync=False) as partial:
            soundfile.write(partial, waveform.numpy(), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    except (soundfile.LibsndfileError, OSError) as error:
        raise OSError(
            f"{file}: cannot be written ({error}). Converted clips go beside the clips: make room "
            "there and let it be written to, or prepare without convert_audio."
        ) from error


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch compute each clip on one core: there are enough clips for the others."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
