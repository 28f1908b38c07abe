"""What is expensive to make is made once for all of pytest's processes."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first process to ask for it makes, while others wait; not to be changed.

    Arguments
    ---------
    factory : TempPathFactory
        Of the session.
    name : str
        The folder's.
    make : callable
        Fills the folder that it is given, which is there and empty.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # each worker has a folder of its own in it
    folder, whole = base / name, base / f"{name}.made"
    with FileLock(base / f"{name}.lock"):
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)  # one that failed
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder
