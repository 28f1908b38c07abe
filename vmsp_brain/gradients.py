"""The objectives' gradients with respect to the shared parameters: the rows of J(ξ1) and J(ξ2).

For each of the two independent draws ξ1, ξ2 of every objective's data, J(ξ) is the M x P matrix
whose rows are the objectives' gradients with respect to the P shared parameters θ. MoDo asks for
the cross-Gramian J(ξ1) J(ξ2)^T, and the update is the mean over the draws of J(ξ)^T w.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import Parameter

DRAWS = 2
"""MoDo's number of independent draws per step."""


class GradientRows:
    """The rows of J(ξ1) and J(ξ2), in float32.

    Arguments
    ---------
    objectives : list of str
        The objectives, in the order of the rows.
    layers : dict
        The shared parameters θ, layer by layer; P is their number of elements.

    Example
    -------
    >>> theta = Parameter(torch.tensor([1.0, 2.0]))
    >>> rows = GradientRows(["a", "b"], {"layer": [theta]})
    >>> for draw in range(DRAWS):
    ...     rows.add(draw, "a", [torch.tensor([1.0, 0.0])])
    ...     rows.add(draw, "b", [torch.tensor([1.0, 1.0])])
    >>> rows.gramian(["a", "b"])
    tensor([[1., 1.],
            [1., 2.]], dtype=torch.float64)
    >>> rows.assign_direction(torch.tensor([0.5, 0.5]))
    >>> theta.grad
    tensor([1.0000, 0.5000])
    """

    def __init__(
        self, objectives: Sequence[str], layers: Mapping[str, Sequence[Parameter]]
    ) -> None:
        self.index = {name: row for row, name in enumerate(objectives)}
        self.parameters = [parameter for layer in layers.values() for parameter in layer]
        self.layer_sizes = {
            name: sum(parameter.numel() for parameter in layer) for name, layer in layers.items()
        }
        self.sizes = [parameter.numel() for parameter in self.parameters]
        self._rows: Tensor | None = None  # (DRAWS, M, P), made at the first use

    @property
    def pending(self) -> bool:
        """Whether gradients were added that no `assign_direction` has used yet."""
        return self._rows is not None and self._added

    def add(
        self, draw: int, objective: str, gradients: Sequence[Tensor | None], scale: float = 1.0
    ) -> None:
        """Add one objective's gradient on one draw to its row.

        Arguments
        ---------
        draw : int
            0 or 1.
        objective : str
            Whose row.
        gradients : list of Tensor or None
            In the order of the parameters; None where the objective does not reach a parameter.
        scale : float
            Multiplies the gradients: undoes a gradient scaler, or averages over micro-batches.
        """
        row = self._storage()[draw, self.index[objective]]
        for part, gradient in zip(row.split(self.sizes), gradients, strict=True):
            if gradient is not None:
                part.add_(gradient.flatten(), alpha=scale)
        self._added = True

    def gramian(self, objectives: Sequence[str], cross: bool = True) -> Tensor:
        """The Gramian of objectives in consecutive rows, (M, M), float64.

        J(ξ1) J(ξ2)^T if ``cross``, else J J^T of the mean J of both. It is on the CPU since it is
        tiny, and so that λ does not depend on the device.

        Raises
        ------
        ValueError
            If the rows are not consecutive (consecutive ones need no copy).
        """
        start = self.index[objectives[0]]
        if [self.index[name] for name in objectives] != list(range(start, start + len(objectives))):
            raise ValueError(
                f"The rows of {', '.join(objectives)} are not consecutive; the rows are "
                f"{', '.join(self.index)}."
            )
        first, second = self._storage()[:, start : start + len(objectives)]
        if not cross:
            first = second = (first + second) / DRAWS
        return (first @ second.T).to("cpu", torch.float64)

    def mean_by_layer(self) -> dict[str, Tensor]:
        """The mean over the draws of J(ξ), its columns split by layer, (M, P of the layer)."""
        mean = self._storage().mean(0)
        blocks = mean.split(list(self.layer_sizes.values()), dim=1)
        return dict(zip(self.layer_sizes, blocks, strict=True))

    def assign_direction(self, weights: Tensor, scale: float = 1.0) -> None:
        """Write the mean over the draws of J(ξ)^T w into the parameters' ``.grad``; clear the rows.

        Arguments
        ---------
        weights : Tensor
            w, (M,), in the order of the rows.
        scale : float
            Multiplies the direction, for a gradient scaler that will divide by it.
        """
        rows = self._storage()
        weights = weights.to(rows) * (scale / DRAWS)
        direction = weights @ rows[0] + weights @ rows[1]
        parts = direction.split(self.sizes)
        for parameter, part in zip(self.parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter).to(parameter.dtype)
        self.clear()

    def clear(self) -> None:
        """Forget all gradients."""
        if self._rows is not None:
            self._rows.zero_()
        self._added = False

    def _storage(self) -> Tensor:
        if self._rows is None:
            shape = (DRAWS, len(self.index), sum(self.sizes))
            self._rows = torch.zeros(shape, device=self.parameters[0].device)
            self._added = False
        return self._rows
