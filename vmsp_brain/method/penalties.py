"""Penalty schedules: how strongly a level of the hierarchy binds the one above it, per epoch.

With η_k the penalty between level k and level k+1, level 1 counts once, level 2 is multiplied by
η_1, level 3 by η_1·η_2 (Objective Soups, the penalty form of the multilevel problem).

A schedule is any function of (epoch, validation losses) that gives η >= 0: the epoch counts from 1,
and the losses are the lower level's mean validation losses after each epoch before this one, NaN
where a validation had none of its objectives; epochs without validation are not among them. It
holds no state of its own, so a plain function will do, and a resumed run needs nothing but the
losses.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import chain, islice, repeat

Penalty = Callable[[int, Sequence[float]], float]
"""η from the epoch (1, 2, ...) and the lower level's validation losses so far."""


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
        _check(self)

    def __call__(self, epoch: int, validation_losses: Sequence[float] = ()) -> float:
        return min(self.start + self.growth * (epoch - 1), self.cap)


@dataclass(frozen=True)
class ConstantPenalty:
    """The same η in every epoch.

    Arguments
    ---------
    value : float
        η, not negative.

    Raises
    ------
    ValueError
        If it is negative.

    Example
    -------
    >>> ConstantPenalty(0.5)(epoch=7)
    0.5
    """

    value: float

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, epoch: int, validation_losses: Sequence[float] = ()) -> float:
        return self.value


@dataclass(frozen=True)
class AdaptivePenalty:
    """η that grows faster after every epoch in which the lower level was hurt.

    It grows by ``growth`` per epoch, but by ``fast_growth`` after an epoch whose validation loss of
    the lower level lies more than ``threshold`` above the best so far. After an epoch without a
    validation loss, or with one that is not a number, it grows by ``growth``.

    Arguments
    ---------
    start : float
        η in the first epoch, not negative.
    growth : float
        What an epoch adds, not negative.
    fast_growth : float
        What an epoch adds after which the lower level had degraded, at least ``growth``.
    threshold : float
        Degradation that is tolerated, in units of the loss, not negative.
    cap : float
        The largest η, at least ``start``.

    Raises
    ------
    ValueError
        If a value is out of its range.

    Example
    -------
    >>> penalty = AdaptivePenalty(start=0.1, growth=0.02, fast_growth=0.1, threshold=0.05)
    >>> round(penalty(4, [2.0, 1.5, 1.6]), 2)
    0.24
    >>> round(penalty(4), 2)  # nothing is known
    0.16
    """

    start: float
    growth: float = 0.02
    fast_growth: float = 0.1
    threshold: float = 0.0
    cap: float = 1.5

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, epoch: int, validation_losses: Sequence[float] = ()) -> float:
        eta, best = self.start, float("inf")
        for loss in islice(chain(validation_losses, repeat(float("nan"))), epoch - 1):
            best = min(best, loss)
            degraded = loss > best + self.threshold  # never true of NaN
            eta += self.fast_growth if degraded else self.growth
        return min(eta, self.cap)


def _check(penalty: LinearPenalty | ConstantPenalty | AdaptivePenalty) -> None:
    kind = type(penalty).__name__
    values = {field.name: getattr(penalty, field.name) for field in fields(penalty)}
    for name, value in values.items():
        if value < 0:
            raise ValueError(
                f"{kind}: {name} must not be negative, found {name}={value!r}. A negative penalty "
                "would climb the lower level's losses instead of descending them."
            )
    for smaller, larger in (("start", "cap"), ("growth", "fast_growth")):
        if {smaller, larger} <= values.keys() and values[smaller] > values[larger]:
            raise ValueError(
                f"{kind}: {larger} must be at least {smaller}, found {larger}={values[larger]!r} "
                f"and {smaller}={values[smaller]!r}."
            )
