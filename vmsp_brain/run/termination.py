"""SIGTERM, a cluster's time limit: a run ends at the next step, with a checkpoint."""

import signal
import sys
import threading

from speechbrain.utils.logger import get_logger

logger = get_logger(__name__)

EXIT_CODE = 128 + signal.SIGTERM
"""What a shell says of a program that SIGTERM ended."""


class Termination:
    """Notes SIGTERM instead of dying of it, so that a run can end where nothing is lost.

    Example
    -------
    >>> termination = Termination()
    >>> signal.raise_signal(signal.SIGTERM)
    >>> termination.requested
    True
    """

    def __init__(self) -> None:
        self.requested = False
        if threading.current_thread() is threading.main_thread():  # Python allows it there alone
            signal.signal(signal.SIGTERM, self._note)

    def stop(self, where: str) -> None:
        """End the program.

        Arguments
        ---------
        where : str
            Where the run is, and what it has saved.
        """
        logger.warning(f"Stopped by SIGTERM in {where}.")
        sys.exit(EXIT_CODE)

    def _note(self, signal_number: int, frame) -> None:
        self.requested = True
