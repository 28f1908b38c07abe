"""Commands that run beside this process, and do not outlive it unasked."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # more would wait for each other where several commands run
    "TQDM_DISABLE": "1",  # progress bars are for a terminal
    "PYTHONUNBUFFERED": "1",  # an error's message is the last of the output
}
"""What is set for them."""

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # nothing is loaded after a fork


class Child:
    """A command with its output in a file.

    It is in a session of its own, so that Ctrl-C reaches it by way of this process alone; if this
    process dies, the system sends it SIGTERM (on Linux).

    Arguments
    ---------
    words : list of str
        The command.
    output : Path
        The file of what it prints, to which it appends.
    """

    def __init__(self, words: Sequence[str], output: Path) -> None:
        self.output = output
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("a", encoding="utf-8") as file:
            self._process = subprocess.Popen(
                words,
                env={**os.environ, **ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent if _LIBC else None,
            )

    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def ask_to_end(self) -> None:
        """Send SIGTERM, upon which a run saves a checkpoint."""
        self._process.terminate()

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        return self._process.wait()

    def last_words(self) -> str:
        """The last line that it printed: its message, if it ended with an error."""
        lines = self.output.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def how_it_ended(code: int) -> str:
    """An exit code in words.

    Example
    -------
    >>> how_it_ended(1), how_it_ended(-9)
    ('exit code 1', 'killed by SIGKILL')
    """
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


def end_all(children: Iterable[Child]) -> None:
    """Ask all of them to end by SIGTERM, as a time limit does, and wait for them."""
    asked = list(children)
    for child in asked:
        child.ask_to_end()
    for child in asked:
        child.wait()


def _end_with_parent() -> None:
    if _LIBC:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
