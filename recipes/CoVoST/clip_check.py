"""Is a clip there, audio, and whole, and how long is it? Asked of many clips in parallel."""

import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path

import soundfile
from tqdm import tqdm

PADDING = 2 * 1152
"""Samples that may miss from what a header announces: two MPEG frames of encoder padding."""


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


def check_clip(clips_folder: Path, path: str) -> Clip:
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
    """
    file = clips_folder / path
    if not os.path.realpath(file).startswith(os.path.realpath(clips_folder) + os.sep):
        return Clip(fault="outside_clips_folder")
    if not file.is_file():
        return Clip(fault="missing")
    if file.stat().st_size == 0:
        return Clip(fault="empty_file")
    try:
        with soundfile.SoundFile(file) as audio:
            announced = audio.frames
            decoded = len(audio.read(dtype="int16"))
            rate = audio.samplerate
    except soundfile.LibsndfileError:
        return Clip(fault="not_audio")
    if decoded == 0:
        return Clip(fault="not_audio")
    if announced - decoded > PADDING:
        return Clip(fault="truncated")
    return Clip(duration=round(decoded / rate, 4))


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

    def check(self, clips: Iterable[tuple[str, Path, str]], workers: int | None) -> dict[str, Clip]:
        """Examine clips, those that are known aside, with a progress bar.

        Arguments
        ---------
        clips : iterable of tuple
            Key, clips folder, path.
        workers : int, optional
            Threads (decoding does not hold Python's lock); as many as cores if not given.

        Returns
        -------
        dict
            `Clip` by key.
        """
        todo = []
        found = {}
        for key, folder, path in clips:
            stamp = _stamp(folder / path)
            if key in self.known and self.known[key][0] == stamp:
                found[key] = self.known[key][1]
            else:
                todo.append((key, folder, path, stamp))
        with (
            ThreadPoolExecutor(workers or os.cpu_count()) as pool,
            self.path.open("a", encoding="utf-8") as journal,
        ):
            if self.path.stat().st_size:
                journal.write("\n")  # after what a killed run may have left
            results = pool.map(lambda item: check_clip(item[1], item[2]), todo)
            progress = tqdm(zip(todo, results, strict=True), "clips", len(todo), disable=not todo)
            for (key, _, _, stamp), clip in progress:
                journal.write(json.dumps([key, stamp, *astuple(clip)]) + "\n")
                journal.flush()
                found[key] = clip
        return found


def _stamp(file: Path) -> list[int]:
    """Size in bytes and time of change in ns; empty if there is no such file."""
    try:
        status = file.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]
