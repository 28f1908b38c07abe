"""SIGTERM, a cluster's time limit, and SIGINT, Ctrl-C: a run ends where nothing is lost."""

import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

from speechbrain.utils.logger import get_logger

from vmsp_brain import processes

logger = get_logger(__name__)

SIGNALS = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C (SIGINT)"}
"""Those that ask a run to end."""


class Termination:
    """In here, SIGTERM and SIGINT are noted, so that a run can end where nothing is lost.

    A second Ctrl-C ends a process that is alone at once. The handlers that were there before are
    given back at the end. A signal that came too late to be heeded in here is passed on to them.

    Example
    -------
    >>> termination = Termination()
    >>> with termination:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     if termination.requested:
    ...         termination.stop("epoch 3, step 5; nothing was saved.")
    Traceback (most recent call last):
        ...
    SystemExit: 143
    """

    def __init__(self) -> None:
        self._received: signal.Signals | None = None
        self._former: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether this process has been asked to end."""
        return self._received is not None

    def __enter__(self) -> Self:
        self._received = None
        if threading.current_thread() is threading.main_thread():  # Python allows it there alone
            self._former = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        if kind is None and self._received is not None:
            signal.raise_signal(self._received)

    def stop(self, where: str) -> NoReturn:
        """End the program, as a shell reports one that the signal ended: 128 + its number.

        Arguments
        ---------
        where : str
            Where the run is, what it has saved, and how to go on.
        """
        number = self._received or signal.SIGTERM  # without: another process was asked
        logger.warning(f"Stopped by {SIGNALS[number]} in {where}")
        sys.exit(128 + number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._received = signal.Signals(number)
        if number == signal.SIGINT and processes.number() == 1:  # torchrun sends a copy
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def heed_parent_alone(worker: int) -> None:
    """A DataLoader's ``worker_init_fn``: the main process alone decides when its workers end.

    A time limit and Ctrl-C reach every process of a group, and a worker that dies of them would
    take the main process with it before that could save anything. But SIGTERM is also how the main
    process ends workers that are left at its own end, so the sender is asked for. (Where a system
    does not tell, on macOS, workers keep torch's handlers.)
    """
    if hasattr(signal, "sigwaitinfo"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_when_told_by, args=(os.getppid(),), daemon=True).start()


def _end_when_told_by(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
