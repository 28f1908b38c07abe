"""When a run has learned to align, and whether it had stopped to improve at its end."""

import math

from vmsp_brain.run.curves import Curve

ALIGNED = 50.0
"""Percent; a mean WER below shows that speech and text are aligned."""

PLATEAU = 0.1
"""Relative improvement in the last quarter of the epochs, below which a run is on a plateau."""


def first_below(curve: Curve, bound: float = ALIGNED) -> int | None:
    """The first epoch in which a curve is below a bound; None if there is none.

    Example
    -------
    >>> first_below([(1, 98.0), (2, 40.0), (3, 60.0)]), first_below([(1, 98.0)])
    (2, None)
    """
    return next((epoch for epoch, value in curve if value < bound), None)


def last_quarter(curve: Curve, higher_is_better: bool) -> tuple[float, float] | None:
    """The best score before the last quarter of the epochs, and that of all epochs.

    The best so far counts, for it is the best checkpoint that is tested.

    Arguments
    ---------
    curve : list
        Points (epoch, score).
    higher_is_better : bool
        Of the score.

    Returns
    -------
    tuple of float
        None if nothing was scored before the last quarter.

    Example
    -------
    >>> last_quarter([(1, 90.0), (2, 10.0), (3, 8.0), (4, 7.0)], higher_is_better=False)
    (8.0, 7.0)
    """
    last = max(epoch for epoch, _ in curve)
    best = max if higher_is_better else min
    early = [value for epoch, value in curve if epoch <= last - math.ceil(last / 4)]
    return (best(early), best(value for _, value in curve)) if early else None


def late_improvement(curve: Curve, higher_is_better: bool) -> float | None:
    """By which share of itself the score improved over the last quarter of the epochs.

    Arguments
    ---------
    curve, higher_is_better
        See `last_quarter`.

    Returns
    -------
    float
        0 or more; None if nothing was scored before the last quarter, or no more than 0.

    Example
    -------
    >>> late_improvement([(1, 90.0), (2, 10.0), (3, 8.0), (4, 9.0)], higher_is_better=False)
    0.0
    >>> late_improvement([(1, 10.0), (2, 30.0), (3, 40.0), (4, 50.0)], higher_is_better=True)
    0.25
    """
    found = last_quarter(curve, higher_is_better)
    if found is None:
        return None
    before, after = found
    if before == after:
        return 0.0
    return abs(after - before) / before if before else None
