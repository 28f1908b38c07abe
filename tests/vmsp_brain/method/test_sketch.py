"""The sketch's Gramian is that of the rows in the mean, and not far from it."""

import pytest
import torch
from torch import Tensor

from tests.helpers.tensors import generator, rand, randn
from vmsp_brain.method.sketch import Sketch

SHAPES = [(30, 10), (7,), (20, 5)]


def gradients(rows: Tensor) -> list[list[Tensor]]:
    sizes = [torch.Size(shape).numel() for shape in SHAPES]
    return [
        [part.reshape(shape) for part, shape in zip(row.split(sizes), SHAPES, strict=True)]
        for row in rows
    ]


@pytest.fixture
def jacobians() -> tuple[Tensor, Tensor]:
    """J(ξ1), J(ξ2): rows that have much in common, as gradients of low rank do."""
    rng = generator(3)
    width = sum(torch.Size(shape).numel() for shape in SHAPES)
    common = randn(width, generator=rng)
    first, second = randn(2, 3, width, generator=rng)
    return first + common, second + common


def sketched(sketch: Sketch, rows: Tensor) -> Tensor:
    return torch.stack([sketch("layer", found) for found in gradients(rows)])


def test_the_gramian_is_unbiased_and_its_spread_is_as_said(jacobians):
    first, second = jacobians
    sketch, estimates = Sketch(size=16), []
    for seed in range(2000):
        sketch.redraw(seed)
        estimates.append(sketched(sketch, first) @ sketched(sketch, second).T)
    estimates = torch.stack(estimates).double()
    exact = (first @ second.T).double()
    standard_error = estimates.std(0) / len(estimates) ** 0.5
    assert ((estimates.mean(0) - exact).abs() < 4.5 * standard_error).all()
    bound = (2 / 16) ** 0.5 * first.norm(dim=1).outer(second.norm(dim=1))
    assert (estimates.std(0) < 1.1 * bound).all()


def test_a_small_layer_is_kept_as_it_is(jacobians):
    first, _ = jacobians
    assert torch.equal(sketched(Sketch(size=first.shape[1]), first), first)


def test_a_step_has_one_projection_and_the_next_another(jacobians):
    first, _ = jacobians
    sketch = Sketch(size=16)
    before = sketched(sketch, first)
    sketch.redraw(0)  # another micro-batch of the step
    assert torch.equal(sketched(sketch, first), before)
    torch.testing.assert_close(sketched(sketch, 2 * first), 2 * before)
    sketch.redraw(1)
    assert not torch.equal(sketched(sketch, first), before)


def test_processes_have_one_projection_whatever_they_drew_and_sketched_before(jacobians):
    first, _ = jacobians
    here, there = Sketch(size=16), Sketch(size=16)
    torch.manual_seed(1)
    for sketch in (here, there):
        sketch.redraw(5)
    there("other", gradients(first)[0])
    torch.manual_seed(2)
    assert torch.equal(sketched(here, first), sketched(there, first))
    assert not torch.equal(here("other", gradients(first)[0]), here("layer", gradients(first)[0]))


def test_the_global_generator_is_left_alone(jacobians):
    torch.manual_seed(0)
    expected = rand(3)
    torch.manual_seed(0)
    sketched(Sketch(size=16), jacobians[0])
    assert torch.equal(rand(3), expected)


def test_no_column_is_refused():
    with pytest.raises(ValueError, match="sketch_size: found 0"):
        Sketch(0)
