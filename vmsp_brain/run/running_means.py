"""Means of what is measured over an epoch."""

from collections.abc import Mapping
from pathlib import Path

import yaml
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)


@register_checkpoint_hooks
class RunningMeans:
    """Means of named values over an epoch, kept in checkpoints so that a resumed epoch is whole.

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

    def clear(self) -> None:
        """Start again."""
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    @mark_as_saver
    def _save(self, path) -> None:
        with Path(path).open("w", encoding="utf-8") as file:
            yaml.safe_dump({"sums": self.sums, "counts": self.counts}, file, sort_keys=False)

    @mark_as_loader
    def _load(self, path, end_of_epoch: bool) -> None:
        with Path(path).open(encoding="utf-8") as file:
            saved = yaml.safe_load(file)
        self.sums, self.counts = saved["sums"], saved["counts"]
