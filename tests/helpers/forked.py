"""Processes that are forked where the imports are done, which take seconds of each.

They have signals, exit codes, limits, sessions and files of their own; only their start is another.
The minimal recipe's usage and the tests of threads, for one, start Python as a user does.
"""

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
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
        "torch.distributed.launcher.api",
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
        The script's path, or ``-m`` and a module, and its arguments.
    stdout, stderr : Path, optional
        Files that it appends to, which may be the same; without one: where its parent writes.
    environment : dict
        All of it.
    cwd : Path
        Its current folder.
    first : callable, optional
        A module's function that it calls before.
    """

    words: Sequence[str]
    stdout: Path | None = None
    stderr: Path | None = None
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    cwd: Path = field(default_factory=Path.cwd)
    first: Callable[[], None] | None = None

    def run(self) -> NoReturn:
        """Run it in this process, which leads a group of its own, to its end."""
        os.setsid()
        multiprocessing.set_start_method(None, force=True)  # of its own children: the system's
        _forget_handlers()
        for number, path in enumerate((self.stdout, self.stderr), start=1):
            if path is not None:
                opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                os.dup2(opened, number)
        os.environ.clear()
        os.environ.update(self.environment)
        if "PYTHONUNBUFFERED" in os.environ:
            sys.stdout.reconfigure(line_buffering=True)
        os.chdir(self.cwd)
        if self.first is not None:
            self.first()
        code = self._exit_code()
        atexit._run_exitfuncs()
        sys.exit(code)

    def _exit_code(self) -> int:
        """What Python would end with."""
        try:
            self._run_words()
        except SystemExit as end:
            if end.code is None or isinstance(end.code, int):
                return end.code or 0
            print(end.code, file=sys.stderr)
            return 1
        except BaseException:
            traceback.print_exc()
            return 1
        return 0

    def _run_words(self) -> None:
        if self.words[0] == "-m":
            sys.argv[:] = self.words[1:]
            sys.path.insert(0, str(self.cwd))
            runpy.run_module(self.words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv[:] = self.words
            sys.path.insert(0, str(Path(self.words[0]).parent))
            runpy.run_path(self.words[0], run_name="__main__")


def _forget_handlers() -> None:
    """As a new Python does."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Forked:
    """A `Script` that runs; what is asked of a `subprocess.Popen`."""

    def __init__(self, script: Script, start: str = START):
        self._process = multiprocessing.get_context(start).Process(target=script.run)
        self._process.start()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, when it has ended, which it must in so many seconds."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("a forked process", timeout)
        return code

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.terminate()


def fork_scripts() -> None:
    """From now on, where this process would start Python with a script, fork it."""
    # Of torchrun; here, for in most processes nobody asks for it.
    from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler

    started = subprocess.Popen

    def popen(args: Sequence[str], **options) -> Forked | subprocess.Popen:
        if args[0] != sys.executable:
            return started(args, **options)
        words = [word for word in args[1:] if word != "-u"]
        output = Path(options["stdout"].name) if options.get("stdout") else None
        script = Script(words, output, output, options["env"], first=options.get("preexec_fn"))
        return Forked(script, "fork")

    subprocess.Popen = subprocess_handler.Popen = popen
