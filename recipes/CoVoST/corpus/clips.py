"""Is a clip there, audio, and whole, and how long is it? Asked of many clips in parallel.

A clip is decoded for that, so this is also the moment to convert it.
"""

import json
import os
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from corpus.conversion import converted_path, one_torch_thread, write_converted
from vmsp_brain.audio import can_resample, is_silent
from vmsp_brain.shards import ShardError, file_of, opened

PADDING = 2 * 1152
"""Samples that may miss from what a header announces: two MPEG frames of encoder padding."""

BLOCK = 2**22
"""Samples that are decoded at once, whatever a damaged header announces."""

CHECKS = 2
"""To be raised when clips are examined in another way, so that old findings no longer count."""

ADVICE = {
    "link_outside": "the clips are links that lead out of the clips folder; copy the files there, "
    "or make the clips folder itself a link",
    "shard": "the shards are others than the TSV files were made of; put them back, or remove the "
    "TSV files and run covost_prepare.py --source shards again",
}
"""What to do about faults whose name does not tell."""

CHUNK = 1024
"""Clips that wait in the threads' queue; the whole of CoVoST would fill a gigabyte there."""


@dataclass(frozen=True)
class Clip:
    """What was found.

    Arguments
    ---------
    duration : float
        In seconds, 0 if it cannot be used at all.
    fault : str
        ``outside_clips_folder``, ``link_outside``, ``missing``, ``empty_file``, ``shard``,
        ``not_audio``, ``truncated``, ``sampling_rate``, ``not_finite``, ``silent`` (which has a
        duration), or empty.
    """

    duration: float = 0.0
    fault: str = ""


def check_clip(clips_folder: Path, path: str, convert: bool = False) -> Clip:
    """Examine one clip.

    libsndfile reads a truncated mp3 as a shorter one without an error, so the clip is decoded and
    its length compared with what its header announces. (An mp3 without a Xing or Info header
    announces nothing; a truncated one cannot be told from a shorter one.)

    Arguments
    ---------
    clips_folder : Path
        The language's ``clips`` folder.
    path : str
        From a TSV file, into a shard too; it may not lead out of the folder.
    convert : bool
        Write the clip to `converted_path`, unless it has a fault.
    """
    file = clips_folder / path
    fault = _fault_of_place(clips_folder, path)
    if fault:
        return Clip(fault=fault)
    try:
        with soundfile.SoundFile(opened(file)) as audio:
            announced, rate = audio.frames, audio.samplerate
            samples = _decode(audio)
    except ShardError:
        return Clip(fault="shard")
    except soundfile.SoundFileRuntimeError:
        return Clip(fault="not_audio")
    fault = _fault_of_sound(samples, rate, announced)
    if fault not in ("", "silent"):
        return Clip(fault=fault)
    if convert:
        write_converted(samples, rate, converted_path(clips_folder, path))
    return Clip(round(len(samples) / rate, 4), fault)


def _fault_of_place(folder: Path, path: str) -> str:
    if Path(path).is_absolute() or ".." in Path(path).parts:  # wherever it leads
        return "outside_clips_folder"
    try:
        if not os.path.realpath(folder / path).startswith(os.path.realpath(folder) + os.sep):
            return "link_outside"
        status = file_of(folder / path).stat()
    except (OSError, ValueError):  # ValueError: no path has a null byte
        return "missing"
    if not stat.S_ISREG(status.st_mode):
        return "missing"
    return "" if status.st_size else "empty_file"


def _decode(audio: soundfile.SoundFile) -> np.ndarray:
    """Samples as float32, (samples, channels)."""
    blocks = [audio.read(BLOCK, dtype="float32", always_2d=True)]
    while len(blocks[-1]) == BLOCK:  # what follows a short one is a damaged file's samples again
        blocks.append(audio.read(BLOCK, dtype="float32", always_2d=True))
    return np.concatenate(blocks)


def _fault_of_sound(samples: np.ndarray, rate: int, announced: int) -> str:
    if len(samples) == 0:
        return "not_audio"
    if announced - len(samples) > PADDING:
        return "truncated"
    if not can_resample(rate):
        return "sampling_rate"
    if not np.isfinite(samples).all():
        return "not_finite"
    return "silent" if is_silent(samples) else ""


class ClipJournal:
    """Findings on clips, appended to a file as they are made, so that a killed run goes on.

    Arguments
    ---------
    path : Path
        The journal. A finding counts as long as the clip's size and time of change stay the same.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, tuple[list[int], Clip]] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    name, stamp, duration, fault = json.loads(line)
                    self.known[str(name)] = (stamp, Clip(float(duration), str(fault)))
                except (ValueError, TypeError):
                    continue  # the line at which a run was killed: that clip is examined again

    def check(
        self, clips: Iterable[tuple[str, Path, str]], workers: int | None, convert: bool = False
    ) -> dict[str, Clip]:
        """Examine clips, those that are known aside, with a progress bar.

        Arguments
        ---------
        clips : iterable of tuple
            Key, clips folder, path.
        workers : int, optional
            Threads (decoding does not hold Python's lock); as many as cores if not given.
        convert : bool
            Convert the clips too; one that is known but has no copy is examined again.

        Returns
        -------
        dict
            `Clip` by key.
        """
        todo = []
        found = {}
        for key, folder, path in clips:
            fault = _fault_of_place(folder, path)
            if fault:  # not remembered: it depends on more than the clip
                found[key] = Clip(fault=fault)
                continue
            stamp = _stamp(folder / path)
            before, clip = self.known.get(key, (None, Clip()))
            copied = not convert or clip.fault or converted_path(folder, path).is_file()
            if before == stamp and copied:
                found[key] = clip
            else:
                todo.append((key, folder, path, stamp))
        with self.path.open("a", encoding="utf-8") as journal:
            if self.path.stat().st_size:
                journal.write("\n")  # after what a killed run may have left
            results = _check_in_parallel(todo, workers, convert)
            progress = tqdm(zip(todo, results, strict=True), "clips", len(todo), disable=not todo)
            for (key, _, _, stamp), clip in progress:
                journal.write(json.dumps([key, stamp, *astuple(clip)]) + "\n")
                journal.flush()
                found[key] = clip
        return found


def _check_in_parallel(
    todo: list[tuple[str, Path, str, list[int]]], workers: int | None, convert: bool
) -> Iterator[Clip]:
    pool = ThreadPoolExecutor(workers or os.cpu_count())
    try:
        with one_torch_thread():
            for start in range(0, len(todo), CHUNK):
                chunk = todo[start : start + CHUNK]
                yield from pool.map(lambda item: check_clip(item[1], item[2], convert), chunk)
    finally:
        pool.shutdown(cancel_futures=True)  # an error or Ctrl-C does not wait for the rest


def _stamp(file: Path) -> list[int]:
    """Kind of examination, size in bytes, time of change in ns; of its shard if it is in one."""
    status = file_of(file).stat()
    return [CHECKS, status.st_size, status.st_mtime_ns]
