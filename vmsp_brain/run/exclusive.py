"""A folder that one process has at a time."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from vmsp_brain.files import write_whole


@contextmanager
def exclusive(folder: Path, user: str, option: str) -> Iterator[None]:
    """In here, others are kept out of the folder; also after a kill, it is free.

    Arguments
    ---------
    folder : Path
        It is made, if it is not there.
    user : str
        What uses it, such as ``run``, for the message.
    option : str
        How another folder is chosen.

    Raises
    ------
    RuntimeError
        If another process has it; the message says which.
    """
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / "locked_by.txt"
    try:
        lock = FileLock(folder / "lock").acquire(timeout=0)
    except Timeout:
        who = holder.read_text(encoding="utf-8") if holder.exists() else "?"
        raise RuntimeError(
            f"{folder} is in use by another {user} ({who}). Wait for it to end, or choose "
            f"another {option}."
        ) from None
    with lock:
        write_whole(holder, f"process {os.getpid()} on {socket.gethostname()}")
        yield
