"""Alignment and plateaus, by hand."""

import pytest

from vmsp_brain.run.convergence import first_below, last_quarter, late_improvement


def curve(*values: float) -> list[tuple[int, float]]:
    return list(enumerate(values, start=1))


@pytest.mark.parametrize(
    ("scores", "higher", "expected"),
    [
        ((90, 50, 20, 10, 8, 8, 8, 8), False, 0.0),
        ((90, 50, 20, 10, 8, 8, 6, 4), False, 0.5),
        ((90, 50, 20, 10, 8, 8, 9, 12), False, 0.0),  # the best checkpoint is tested
        ((0, 10, 20, 30, 40, 40, 44, 42), True, 0.1),
        ((0, 0, 0, 0), True, 0.0),
        ((0, 0, 0, 5), True, None),
        ((7,), False, None),
    ],
)
def test_the_last_quarter_is_measured_against_the_best_before(scores, higher, expected):
    found = late_improvement(curve(*scores), higher)
    assert found == (expected if expected is None else pytest.approx(expected))


def test_the_best_so_far_counts():
    assert last_quarter(curve(90, 50, 20, 10, 8, 9, 9, 12), False) == (8, 8)
    assert last_quarter(curve(1, 2, 4, 3, 2, 3, 6, 5), True) == (4, 6)
    assert last_quarter(curve(7), True) is None


def test_epochs_without_a_score_are_left_out():
    assert late_improvement([(1, 90.0), (5, 10.0), (8, 5.0)], False) == 0.5


def test_alignment_is_the_first_epoch_below_the_bound():
    assert first_below(curve(90, 50, 49.9, 60)) == 3
    assert first_below(curve(90, 50)) is None
