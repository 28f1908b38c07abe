"""Standard errors against formulas that hold exactly, and sums that are kept, joined and saved."""

import pytest
import torch
from torch import Tensor

from vmsp_brain.method.jackknife import GROUPS, GroupedSums


def sums_of(values: Tensor) -> GroupedSums:
    sums = GroupedSums()
    for value in values:
        sums.add(value)
    return sums


def identity(mean: Tensor) -> Tensor:
    return mean


def test_a_mean_has_its_classical_standard_error():
    values = torch.randn(GROUPS, 3).double()
    mean, error = sums_of(values).estimate(identity)
    torch.testing.assert_close(mean, values.mean(0))
    torch.testing.assert_close(error, values.std(0) / GROUPS**0.5)


def test_a_mean_of_unequal_groups_has_the_error_of_a_weighted_mean():
    """For the mean, the formula comes to Σ_g m_g (mean_g - mean)² · m_g / (n - m_g) / (G m_g)."""
    values = torch.randn(GROUPS + 20).double()
    mean, error = sums_of(values).estimate(identity)
    parts = [values[start::GROUPS] for start in range(GROUPS)]
    sizes = torch.tensor([len(part) for part in parts]).double()
    means = torch.stack([part.mean() for part in parts])
    expected = ((means - mean).square() * sizes / (len(values) - sizes)).mean().sqrt()
    torch.testing.assert_close(mean, values.mean())
    torch.testing.assert_close(error, expected)


def test_a_ratio_has_about_the_error_of_the_delta_method():
    over, under = torch.randn(2, 4000).double() + torch.tensor([[1.0], [5.0]])
    ratio, error = sums_of(torch.stack([over, under], 1)).estimate(lambda m: m[..., 0] / m[..., 1])
    expected = (over - ratio * under).std() / under.mean() / len(over) ** 0.5
    assert float(ratio) == pytest.approx(float(over.mean() / under.mean()))
    assert float(error) == pytest.approx(float(expected), rel=0.25)  # from 64 groups


def test_sums_of_several_processes_are_those_of_all():
    values = torch.randn(4 * GROUPS, 2).double()
    joined = sums_of(values[: 3 * GROUPS])
    joined.merge(sums_of(values[3 * GROUPS :]))
    joined.merge(GroupedSums())
    whole = sums_of(values)
    assert len(joined) == len(whole) == 4 * GROUPS
    for found, expected in zip(joined.estimate(identity), whole.estimate(identity), strict=True):
        torch.testing.assert_close(found, expected)


def test_what_is_merged_stays_as_it_was():
    first, second = sums_of(torch.ones(2)), sums_of(torch.ones(2))
    empty = GroupedSums()
    empty.merge(first)
    empty.merge(second)
    empty.add(torch.tensor(5.0))
    assert float(first.sums.sum()) == 2.0


def test_one_measurement_has_no_error_and_none_no_estimate():
    value, error = sums_of(torch.tensor([3.0])).estimate(identity)
    assert float(value) == 3.0
    assert error.isnan()
    with pytest.raises(ValueError, match="Found no measurement, expected one or more"):
        GroupedSums().estimate(identity)


def test_sums_go_on_exactly_from_a_checkpoint(tmp_path):
    values = torch.randn(100).double()
    before = sums_of(values[:70])
    torch.save(before.state_dict(), tmp_path / "sums")
    after = GroupedSums()
    after.load_state_dict(torch.load(tmp_path / "sums", weights_only=True))
    for value in values[70:]:
        after.add(value)
    assert torch.equal(after.sums, sums_of(values).sums)
