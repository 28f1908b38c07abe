"""Intervals and tests over seeds, against closed forms and SciPy's paired test."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_rel

from vmsp_brain.watch.seeds import Difference, established, interval, paired_difference

QUANTILES = {2: 12.706, 3: 4.303, 5: 2.776}
"""Student's t at 97.5 %, of the tables, by the number of seeds."""


@pytest.mark.parametrize(("seeds", "quantile"), QUANTILES.items())
def test_an_interval_is_students(seeds, quantile):
    values = np.random.default_rng(seeds).normal(10, 2, seeds)
    found = interval(list(values))
    expected = quantile * values.std(ddof=1) / math.sqrt(seeds)
    assert found.half_width == pytest.approx(expected, rel=1e-3)
    assert (found.mean, found.seeds) == (pytest.approx(values.mean()), seeds)


def test_one_seed_has_no_interval_and_equal_ones_have_none_of_width():
    assert interval([3.0]) == (3.0, None, 1)
    assert interval([3.0, 3.0]) == (3.0, 0.0, 2)


def test_intervals_cover_in_95_percent_of_repetitions():
    rng = np.random.default_rng(0)
    found = [interval(list(rng.normal(0, 1, 3))) for _ in range(1000)]
    assert 0.93 < np.mean([abs(each.mean) < each.half_width for each in found]) < 0.97


def test_a_difference_is_paired_by_seed_whatever_their_order():
    first, second = {1: 5.0, 2: 7.0, 3: 6.5}, {3: 6.0, 1: 4.0, 2: 6.7, 9: 80.0}
    found = paired_difference(first, second)
    expected = ttest_rel([5.0, 7.0, 6.5], [4.0, 6.7, 6.0])
    assert found.p_value == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval()
    assert found.mean - found.half_width == pytest.approx(low)
    assert found.mean + found.half_width == pytest.approx(high)
    assert found.seeds == 3


def test_runs_without_a_common_seed_have_no_difference():
    assert paired_difference({1: 5.0}, {2: 5.0}) is None
    assert paired_difference({1: 5.0}, {1: 4.0}) == Difference(1.0, None, None, 1)


def test_what_is_established_is_corrected_for_the_number_of_pairs():
    alone = [Difference(1.0, 0.5, 0.04, 3)]
    among_many = alone + [Difference(0.1, 0.5, 0.9, 3)] * 9
    assert established(alone) == [True]
    assert established(among_many) == [False] * 10
    assert established([Difference(1.0, None, None, 1)]) == [False]
    assert established([]) == []
