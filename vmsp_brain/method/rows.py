"""The objectives' gradients with respect to the shared parameters: the rows of J(ξ1) and J(ξ2).

For each of the two independent draws ξ1, ξ2 of every objective's data, J(ξ) is the M x P matrix
whose rows are the objectives' gradients with respect to the P shared parameters θ. MoDo asks for
the cross-Gramian J(ξ1) J(ξ2)^T, and the update is the mean over the draws of J(ξ)^T w. Rows are
held layer by layer: what is a sum over parameters is a sum over layers.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import Parameter

Mean = Callable[[list[Tensor]], list[Tensor]]
"""Of each tensor of a list, its mean over the processes that train together."""

DRAWS = 2
"""MoDo's number of independent draws per step."""


class GradientRows:
    """The rows of J(ξ1) and J(ξ2), or of what a sketch makes of them, in float32.

    Their memory is kept from step to step, until it is freed.

    Arguments
    ---------
    objectives : list of str
        The objectives, in the order of the rows.

    Example
    -------
    >>> rows = GradientRows(["a", "b"])
    >>> for draw in range(DRAWS):
    ...     rows.add(draw, "a", "layer", [torch.tensor([1.0, 0.0])])
    ...     rows.add(draw, "b", "layer", [torch.tensor([1.0, 1.0])])
    >>> rows.gramian(["layer"])
    tensor([[1., 1.],
            [1., 2.]], dtype=torch.float64)
    >>> rows.direction("layer", torch.tensor([0.5, 0.5]))
    tensor([1.0000, 0.5000])
    """

    def __init__(self, objectives: Sequence[str]) -> None:
        self.index = {name: row for row, name in enumerate(objectives)}
        self._blocks: dict[str, Tensor] = {}  # by layer, (DRAWS, M, P of the layer)
        self._written: dict[str, set[tuple[int, int]]] = {}  # by layer, the rows of this step
        self._crossed: dict[str, Tensor] = {}  # by layer, J(ξ1) J(ξ2)^T, once it was asked for

    @property
    def layers(self) -> list[str]:
        """The layers that have rows."""
        return list(self._written)

    def add(
        self,
        draw: int,
        objective: str,
        layer: str,
        gradients: Sequence[Tensor],
        scale: float = 1.0,
        counts: Tensor | None = None,
    ) -> None:
        """Add one objective's gradient on one draw to its row.

        Arguments
        ---------
        draw : int
            0 or 1.
        objective : str
            Whose row.
        layer : str
            Whose columns.
        gradients : list of Tensor
            In the order of the layer's parameters.
        scale : float
            Multiplies the gradients: undoes a gradient scaler, or averages over micro-batches.
        counts : Tensor, optional
            See `where_it_counts`; they count, if it is not given.
        """
        flat = [gradient.flatten() for gradient in gradients]
        place = draw, self.index[objective]
        row = self._block(layer, sum(map(len, flat)), flat[0].device)[place]
        written = self._written.setdefault(layer, set())
        self._crossed.pop(layer, None)
        added = torch.cat(flat, out=torch.empty_like(row) if place in written else row)
        if counts is not None:
            where_it_counts(counts, [added])  # in place
        if place in written:
            row.add_(added, alpha=scale)
        elif scale != 1.0:
            row.mul_(scale)
        written.add(place)

    def _block(self, layer: str, columns: int, device: torch.device) -> Tensor:
        if layer not in self._blocks:
            shape = (DRAWS, len(self.index), columns)
            self._blocks[layer] = torch.empty(shape, device=device)
        return self._blocks[layer]

    def _whole_block(self, layer: str) -> Tensor:
        """A layer's block; rows that were not written in this step are zero."""
        block, written = self._blocks[layer], self._written[layer]
        for row in itertools.product(range(DRAWS), range(len(self.index))):
            if row not in written:
                block[row].zero_()
                written.add(row)
        return block

    def average(
        self, mean: Mean, columns: Mapping[str, int], device: torch.device, unknown: Iterable[str]
    ) -> None:
        """Let the rows be their mean over the processes.

        Arguments
        ---------
        mean : callable
            Takes it.
        columns : dict
            How many each layer has: a layer without rows here may have some in another process.
        device : device
            Of the rows.
        unknown : list of str
            Objectives whose rows are not known: they are not a number in all processes then.
        """
        self._crossed.clear()
        for layer, size in columns.items():
            self._block(layer, size, device)
            self._written.setdefault(layer, set())
        blocks = [self._whole_block(layer) for layer in columns]
        for block in blocks:
            for name in unknown:
                block[:, self.index[name]] = torch.nan
        for block, averaged in zip(blocks, mean(blocks), strict=True):
            block.copy_(averaged)

    def gramian(self, layers: Iterable[str], cross: bool = True) -> Tensor:
        """The Gramian of all objectives over the columns of these layers, (M, M), float64.

        J(ξ1) J(ξ2)^T if ``cross``, else J J^T of the mean J of both. It is on the CPU since it is
        tiny, and so that λ does not depend on the device.
        """
        size = len(self.index)
        gramian = self._cross_gramian if cross else self._symmetric_gramian
        found = [gramian(layer).double() for layer in layers if layer in self._written]
        total = torch.zeros(size, size, dtype=torch.float64)
        if found:
            total = sum(found, total.to(found[0]))
        return total.to("cpu", torch.float64)

    def _cross_gramian(self, layer: str) -> Tensor:
        if layer not in self._crossed:
            first, second = self._whole_block(layer)
            with _whole_float32():
                self._crossed[layer] = first @ second.T
        return self._crossed[layer]

    def _symmetric_gramian(self, layer: str) -> Tensor:
        # Multiplied out, for the mean rows would be a copy of half of all rows.
        first, second = self._whole_block(layer)
        cross = self._cross_gramian(layer).double()
        with _whole_float32():
            own = (first @ first.T).double() + (second @ second.T).double()
        return (own + cross + cross.T) / DRAWS**2

    def products(self) -> dict[str, Tensor]:
        """By layer, (M, M + 1), float64, where the rows are: J(ξ1) J(ξ2)^T, made symmetric, and in
        the last column the squared norm of each row, mean over the draws.

        Of independent draws, the first estimate inner products and squared norms of the expected
        rows without bias; the last column has the noise besides.
        """
        found = {}
        for layer in self._written:
            block = self._whole_block(layer)
            cross = self._cross_gramian(layer).double()
            squares = torch.linalg.vector_norm(block, dim=2).double().square().mean(0)
            found[layer] = torch.cat([(cross + cross.T) / 2, squares.unsqueeze(1)], dim=1)
        return found

    def direction(self, layer: str, weights: Tensor) -> Tensor:
        """The mean over the draws of J(ξ)^T w, (P of the layer,).

        Arguments
        ---------
        layer : str
            A layer that has rows, and no sketch of them.
        weights : Tensor
            w, (M,), in the order of the rows.
        """
        block = self._whole_block(layer)
        weights = weights.to(block) / DRAWS
        return weights @ block[0] + weights @ block[1]

    def clear(self) -> None:
        """Forget all gradients."""
        self._written.clear()
        self._crossed.clear()

    def free(self) -> None:
        """Forget all gradients, and give their memory back."""
        self.clear()
        self._blocks.clear()


