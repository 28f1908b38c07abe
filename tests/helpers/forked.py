"""Processes that are forked where the imports are done, which take seconds of each.

They have signals, exit codes, limits, sessions and files of their own; only their start is another.
The tutorial's test starts every command as a user does.
"""

import atexit
import multiprocessing
import os
import runpy
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

multiprocessing.set_forkserver_preload(
    [
        "tests.helpers.oracles",
        "torch._dynamo",  # an optimizer's first step imports it
        "torch.nn.parallel.distributed",
        "vmsp_brain.use.export",
        "vmsp_brain.watch.plots",
        "vmsp_brain.watch.report",
    ]
)
START = "forkserver"


@dataclass
class Script:
    """What a process of its own runs, as ``python WORDS`` would.

    Arguments
    ---------
    words : list of str
        The script's path and its arguments.
    stdout, stderr : Path
        Files that it appends to; they may be the same.
    environment : dict
        All of it.
    cwd : Path
        Its current folder.
    first : callable, optional
        A module's function that it calls before.
    """

    words: Sequence[str]
    stdout: Path
    stderr: Path
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    cwd: Path = field(default_factory=Path.cwd)
    first: Callable[[], None] | None = None

    def run(self) -> NoReturn:
        """Run it in this process, which leads a group of its own, to its end."""
        os.setsid()
        multiprocessing.set_start_method(None, force=True)  # of its own children: the system's
        for number, path in enumerate((self.stdout, self.stderr), start=1):
            opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(opened, number)
        os.environ.clear()
        os.environ.update(self.environment)
        os.chdir(self.cwd)
        sys.argv[:] = self.words
        sys.path.insert(0, str(Path(self.words[0]).parent))
        if self.first is not None:
            self.first()
        code = self._exit_code()
        atexit._run_exitfuncs()
        sys.exit(code)

    def _exit_code(self) -> int:
        """What Python would end with."""
        try:
            runpy.run_path(self.words[0], run_name="__main__")
        except SystemExit as end:
            if end.code is None or isinstance(end.code, int):
                return end.code or 0
            print(end.code, file=sys.stderr)
            return 1
        except BaseException:
            traceback.print_exc()
            return 1
        return 0


class Forked:
    """A `Script` that runs; what is asked of a `subprocess.Popen`."""

    def __init__(self, script: Script):
        self._process = multiprocessing.get_context(START).Process(target=script.run)
        self._process.start()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        """Its exit code, when it has ended."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, f"not at its end after {seconds} s"
        return self._process.exitcode
