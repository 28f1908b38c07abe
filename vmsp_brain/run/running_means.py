"""Means of what is measured over an epoch."""

from collections.abc import Mapping
from typing import Any

from vmsp_brain.run.epoch_sums import EpochSums


class RunningMeans(EpochSums):
    """Means of named values over an epoch.

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

    def state_dict(self) -> dict[str, Any]:
        """The sums and counts so far."""
        return {"sums": self.sums, "counts": self.counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from them."""
        self.sums, self.counts = state["sums"], state["counts"]
