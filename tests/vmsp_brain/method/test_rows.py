"""The rows, against plain matrices."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.utils._python_dispatch import TorchDispatchMode

from tests.helpers.tensors import DEVICE, rand, randn, tensor, zeros
from vmsp_brain.data import samplers
from vmsp_brain.method.rows import DRAWS, GradientRows, accumulate, where_it_counts

NAMES = ["a", "b", "c"]
LAYERS = {"first": [(3, 2), (4,)], "second": [(1, 5)]}
WIDTHS = {layer: sum(torch.Size(s).numel() for s in shapes) for layer, shapes in LAYERS.items()}


@pytest.fixture
def jacobians() -> dict[str, Tensor]:
    """J(ξ1) and J(ξ2) by layer, of numbers that float32 holds."""
    return {layer: randn(DRAWS, len(NAMES), width) for layer, width in WIDTHS.items()}


def split(row: Tensor, layer: str) -> list[Tensor]:
    """A row as gradients of a layer's parameters."""
    sizes = [torch.Size(shape).numel() for shape in LAYERS[layer]]
    return [part.reshape(s) for part, s in zip(row.split(sizes), LAYERS[layer], strict=True)]


def filled(jacobians: dict[str, Tensor], factor: float = 1.0, scale: float = 1.0) -> GradientRows:
    rows = GradientRows(NAMES)
    for layer, block in jacobians.items():
        for draw in range(DRAWS):
            for name, row in zip(NAMES, block[draw], strict=True):
                rows.add(draw, name, layer, split(factor * row, layer), scale)
    return rows


@pytest.mark.parametrize("layers", [["first"], ["second"], ["first", "second"]])
def test_gramian_is_the_cross_gramian_of_the_layers_columns(jacobians, layers):
    both = torch.cat([jacobians[layer] for layer in layers], dim=2).double().cpu()
    gramian = filled(jacobians).gramian(layers)
    assert gramian.dtype == torch.float64
    torch.testing.assert_close(gramian, both[0] @ both[1].T, rtol=1e-5, atol=1e-5)


def test_symmetric_gramian_is_that_of_the_mean_rows(jacobians):
    mean = jacobians["first"].double().cpu().mean(0)
    found = filled(jacobians).gramian(["first"], cross=False)
    torch.testing.assert_close(found, mean @ mean.T, rtol=1e-5, atol=1e-5)