@contextmanager
def _whole_float32() -> Iterator[None]:
    """No TF32, which SpeechBrain turns on: of a product that cancels, its ten bits leave noise."""
    matmul = torch.backends.cuda.matmul
    precision = matmul.fp32_precision
    matmul.fp32_precision = "ieee"
    try:
        yield
    finally:
        matmul.fp32_precision = precision


def where_it_counts(counts: Tensor, gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Gradients, made zero if they do not count, without waiting to know whether they do.

    In place, which takes a sixth of the time of a copy: for gradients that nobody else reads. Where
    all can be known at once, those that count are not touched at all.

    Arguments
    ---------
    counts : Tensor
        Whether they count, a boolean scalar on their device.
    gradients : list of Tensor or None
        None where a parameter was not reached.
    """
    if known_at_once(counts) and counts:
        return list(gradients)
    # What autograd has expanded has one number in many places.
    own = [each if each is None or 0 not in each.stride() else each.clone() for each in gradients]
    for each in own:
        if each is not None:
            _bits(each).mul_(counts)
    return own


def known_at_once(number: Tensor) -> bool:
    """Whether the CPU can read a tensor without waiting for another device."""
    return number.is_cpu


def _bits(numbers: Tensor) -> Tensor:
    """The same memory as integers: times 0 they are zero, also where a number is not finite.

    ``torch.where`` and ``masked_fill`` take up to ten times as long on a CPU.
    """
    return numbers.view(_INTEGERS[numbers.itemsize])


_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""By the size of a number, in bytes."""


def accumulate(
    parameters: Sequence[Parameter], gradients: Sequence[Tensor | None], weight: float = 1.0
) -> None:
    """Add weighted gradients to the parameters' ``.grad``.

    Arguments
    ---------
    parameters : list of Parameter
        Whose ``.grad``.
    gradients : list of Tensor or None
        None where a parameter was not reached.
    weight : float
        Multiplies the gradients.
    """
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is None:
            continue
        if parameter.grad is None:
            parameter.grad = gradient * weight
        else:
            parameter.grad.add_(gradient, alpha=weight)


def gradient_norm(parameters: Iterable[Parameter]) -> float:
    """The Euclidean norm of the parameters' ``.grad`` together."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return float(torch.nn.utils.get_total_norm(gradients))


def distinct(heads: Iterable[Iterable[Parameter]]) -> list[Parameter]:
    """The parameters of several heads, each once, also where heads share them."""
    return list(dict.fromkeys(parameter for head in heads for parameter in head))
