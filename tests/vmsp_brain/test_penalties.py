"""The penalty grows by the epoch, exactly, up to its cap."""

from fractions import Fraction

import pytest

from vmsp_brain.penalties import LinearPenalty


def test_linear_penalty_is_the_straight_line_up_to_the_cap():
    penalty = LinearPenalty(start=0.1, growth=0.02, cap=1.5)
    for epoch in range(1, 201):
        exact = min(Fraction(1, 10) + Fraction(2, 100) * (epoch - 1), Fraction(3, 2))
        assert penalty(epoch) == pytest.approx(float(exact), rel=1e-12)
    assert penalty(200) == 1.5


def test_linear_penalty_without_growth_is_constant():
    assert {LinearPenalty(0.3, growth=0.0)(epoch) for epoch in range(1, 50)} == {0.3}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"start": -0.1}, "start=-0.1"), ({"start": 0.0, "growth": -1}, "growth=-1")],
)
def test_negative_values_are_refused_by_name(arguments, named):
    with pytest.raises(ValueError, match=named):
        LinearPenalty(**arguments)


def test_cap_under_the_start_is_refused():
    with pytest.raises(ValueError, match=r"cap=0\.1 and start=0\.5"):
        LinearPenalty(start=0.5, cap=0.1)
