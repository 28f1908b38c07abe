"""Penalty schedules: how strongly a level of the hierarchy binds the one above it, per epoch.

With η_k the penalty between level k and level k+1, level 1 counts once, level 2 is multiplied by
η_1, level 3 by η_1·η_2 (Objective Soups, the penalty form of the multilevel problem). A schedule
is any function from the epoch (1, 2, ...) to η >= 0.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class LinearPenalty:
    """η that starts at ``start`` in epoch 1 and grows by ``growth`` per epoch, up to ``cap``.

    Arguments
    ---------
    start : float
        η in the first epoch, not negative.
    growth : float
        What every further epoch adds, not negative.
    cap : float
        The largest η, at least ``start``.

    Raises
    ------
    ValueError
        If a value is out of its range.

    Example
    -------
    >>> penalty = LinearPenalty(start=0.1, growth=0.02, cap=1.5)
    >>> [round(penalty(epoch), 2) for epoch in (1, 2, 11, 1000)]
    [0.1, 0.12, 0.3, 1.5]
    """

    start: float
    growth: float = 0.02
    cap: float = 1.5

    def __post_init__(self) -> None:
        for name in ("start", "growth"):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"LinearPenalty: {name} must not be negative, found {name}="
                    f"{getattr(self, name)!r}. A negative penalty would climb the lower level's "
                    "losses instead of descending them."
                )
        if self.cap < self.start:
            raise ValueError(
                f"LinearPenalty: cap must be at least start, found cap={self.cap!r} and "
                f"start={self.start!r}."
            )

    def __call__(self, epoch: int) -> float:
        return min(self.start + self.growth * (epoch - 1), self.cap)
