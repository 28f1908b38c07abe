"""The rows, against plain matrices."""

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from vmsp_brain.gradients import DRAWS, GradientRows

NAMES = ["a", "b", "c"]
SHAPES = [(3, 2), (4,), (1, 5)]
WIDTH = sum(torch.Size(shape).numel() for shape in SHAPES)


def made() -> tuple[GradientRows, list[Parameter]]:
    parameters = [Parameter(torch.zeros(shape)) for shape in SHAPES]
    return GradientRows(NAMES, {"first": parameters[:2], "second": parameters[2:]}), parameters


def split(row: Tensor) -> list[Tensor]:
    """A row as gradients of the parameters, float32."""
    parts = row.split([torch.Size(shape).numel() for shape in SHAPES])
    return [part.reshape(shape).float() for part, shape in zip(parts, SHAPES, strict=True)]


def filled(jacobians: Tensor, scale: float = 1.0) -> tuple[GradientRows, list[Parameter]]:
    rows, parameters = made()
    for draw in range(DRAWS):
        for name, row in zip(NAMES, jacobians[draw], strict=True):
            rows.add(draw, name, split(row), scale)
    return rows, parameters


def flat_gradient(parameters: list[Parameter]) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in parameters])


@pytest.fixture
def jacobians() -> Tensor:
    """J(ξ1) and J(ξ2), of numbers that float32 holds."""
    return torch.randn(DRAWS, len(NAMES), WIDTH).double()


@pytest.mark.parametrize("chosen", [NAMES, ["b", "c"], ["b"]])
def test_gramian_is_the_cross_gramian_of_the_chosen_rows(jacobians, chosen):
    rows, _ = filled(jacobians)
    index = [NAMES.index(name) for name in chosen]
    expected = jacobians[0, index] @ jacobians[1, index].T
    gramian = rows.gramian(chosen)
    assert gramian.dtype == torch.float64
    torch.testing.assert_close(gramian, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("chosen", [["a", "c"], ["b", "a"], ["c", "a"]])
def test_gramian_of_rows_that_are_not_consecutive_is_refused(jacobians, chosen):
    rows, _ = filled(jacobians)
    with pytest.raises(ValueError, match="consecutive"):
        rows.gramian(chosen)


def test_direction_is_the_mean_over_the_draws(jacobians):
    rows, parameters = filled(jacobians)
    weights = torch.rand(len(NAMES), dtype=torch.float64)
    rows.assign_direction(weights, scale=8.0)
    expected = 8.0 * (weights @ jacobians.mean(0))
    torch.testing.assert_close(flat_gradient(parameters).double(), expected, rtol=1e-5, atol=1e-5)
    for parameter in parameters:
        assert parameter.grad.dtype == parameter.dtype
        assert parameter.grad.shape == parameter.shape


def test_two_halves_make_a_whole(jacobians):
    rows, _ = made()
    for draw in range(DRAWS):
        for name, row in zip(NAMES, jacobians[draw], strict=True):
            rows.add(draw, name, split(2 * row), scale=0.25)
            rows.add(draw, name, split(row), scale=0.5)
    whole, _ = filled(jacobians)
    torch.testing.assert_close(rows.gramian(NAMES), whole.gramian(NAMES))


def test_gradients_that_are_none_count_as_zero(jacobians):
    rows, _ = made()
    rows.add(0, "a", [None, *split(jacobians[0, 0])[1:]])
    rows.add(1, "a", split(jacobians[1, 0]))
    first = jacobians[0, 0].clone()
    first[: torch.Size(SHAPES[0]).numel()] = 0.0
    expected = (first @ jacobians[1, 0]).item()
    assert rows.gramian(["a"]).item() == pytest.approx(expected, abs=1e-5)


def test_rows_of_objectives_without_gradient_are_zero(jacobians):
    rows, parameters = made()
    rows.add(0, "a", split(jacobians[0, 0]))
    assert not rows.gramian(["b", "c"]).any()
    rows.assign_direction(torch.tensor([0.0, 1.0, 1.0]))
    assert not flat_gradient(parameters).any()


def test_clear_forgets(jacobians):
    rows, parameters = filled(jacobians)
    rows.clear()
    assert not rows.pending
    assert not rows.gramian(NAMES).any()
    rows.assign_direction(torch.ones(len(NAMES)))
    assert not flat_gradient(parameters).any()


def test_assigned_gradients_survive_the_next_step(jacobians):
    rows, parameters = filled(jacobians)
    rows.assign_direction(torch.ones(len(NAMES)))
    before = flat_gradient(parameters).clone()
    rows.add(0, "a", split(jacobians[0, 0]))
    assert torch.equal(flat_gradient(parameters), before)


def test_pending_from_the_first_gradient_until_the_direction(jacobians):
    rows, _ = made()
    assert not rows.pending
    rows.clear()
    assert not rows.pending
    rows.add(0, "a", split(jacobians[0, 0]))
    assert rows.pending
    rows.gramian(NAMES)
    assert rows.pending
    rows.assign_direction(torch.ones(len(NAMES)))
    assert not rows.pending


def test_rows_are_the_gradients_of_the_losses():
    """Through autograd: the direction is the gradient of the weighted mean loss."""
    rows, parameters = made()
    with torch.no_grad():
        for parameter in parameters:
            parameter.copy_(torch.randn(parameter.shape))
    data, weights = torch.randn(DRAWS, len(NAMES), WIDTH), torch.tensor([0.2, 0.5, 0.3])

    def loss(draw: int, objective: int) -> Tensor:
        theta = torch.cat([parameter.flatten() for parameter in parameters])
        return torch.tanh(theta @ data[draw, objective])

    total = sum(w * loss(d, m) / DRAWS for d in range(DRAWS) for m, w in enumerate(weights))
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(total, parameters)])
    for draw in range(DRAWS):
        for number, name in enumerate(NAMES):
            rows.add(draw, name, torch.autograd.grad(loss(draw, number), parameters))
    rows.assign_direction(weights)
    torch.testing.assert_close(flat_gradient(parameters), expected)


def test_wrong_number_of_gradients_is_refused(jacobians):
    rows, _ = made()
    with pytest.raises(ValueError):
        rows.add(0, "a", split(jacobians[0, 0])[:2])
