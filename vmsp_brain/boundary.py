"""Splitting a backward pass at a layer: above it once per objective, below it once for all.

The losses of one source come from one encoder forward. Below the lowest layer where each
objective's own gradient matters, only a weighted sum of the gradients is wanted, and the backward
pass is linear: sum the losses' gradients with respect to what enters that layer, then go on with
the sum, once.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.utils._pytree import tree_map


class GraphCut:
    """What crosses a boundary in a forward pass, and what comes back to it from above.

    Example
    -------
    >>> lower, upper = nn.Linear(3, 3), nn.Linear(3, 2)
    >>> with cut_before(upper) as cut:
    ...     output = upper(lower(torch.ones(1, 3)))
    >>> for loss, weight in ((output[0, 0], 0.5), (output[0, 1], 2.0)):
    ...     cut.add(torch.autograd.grad(loss, cut.leaves, retain_graph=True), weight)
    >>> [gradient.shape for gradient in cut.backward(list(lower.parameters()))]
    [torch.Size([3, 3]), torch.Size([3])]
    """

    def __init__(self) -> None:
        self.leaves: list[Tensor] = []  # what the layers above the boundary see
        self._entering: list[Tensor] = []  # the same values, still joined to the layers below
        self._sums: list[Tensor | None] = []

    def add(self, gradients: Sequence[Tensor | None], weight: float) -> None:
        """Add a loss's weighted gradients with respect to `leaves`."""
        for number, gradient in enumerate(gradients):
            if gradient is not None:
                # Not in half precision: sums of gradients of different sizes.
                gradient = gradient.float() * weight
                known = self._sums[number]
                self._sums[number] = gradient if known is None else known.add_(gradient)

    def backward(self, parameters: Sequence[Parameter]) -> Sequence[Tensor | None]:
        """Gradients of the weighted sum of the losses with respect to parameters below; once."""
        reached = [
            (tensor, total.to(tensor.dtype))
            for tensor, total in zip(self._entering, self._sums, strict=True)
            if total is not None
        ]
        if not reached:
            return [None] * len(parameters)
        entering, sums = zip(*reached, strict=True)
        return torch.autograd.grad(entering, parameters, sums, allow_unused=True)

    def detach(self, value):
        """A leaf in the place of a tensor that the layers below made; anything else as it is."""
        if not (torch.is_tensor(value) and value.requires_grad):
            return value
        self._entering.append(value)
        self.leaves.append(value.detach().requires_grad_())
        self._sums.append(None)
        return self.leaves[-1]


@contextmanager
def cut_before(module: nn.Module) -> Iterator[GraphCut]:
    """Cut the graph of a forward pass where it enters a module."""
    cut = GraphCut()
    hook = module.register_forward_pre_hook(
        lambda _, args, kwargs: tree_map(cut.detach, (args, kwargs)), with_kwargs=True
    )
    try:
        yield cut
    finally:
        hook.remove()


@contextmanager
def cut_after(module: nn.Module) -> Iterator[GraphCut]:
    """Cut the graph of a forward pass where it leaves a module."""
    cut = GraphCut()
    hook = module.register_forward_hook(lambda _, args, output: tree_map(cut.detach, output))
    try:
        yield cut
    finally:
        hook.remove()
