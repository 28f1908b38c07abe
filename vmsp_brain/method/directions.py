"""MoDo's G λ without rows: one direction for each level.

MoDo moves λ by the vector G λ = J(ξ1) J(ξ2)^T λ alone. With v = J(ξ2)^T λ, a level's own part of
the update, its entry for objective m is ⟨∇L_m(ξ1), v⟩: an inner product that is taken as that
gradient arrives. Draws are alike, so a step's first one gives v, and its second one the products.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from vmsp_brain.method.rows import Mean


class Directions:
    """Each level's direction v, and its objectives' products with it.

    Over several micro-batches, or processes, products are of each one's own direction, and G λ is
    their mean: each estimates it without bias.

    Arguments
    ---------
    levels : list of list of str
        The objectives, level by level.

    Example
    -------
    >>> directions = Directions([["a", "b"]])
    >>> directions.add(0, "layer", [torch.tensor([1.0, 2.0])], weight=0.5)
    >>> directions.multiply("a", "layer", [torch.tensor([2.0, 0.0])])
    >>> directions.multiply("b", "layer", [torch.tensor([0.0, 1.0])])
    >>> directions.gramians(levels=[0])
    [tensor([[1., 1.],
            [1., 1.]], dtype=torch.float64)]
    """

    def __init__(self, levels: Sequence[Sequence[str]]) -> None:
        self.sizes = [len(names) for names in levels]
        self.level_of = {name: number for number, names in enumerate(levels) for name in names}
        self._row = {name: row for row, name in enumerate(self.level_of)}
        self._directions: dict[tuple[int, str], list[Tensor]] = {}  # by level and layer
        self._products = torch.zeros(len(self._row), dtype=torch.float64)

    def begin(self) -> None:
        """Forget the directions, but not the products, before another micro-batch."""
        self._directions.clear()

    def add(self, level: int, layer: str, gradients: Sequence[Tensor], weight: float) -> None:
        """Add a layer's weighted gradients of the first draw to a level's direction."""
        known = self._directions.get((level, layer))
        if known is None:
            self._directions[level, layer] = [gradient * weight for gradient in gradients]
        else:
            for part, gradient in zip(known, gradients, strict=True):
                part.add_(gradient, alpha=weight)

    def multiply(
        self, name: str, layer: str, gradients: Sequence[Tensor], scale: float = 1.0
    ) -> None:
        """Add to an objective's product that of a layer's gradients of the second draw."""
        direction = self._directions.get((self.level_of[name], layer))
        if direction is None:  # no objective of the level was heard in the first draw
            return
        self._products = self._products.to(gradients[0].device)
        for part, gradient in zip(direction, gradients, strict=True):
            product = torch.dot(part.flatten(), gradient.flatten().to(part))
            self._products[self._row[name]] += product.double() * scale

    def gramians(
        self, levels: Iterable[int], unknown: Iterable[str] = (), mean: Mean = list
    ) -> list[Tensor]:
        """For every level a matrix, (M, M), float64, whose product with the level's λ is G λ.

        Its columns are all G λ, since λ sums to one. It is not a number for a level that is not
        among those asked for, or that has an unknown objective: the direction lacks it.
        """
        known = {*levels} - {self.level_of[name] for name in unknown}
        rests = [self._row[name] for name, level in self.level_of.items() if level not in known]
        products = self._products.cpu()
        products[rests] = torch.nan
        [products] = mean([products])
        return [own.unsqueeze(1).repeat(1, len(own)) for own in products.split(self.sizes)]

    def clear(self) -> None:
        """Forget everything."""
        self._directions.clear()
        self._products = torch.zeros_like(self._products)
