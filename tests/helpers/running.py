"""Commands that run beside a test, to be stopped."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from tests.helpers.forked import Forked, Script, fork_scripts


class Running:
    """A command, ``python`` first, with all its processes, in a process group of its own.

    All of Python's are forked.
    """

    def __init__(
        self,
        arguments: list[str],
        log: Path,
        cwd: Path | None = None,
        first: Callable[[], None] = fork_scripts,
    ):
        log.write_text("")
        self.log = log
        self.main = Forked(Script(arguments[1:], log, log, cwd=cwd or Path.cwd(), first=first))
        # Until then it is in the group of the tests, which a signal to its group would end.
        with contextlib.suppress(ProcessLookupError):  # it has ended
            while os.getpgid(self.main.pid) != self.main.pid:
                time.sleep(0.01)

    def when(self, condition: Callable[[], bool]) -> "Running":
        """Wait until the condition holds."""
        while not condition():
            assert self.main.poll() is None, f"ended before it was stopped: {self.log.read_text()}"
            time.sleep(0.01)
        return self

    def end(self) -> int:
        """Wait for the end of the command, and of every process that it started; its exit code."""
        started = [*_descendants(self.main.pid)]
        code = self.main.wait(240)
        deadline = time.monotonic() + 20
        while any(map(_lives, started)):
            assert time.monotonic() < deadline, "processes are left"
            time.sleep(0.05)
        return code

    def signal_all(self, number: signal.Signals) -> int:
        """As Slurm and a terminal do, to every group of processes at once; the exit code."""
        pids = [self.main.pid, *_descendants(self.main.pid)]
        for group in dict.fromkeys(map(os.getpgid, pids)):
            os.killpg(group, number)
        return self.end()


def _descendants(pid: int) -> Iterator[int]:
    with contextlib.suppress(FileNotFoundError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield int(child)
            yield from _descendants(int(child))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def has_saved(out: Path, epoch: int, step: int) -> Callable[[], bool]:
    """Whether there is a checkpoint of the middle of this epoch, after so many steps or more."""

    def holds() -> bool:
        for path in (out / "save").glob("CKPT*"):
            with contextlib.suppress(OSError):  # it may be being deleted
                meta = yaml.safe_load((path / "CKPT.yaml").read_text())
                current = int((path / "epoch_counter.ckpt").read_text())
                steps = yaml.safe_load((path / "brain.ckpt").read_text())["step"]
                if not meta["end-of-epoch"] and current == epoch and steps >= step:
                    return True
        return False

    return holds
