"""Files that are there whole or not at all, after a power cut too."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | Path, sync: bool = True) -> Iterator[Path]:
    """A partial file to be written, which gets its name when the block ends without an error.

    What was there stays until then. The partial file's name is its own, so that several processes
    may write the same file: the last one counts.

    Arguments
    ---------
    path : Path
        The file; its folder is made.
    sync : bool
        Wait until the device has it (10 ms on a disk), so that it is whole after a power cut too.
        False for each of many files that are made again where they are damaged.

    Yields
    ------
    Path
        Where to write; it is gone after an error.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        yield partial
        put_in_place(partial, path, sync)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: str | Path, text: str) -> None:
    """Write a text file, in UTF-8, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def put_in_place(partial: Path, path: Path, sync: bool = True) -> None:
    """Give a file, or a folder of files, its name; see `whole_file`."""
    for file in [*partial.rglob("*"), partial] if sync else []:
        _sync(file)
    partial.replace(path)
    if sync:
        _sync(path.parent)


def _sync(path: Path) -> None:
    """Wait until the device has it; Windows has no such thing for a folder."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
