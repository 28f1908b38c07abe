"""Standard errors of what is estimated from many steps: the jackknife that leaves out groups.

A statistic of means over steps (a ratio, a cosine) is taken again and again without one group of
the steps; how it varies tells its standard error. Groups may differ in size (Busing, Meijer, van
der Leeden, *Delete-m Jackknife for Unequal m*, Statistics and Computing 1999).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

GROUPS = 64
"""Steps are dealt out to so many groups in turn: all that is kept of them are the groups' sums."""


class GroupedSums:
    """Sums of one measurement per step over groups of steps, float64.

    Example
    -------
    >>> sums = GroupedSums()
    >>> for value in (1.0, 2.0, 3.0):
    ...     sums.add(torch.tensor(value))
    >>> sums.estimate(lambda mean: mean**2)
    (tensor(4., dtype=torch.float64), tensor(2.3154, dtype=torch.float64))
    """

    sums: Tensor | None
    counts: Tensor

    def __init__(self) -> None:
        self.clear()

    def __len__(self) -> int:
        """How many measurements there are."""
        return int(self.counts.sum())

    def add(self, values: Tensor) -> None:
        """Count one more measurement, of the shape of all."""
        group = len(self) % GROUPS
        sums = self.sums
        if sums is None:
            sums = self.sums = torch.zeros(GROUPS, *values.shape, dtype=torch.float64)
        sums[group] += values
        self.counts[group] += 1

    def merge(self, other: "GroupedSums") -> None:
        """Count all that another one counted."""
        if other.sums is not None:
            self.sums = other.sums.clone() if self.sums is None else self.sums + other.sums
        self.counts = self.counts + other.counts

    def clear(self) -> None:
        """Start again."""
        self.sums = None
        self.counts = torch.zeros(GROUPS, dtype=torch.float64)

    def map(self, function: Callable[[Tensor], Tensor]) -> "GroupedSums":
        """Of what a linear function makes of the measurements, whose first axis counts groups."""
        mapped = GroupedSums()
        mapped.counts = self.counts
        mapped.sums = None if self.sums is None else function(self.sums)
        return mapped

    @property
    def degrees(self) -> int:
        """The degrees of freedom of a standard error."""
        return int((self.counts > 0).sum()) - 1

    def estimate(self, statistic: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """A statistic of the mean, and its standard error: not a number from less than two groups.

        Arguments
        ---------
        statistic : callable
            Of a mean, or of many with an axis before theirs, which it keeps in front.

        Raises
        ------
        ValueError
            If nothing was measured.
        """
        if self.sums is None:
            raise ValueError("Found no measurement, expected one or more to estimate from.")
        used = self.counts > 0
        sums, counts = self.sums[used], self.counts[used]
        total, size = sums.sum(0), counts.sum()
        whole = statistic((total / size).unsqueeze(0)).squeeze(0)
        if len(counts) < 2:
            return whole, torch.full_like(whole, torch.nan)
        without = statistic((total - sums) / _along(size - counts, sums))
        ratio = _along(size / counts, without)
        mean = len(counts) * whole - ((1 - 1 / ratio) * without).sum(0)
        pseudo = ratio * whole - (ratio - 1) * without
        return whole, ((pseudo - mean).square() / (ratio - 1)).mean(0).sqrt()

    def state_dict(self) -> dict[str, Any]:
        """All that was counted, for a checkpoint."""
        return {"sums": self.sums, "counts": self.counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.sums, self.counts = state["sums"], state["counts"]


def _along(values: Tensor, other: Tensor) -> Tensor:
    """One value per group, (G,), shaped to go with (G, ...)."""
    return values.view(-1, *[1] * (other.dim() - 1))
