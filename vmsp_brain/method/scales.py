"""Scales of objectives: a level's weighting then does not depend on the size of its gradients.

MoDo gives weight to small gradients, and so do MGDA and others: by how far an objective conflicts,
and by the units of its loss. With scales s and D = diag(1 / s), the weighting sees the Gramian
D G D of L_m / s_m, and the level's weights are D λ̃, brought to the sum of λ̃. A loss that is
multiplied by c has its scale multiplied by c: the update's direction stays what it was.

Two scales are known from the literature (Sener and Koltun, *Multi-Task Learning as Multi-Objective
Optimization*, NeurIPS 2018, normalize gradients by either one), both estimated here from many
steps: those of one step are noise, and λ would jump with them.
"""

from typing import Any

import torch
from torch import Tensor

from vmsp_brain.method.conflict import CLEAR


class Scales:
    """One scale per objective of a level; λ rests until all are known and above zero."""

    takes_losses = False

    @property
    def values(self) -> Tensor | None:
        """The scales, (M,), float64."""
        return None

    def observe_losses(self, losses: Tensor) -> None:
        """Of a step, (M,), all finite."""

    def observe_squares(self, squares: Tensor, error: Tensor) -> None:
        """Of the expected gradients' norms in an epoch, (M,), with their standard errors."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, for a checkpoint."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        vars(self).update(state)


class LossScales(Scales):
    """The loss itself, a running mean of it: ∇L / L is the gradient of log L.

    A level with equal weights then follows the geometric mean of its losses. Losses are above zero.

    Arguments
    ---------
    decay : float
        Of the running mean, per step.

    Example
    -------
    >>> scales = LossScales(decay=0.5)
    >>> for loss in (4.0, 1.0):
    ...     scales.observe_losses(torch.tensor([loss]))
    >>> scales.values
    tensor([2.])
    """

    takes_losses = True

    def __init__(self, decay: float = 0.99) -> None:
        self.decay = decay
        self.total: Tensor | None = None
        self.weight = 0.0

    @property
    def values(self) -> Tensor | None:
        """The means."""
        return None if self.total is None else self.total / self.weight

    def observe_losses(self, losses: Tensor) -> None:
        """See `Scales`."""
        before = torch.zeros_like(losses) if self.total is None else self.total
        self.total = self.decay * before + (1 - self.decay) * losses
        self.weight = self.decay * self.weight + (1 - self.decay)


class GradientScales(Scales):
    """The norm of the expected gradient, free of noise (`vmsp_brain.method.conflict`).

    It is that of the epoch before; λ is uniform in the first one. A norm that is lost in noise
    stays as it was last established; if it never was, it is the upper end of its 95 % interval.
    """

    def __init__(self) -> None:
        self.squares: Tensor | None = None
        self.established: Tensor | None = None  # not a number where a norm never was

    @property
    def values(self) -> Tensor | None:
        """The norms."""
        return None if self.squares is None else self.squares.sqrt()

    def observe_squares(self, squares: Tensor, error: Tensor) -> None:
        """See `Scales`."""
        unknown = torch.full_like(squares, torch.nan)
        before = unknown if self.established is None else self.established
        self.established = squares.where(squares > CLEAR * error, before)
        upper = squares.clamp(min=0.0) + 2 * error
        self.squares = upper.where(self.established.isnan(), self.established)


SCALES: dict[str, type[Scales]] = {"loss": LossScales, "gradient": GradientScales}
"""By the names that a level's ``scale_by`` takes."""


def scales_by(name: str | None) -> Scales | None:
    """New scales of that name; none without a name.

    Raises
    ------
    ValueError
        If there are none of that name.
    """
    if name is None:
        return None
    if name not in SCALES:
        raise ValueError(f"scale_by: found {name!r}, expected {' or '.join(SCALES)}, or null.")
    return SCALES[name]()
