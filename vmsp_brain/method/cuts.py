"""Cutting the graph of an encoder's forward pass between layers, to go back through it in parts.

Losses that come from one forward then go back layer by layer, all of them through a layer before
any through the next: a layer's part of the graph is free as soon as the last one has passed, as in
an ordinary backward pass. And where only a weighted sum of their gradients is wanted, they can go
on as one, since the backward pass is linear.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

Gradients = Sequence[Tensor | None]


class GraphCut:
    """What crosses a cut: values that layers below made, and leaves in their places above.

    Example
    -------
    >>> lower, upper = nn.Linear(3, 3), nn.Linear(3, 2)
    >>> with cut_before(upper) as cut:
    ...     output = upper(lower(torch.ones(1, 3)))
    >>> above = torch.autograd.grad(output.sum(), cut.leaves)
    >>> [gradient.shape for gradient in cut.backward(above, list(lower.parameters()))]
    [torch.Size([3, 3]), torch.Size([3])]
    """

    def __init__(self) -> None:
        self.leaves: list[Tensor] = []  # what the layers above see
        self._entering: list[Tensor] = []  # the same values, still joined to the layers below

    def backward(
        self, gradients: Gradients, inputs: Sequence[Tensor], retain_graph: bool = False
    ) -> Gradients:
        """Gradients with respect to inputs below, given those with respect to `leaves`."""
        pairs = [
            (tensor, gradient.to(tensor.dtype))
            for tensor, gradient in zip(self._entering, gradients, strict=True)
            if gradient is not None
        ]
        if not pairs:
            return [None] * len(inputs)
        entering, arriving = zip(*pairs, strict=True)
        return torch.autograd.grad(
            entering, inputs, arriving, retain_graph=retain_graph, allow_unused=True
        )

    def detach(self, value: Any) -> Any:
        """A leaf in the place of a tensor that the layers below made; anything else as it is."""
        if not (torch.is_tensor(value) and value.requires_grad):
            return value
        self._entering.append(value)
        self.leaves.append(value.detach().requires_grad_())
        return self.leaves[-1]


def weighted_sum(gradients: Sequence[Gradients], weights: Sequence[float]) -> Gradients:
    """The weighted sum of several losses' gradients, in float32: they may differ in size."""
    total: list[Tensor | None] = [None] * len(gradients[0])
    for of_loss, weight in zip(gradients, weights, strict=True):
        for number, gradient in enumerate(of_loss):
            if gradient is not None:
                part, known = gradient.float() * weight, total[number]
                total[number] = part if known is None else known.add_(part)
    return total


def added(gradients: Gradients, others: Gradients) -> Gradients:
    """The sums of two losses' or ways' gradients; of no others, the gradients as they are."""
    if not others:
        return gradients
    return [
        one if other is None else other if one is None else one + other
        for one, other in zip(gradients, others, strict=True)
    ]


def split(gradients: Gradients, inputs: Iterable[Sequence[Tensor]]) -> list[Gradients]:
    """A list of gradients, cut into those of several lists of inputs."""
    ends = [0, *accumulate(map(len, inputs))]
    return [gradients[start:end] for start, end in pairwise(ends)]


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
