"""Means of what is measured over an epoch."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import yaml
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)

from vmsp_brain import processes


@partial(register_checkpoint_hooks, save_on_main_only=False)
class RunningMeans:
    """Means of named values over an epoch, kept in checkpoints so that a resumed epoch is whole.

    Each process has its own, and a checkpoint all of them. If another number of processes goes on
    with it, each of them begins with the whole.

    Example
    -------
    >>> means = RunningMeans()
    >>> means.add({"loss": 1.0})
    >>> means.add({"loss": 3.0})
    >>> means.summary()
    {'loss': 2.0}
    """

    def __init__(self) -> None:
        self.clear()

    def add(self, values: Mapping[str, float]) -> None:
        """Count one more of each value."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
            self.counts[name] = self.counts.get(name, 0) + 1

    def summary(self) -> dict[str, float]:
        """The means so far."""
        return {name: total / self.counts[name] for name, total in self.sums.items()}

    def merge(self, other: "RunningMeans") -> None:
        """Count all that another one counted."""
        for name, total in other.sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + total
            self.counts[name] = self.counts.get(name, 0) + other.counts[name]

    def joined(self) -> "RunningMeans":
        """Those of all processes in one, the same in every one."""
        joined = RunningMeans()
        for means in processes.gather(self):
            joined.merge(means)
        return joined

    def clear(self) -> None:
        """Start again."""
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    @mark_as_saver
    def _save(self, path: str | Path) -> None:
        found = processes.gather({"sums": self.sums, "counts": self.counts})
        if processes.rank() == 0:
            Path(path).write_text(yaml.safe_dump(found, sort_keys=False), encoding="utf-8")

    @mark_as_loader
    def _load(self, path: str | Path, end_of_epoch: bool) -> None:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        if len(found) == processes.number():
            found = [found[processes.rank()]]
        self.clear()
        for saved in found:
            part = RunningMeans()
            part.sums, part.counts = saved["sums"], saved["counts"]
            self.merge(part)
