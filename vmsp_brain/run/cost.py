"""What training costs: the time and the memory of every epoch."""

import resource
import sys
import time
from pathlib import Path

import torch
import yaml
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)

GIB = 2**30


@register_checkpoint_hooks
class EpochCost:
    """Measures an epoch, kept in checkpoints so that a resumed epoch is counted whole.

    Measured is this process: with several processes, the main one's. CPU time tells more than time
    where other programs want the same cores.

    Example
    -------
    >>> cost = EpochCost()
    >>> cost.start()
    >>> sorted(cost.stop(torch.device("cpu")))
    ['cpu_minutes', 'memory_gib', 'minutes']
    """

    def __init__(self) -> None:
        self._before = (0.0, 0.0)  # s of time and of CPU time, in an earlier part of this epoch
        self._start = _clocks()

    def start(self) -> None:
        """Begin an epoch, or its rest after a checkpoint was loaded."""
        self._start = _clocks()

    def stop(self, device: torch.device) -> dict[str, float]:
        """End the epoch.

        Arguments
        ---------
        device : device
            Whose memory counts: a GPU's as PyTorch has reserved it, else the process's; at most,
            since the process began.

        Returns
        -------
        dict
            ``minutes``, ``cpu_minutes`` and ``memory_gib``.
        """
        seconds, cpu_seconds = self._spent()
        self._before = (0.0, 0.0)
        return {
            "minutes": seconds / 60,
            "cpu_minutes": cpu_seconds / 60,
            "memory_gib": _peak_memory(device) / GIB,
        }

    def _spent(self) -> tuple[float, float]:
        clocks = zip(self._before, self._start, _clocks(), strict=True)
        seconds, cpu_seconds = (before + now - start for before, start, now in clocks)
        return seconds, cpu_seconds

    @mark_as_saver
    def _save(self, path: str) -> None:
        Path(path).write_text(yaml.safe_dump(list(self._spent())), encoding="utf-8")

    @mark_as_loader
    def _load(self, path: str, end_of_epoch: bool) -> None:
        if not end_of_epoch:
            self._before = tuple(yaml.safe_load(Path(path).read_text(encoding="utf-8")))


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _peak_memory(device: torch.device) -> int:
    """In bytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # KiB but on macOS
