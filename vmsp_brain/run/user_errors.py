"""Errors of what people give end in one message; errors of the code keep their traceback."""

import linecache
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger

logger = get_logger(__name__)


@contextmanager
def one_message() -> Iterator[None]:
    """End the program with an error's message alone, and exit code 1, if the error is for people.

    It is, if the system raised it (no such file, no space left), or the project's own code did so
    on purpose: then the message says what to do. All others go on, with their traceback. That of
    the former is in the run's ``log.txt``, if the run has got that far. Ctrl-C ends it likewise.

    Example
    -------
    >>> with one_message():
    ...     open("nowhere.yaml")
    Traceback (most recent call last):
    SystemExit: 1
    """
    try:
        yield
    except (ValueError, RuntimeError, MemoryError, OSError) as error:
        if not isinstance(error, OSError) and not _raised_on_purpose(error):
            raise
        logger.debug("The run ends with an error.", exc_info=True)
        if speaks():
            print(error, file=sys.stderr, flush=True)
        sys.exit(1)
    except KeyboardInterrupt:  # in training it is not raised, see `vmsp_brain.run.termination`
        if if_main_process():
            print("Stopped by Ctrl-C (SIGINT). The same command goes on.", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


def speaks() -> bool:
    """Whether this process is to say what it has found.

    Before the processes that ``torchrun`` starts know of each other they all find the same.
    """
    return torch.distributed.is_initialized() or os.environ.get("RANK", "0") == "0"


def _raised_on_purpose(error: BaseException) -> bool:
    """Whether it comes from a ``raise`` in this library, or beside the script that runs."""
    frame, line = list(traceback.walk_tb(error.__traceback__))[-1]
    file = Path(frame.f_code.co_filename).resolve()
    own = [Path(__file__).resolve().parents[1]]
    if Path(sys.argv[0]).is_file():  # not python -c
        own.append(Path(sys.argv[0]).resolve().parent)
    statement = linecache.getline(str(file), line).lstrip()
    return any(file.is_relative_to(folder) for folder in own) and statement.startswith("raise")
