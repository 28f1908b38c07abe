"""The penalty grows by the epoch, exactly, up to its cap."""

from fractions import Fraction

import pytest

from vmsp_brain.method.penalties import AdaptivePenalty, ConstantPenalty, LinearPenalty


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


def test_constant_penalty():
    assert {ConstantPenalty(0.7)(epoch, [3.0] * epoch) for epoch in range(1, 9)} == {0.7}
    with pytest.raises(ValueError, match="value=-1"):
        ConstantPenalty(-1)


def test_adaptive_penalty_is_linear_while_the_lower_level_improves():
    adaptive = AdaptivePenalty(start=0.1, growth=0.02, fast_growth=0.5)
    losses = [3.0 - 0.1 * epoch for epoch in range(20)]
    for epoch in range(1, 20):
        assert adaptive(epoch, losses) == pytest.approx(LinearPenalty(0.1, 0.02)(epoch))


def test_adaptive_penalty_grows_fast_after_a_degradation_over_the_threshold():
    adaptive = AdaptivePenalty(start=0.0, growth=0.1, fast_growth=0.3, threshold=0.5, cap=9.0)
    #         improves, within the threshold of the best (2.0), beyond it, best again
    losses = [2.0, 2.5, 2.6, 1.0]
    etas = [adaptive(epoch, losses) for epoch in range(1, 6)]
    assert etas == pytest.approx([0.0, 0.1, 0.2, 0.5, 0.6])


def test_adaptive_penalty_grows_ordinarily_after_an_epoch_that_tells_nothing():
    """Without validation, or with one that had none of the level's objectives."""
    adaptive = AdaptivePenalty(start=0.1, growth=0.02, fast_growth=0.5)
    nan = float("nan")
    for losses in ([], [3.0], [nan] * 9, [nan, 3.0, nan]):
        for epoch in range(1, 9):
            assert adaptive(epoch, losses) == pytest.approx(LinearPenalty(0.1, 0.02)(epoch))
    assert adaptive(5, [2.0, nan, 2.1]) == pytest.approx(0.1 + 3 * 0.02 + 0.5)


def test_adaptive_penalty_is_capped_and_sees_the_past_alone():
    adaptive = AdaptivePenalty(start=0.0, growth=0.0, fast_growth=1.0, cap=1.5)
    assert adaptive(3, [1.0, 2.0, 9.0, 9.0]) == 1.0
    assert adaptive(9, [1.0] + [2.0] * 8) == 1.5


def test_adaptive_penalty_refuses_a_fast_growth_under_the_ordinary():
    with pytest.raises(ValueError, match=r"fast_growth=0\.01 and growth=0\.02"):
        AdaptivePenalty(start=0.1, growth=0.02, fast_growth=0.01)
