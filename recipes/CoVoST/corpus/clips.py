"""Is a clip there, audio, and whole, and how long is it? Asked of many clips in parallel.

A clip is decoded for that, so this is also the moment to convert it.
"""

import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path

import soundfile
from tqdm import tqdm

from corpus.conversion import converted_path, one_torch_thread, write_converted

PADDING = 2 * 1152
"""Samples that may miss from what a header announces: two MPEG frames of encoder padding."""

CHUNK = 1024
"""Clips that wait in the threads' queue; the whole of CoVoST would fill a gigabyte there."""


@dataclass(frozen=True)
class Clip:
    """What was found.

    Arguments
    ---------
    duration : float
        In seconds, 0 if there is a fault.
    fault : str
        ``outside_clips_folder``, ``missing``, ``empty_file``, ``not_audio``, ``truncated``, or
        empty.
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
        From a TSV file; it may not lead out of the folder.
    convert : bool
        Write the clip to `converted_path`, unless it has a fault.
    """
    file = clips_folder / path
    if not _is_inside(clips_folder, path):
        return Clip(fault="outside_clips_folder")
    if not file.is_file():
        return Clip(fault="missing")
    if file.stat().st_size == 0:
        return Clip(fault="empty_file")
    try:
        with soundfile.SoundFile(file) as audio:
            announced = audio.frames
            samples = audio.read(dtype="float32", always_2d=True)
            rate = audio.samplerate
    except soundfile.LibsndfileError:
        return Clip(fault="not_audio")
    if len(samples) == 0:
        return Clip(fault="not_audio")
    if announced - len(samples) > PADDING:
        return Clip(fault="truncated")
    if convert:
        write_converted(samples, rate, converted_path(clips_folder, path))
    return Clip(duration=round(len(samples) / rate, 4))


def _is_inside(folder: Path, path: str) -> bool:
    """Whether a path, links followed, stays in the folder; ``..`` never does, wherever it leads."""
    if Path(path).is_absolute() or ".." in Path(path).parts:
        return False
    return os.path.realpath(folder / path).startswith(os.path.realpath(folder) + os.sep)


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
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    name, stamp, duration, fault = json.loads(line)
                except ValueError:
                    continue  # the line at which a run was killed: that clip is examined again
                self.known[name] = (stamp, Clip(duration, fault))

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
    """Size in bytes and time of change in ns; empty if there is no such file."""
    try:
        status = file.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]