class Precision(TorchDispatchMode):
    """Notes what a GPU would multiply float32 matrices in."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.mm.default:
            self.seen.add(torch.backends.cuda.matmul.fp32_precision)
        return func(*args, **kwargs or {})


@pytest.fixture
def tf32() -> Iterator[None]:
    """As SpeechBrain has it."""
    before = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    yield
    torch.backends.cuda.matmul.fp32_precision = before


@pytest.mark.parametrize("cross", [True, False])
def test_gramians_are_of_whole_float32_where_tf32_is_on(jacobians, cross, tf32):
    rows = filled(jacobians)
    with Precision() as precision:
        gramian = rows.gramian(LAYERS, cross)
    assert precision.seen == {"ieee"}
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    both = torch.cat(list(jacobians.values()), dim=2).double().cpu()
    first, second = both if cross else [both.mean(0)] * 2
    torch.testing.assert_close(gramian, first @ second.T, rtol=1e-5, atol=1e-5)


def test_rows_become_those_of_all_processes(jacobians):
    """The mean is of each layer's rows, also of a layer that has none here; what is unknown in one
    process is so in all."""

    def mean(blocks: list[Tensor]) -> list[Tensor]:
        other = [jacobians["first"], jacobians["second"]]
        return [(a + b) / 2 for a, b in zip(blocks, other, strict=True)]

    rows = GradientRows(NAMES)
    for draw in range(DRAWS):
        for name, row in zip(NAMES, 3 * jacobians["first"][draw], strict=True):
            rows.add(draw, name, "first", split(row, "first"))
    rows.average(mean, WIDTHS, DEVICE, unknown=["b"])
    known = [0, 2]
    for layer, factor in (("first", 2.0), ("second", 0.5)):
        block = factor * jacobians[layer].double().cpu()
        gramian = rows.gramian([layer])
        torch.testing.assert_close(
            gramian[known][:, known], (block[0] @ block[1].T)[known][:, known], rtol=1e-5, atol=1e-5
        )
        assert gramian[1].isnan().all()
        assert gramian[:, 1].isnan().all()


def test_layers_without_rows_add_nothing(jacobians):
    del jacobians["second"]
    rows = filled(jacobians)
    assert rows.layers == ["first"]
    assert torch.equal(rows.gramian(["first", "second"]), rows.gramian(["first"]))
    assert torch.equal(rows.gramian(["second"]), torch.zeros(3, 3, dtype=torch.float64))


@pytest.mark.parametrize("layer", list(LAYERS))
def test_direction_is_the_mean_over_the_draws(jacobians, layer):
    weights = rand(len(NAMES), dtype=torch.float64)
    expected = weights @ jacobians[layer].double().mean(0)
    found = filled(jacobians).direction(layer, weights)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_two_halves_make_a_whole(jacobians):
    halves = filled(jacobians, factor=2.0, scale=0.25)
    for layer, block in jacobians.items():
        for draw in range(DRAWS):
            for name, row in zip(NAMES, block[draw], strict=True):
                halves.add(draw, name, layer, split(row, layer), scale=0.5)
    torch.testing.assert_close(halves.gramian(LAYERS), filled(jacobians).gramian(LAYERS))


def test_rows_of_objectives_without_gradient_are_zero(jacobians):
    rows = GradientRows(NAMES)
    rows.add(0, "a", "first", split(jacobians["first"][0, 0], "first"))
    assert not rows.gramian(["first"]).any()
    assert not rows.direction("first", tensor([0.0, 1.0, 1.0])).any()


def test_clear_forgets(jacobians):
    rows = filled(jacobians)
    rows.clear()
    assert not rows.layers
    assert not rows.gramian(LAYERS).any()


def test_accumulate_adds_weighted_gradients_and_leaves_the_unreached_alone():
    reached, unreached = Parameter(zeros(3)), Parameter(zeros(2))
    gradient = tensor([1.0, 2.0, 3.0])
    for weight in (0.5, 2.0):
        accumulate([reached, unreached], [gradient, None], weight)
    torch.testing.assert_close(reached.grad, 2.5 * gradient)
    assert unreached.grad is None
    assert torch.equal(gradient, tensor([1.0, 2.0, 3.0]))


@pytest.mark.usefixtures("known_at_once")
@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str
)
def test_what_does_not_count_is_zero_whatever_it_was(dtype):
    odd = [torch.nan, torch.inf, -torch.inf, -0.0, 1.0, torch.finfo(dtype).tiny / 2]
    gradient = tensor(odd, dtype=dtype)
    counting, unreached = where_it_counts(tensor(True), [gradient.clone(), None])
    [counted_out] = where_it_counts(tensor(False), [gradient.clone().view(2, 3).T])
    torch.testing.assert_close(counting, gradient, rtol=0, atol=0, equal_nan=True)
    assert counting.signbit().tolist() == gradient.signbit().tolist()
    assert unreached is None
    assert counted_out.dtype == dtype
    assert counted_out.tolist() == [[0.0, 0.0]] * 3


@pytest.mark.usefixtures("known_at_once")
def test_what_counts_is_not_copied_unless_autograd_has_expanded_it():
    parameter = Parameter(zeros(3))
    gradients = torch.autograd.grad((parameter + 1).sum() + parameter.exp().sum(), [parameter])
    expanded = torch.autograd.grad(parameter.sum(), [parameter])
    assert where_it_counts(tensor(True), gradients)[0] is gradients[0]
    assert where_it_counts(tensor(False), expanded)[0].tolist() == [0.0] * 3


@pytest.mark.usefixtures("known_at_once")
def test_a_row_that_does_not_count_adds_nothing():
    rows = GradientRows(["a"])
    for counts in (False, True, False):
        rows.add(0, "a", "layer", [tensor([torch.inf if not counts else 2.0])], 1.0, tensor(counts))
    rows.add(1, "a", "layer", [tensor([3.0])])
    assert rows.gramian(["layer"]).tolist() == [[6.0]]


def test_wrong_number_of_gradients_is_refused():
    with pytest.raises(ValueError):
        accumulate([Parameter(zeros(3))], [])


def test_the_data_side_draws_as_often():
    """Data and method know nothing of each other, but must agree on this."""
    assert samplers.DRAWS == DRAWS
