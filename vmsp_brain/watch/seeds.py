"""What several seeds tell of a score, and of the difference between two: Student's t.

Seeds are few, so that normal quantiles would make intervals too narrow: with 3 seeds, a 95 %
interval is 4.3 standard errors to either side, with 2 it is 12.7. With one there is none.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import false_discovery_control, ttest_1samp

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean over seeds, and how far its 95 % interval of confidence goes to either side.

    ``half_width`` is None with a single seed.
    """

    mean: float
    half_width: float | None
    seeds: int


class Difference(NamedTuple):
    """A mean of paired differences with its 95 % interval, and the p-value of the paired t-test.

    ``half_width`` and ``p_value`` are None with a single seed; the latter also if all differences
    are equal, of which the test says nothing.
    """

    mean: float
    half_width: float | None
    p_value: float | None
    seeds: int


def interval(values: Sequence[float]) -> Interval:
    """The mean over seeds, with the t-interval.

    Arguments
    ---------
    values : list of float
        One of each seed, at least one.

    Example
    -------
    >>> found = interval([1.0, 2.0, 3.0])
    >>> round(found.mean, 2), round(found.half_width, 2)
    (2.0, 2.48)
    """
    return Interval(float(np.mean(values)), _half_width(values), len(values))


def paired_difference(first: Mapping[int, float], second: Mapping[int, float]) -> Difference | None:
    """First less second, seed by seed: what seeds do to both alike is gone.

    Arguments
    ---------
    first, second : dict
        Scores by seed.

    Returns
    -------
    Difference
        Over the seeds of both; None if they share none.
    """
    seeds = [seed for seed in first if seed in second]
    if not seeds:
        return None
    values = [round(first[seed] - second[seed], 6) for seed in seeds]  # of equal ones no rest
    test = ttest_1samp(values, 0.0).pvalue if len(set(values)) > 1 else None
    p_value = None if test is None else float(test)
    return Difference(float(np.mean(values)), _half_width(values), p_value, len(seeds))


def established(differences: Sequence[Difference]) -> list[bool]:
    """Which of a family of differences are more than seeds' noise.

    Benjamini and Hochberg's method (JRSS B 1995): at most 5 % of those found are false in
    expectation, however many pairs are looked at.
    """
    known = [1.0 if found.p_value is None else found.p_value for found in differences]
    if not known:
        return []
    return [bool(found) for found in false_discovery_control(known) <= 1 - CONFIDENCE]


def _half_width(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return None
    if len(set(values)) == 1:
        return 0.0
    low, high = ttest_1samp(values, 0.0).confidence_interval(CONFIDENCE)
    return float(high - low) / 2
