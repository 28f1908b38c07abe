"""λ from the objectives' losses, by TorchJD's scalarizers: uncertainty weighting, DWA, FAMO, ...

A scalarizer s makes one loss of all. By the chain rule ∇θ s(L(θ)) = Σ_m ∂s/∂L_m ∇θ L_m, so a level
that has one has λ_m = ∂s/∂L_m. No row is needed: a step costs what joint training costs.

Losses come one by one and their graphs are freed, so the weights of a step are known before it: λ
comes from the losses up to the last step. Where a weight depends on the scalarizer's parameters
alone (UW, IMTL-L), or on chance (Random), that is exact; DWA's averages of an epoch count from the
second step of the next one; the weights of the others (FAMO, STCH, geometric mean) are a step late.
Before the first step, the losses are taken to be equal.
"""

import copy
from collections.abc import Callable
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam
from torchjd.scalarization import DWA, FAMO, Scalarizer

from vmsp_brain.method.weightings import SizedWeighting

REMEMBERED = ("_loss_sum", "_n_batches", "_previous_averages", "_prev_losses")
"""What scalarizers remember beside parameters and buffers: DWA's averages, FAMO's last losses."""


class LossWeighting(SizedWeighting):
    """The weights that a scalarizer of TorchJD gives to the losses.

    Arguments
    ---------
    scalarizer : callable
        Makes it: a class of ``torchjd.scalarization``, with all its arguments but ``shape``.
    lr : float
        Learning rate of the scalarizer's own parameters (UW, IMTL-L), by Adam. FAMO has its own.

    Attributes
    ----------
    first : Tensor
        λ in the first step, (M,).

    Raises
    ------
    ValueError
        If it is a scalarizer itself.

    Example
    -------
    >>> from torchjd.scalarization import GeometricMean
    >>> weighting = LossWeighting(GeometricMean).over(2)
    >>> weighting(torch.tensor([1.0, 4.0], dtype=torch.float64))
    tensor([1.0000, 0.2500], dtype=torch.float64)
    """

    scalarizer: Scalarizer
    optimizer: Adam | None
    first: Tensor

    def __init__(self, scalarizer: Callable[..., Scalarizer], lr: float = 0.001) -> None:
        super().__init__()
        if isinstance(scalarizer, Scalarizer):
            raise ValueError(
                f"scalarizer: found the object {scalarizer}, expected what makes one for the "
                "level's objectives: !name:torchjd.scalarization.DWA in place of !new:."
            )
        self.make = scalarizer
        self.lr = lr
        self.updates = 0
        self.epoch = 0

    def over(self, number: int) -> "LossWeighting":
        """For so many objectives."""
        made = LossWeighting(self.make, self.lr)
        shape = {"shape": number} if "shape" in signature(self.make).parameters else {}
        scalarizer = made.scalarizer = self.make(**shape).double()
        parameters = list(scalarizer.parameters())
        made.optimizer = Adam(parameters, self.lr) if parameters else None
        if isinstance(scalarizer, FAMO):  # as it would make it by itself, but known before
            made.optimizer = scalarizer._optimizer = Adam(
                parameters, lr=scalarizer.lr, weight_decay=scalarizer.weight_decay
            )
        with torch.random.fork_rng(devices=[]):
            made.first = copy.deepcopy(made)._weights(torch.ones(number, dtype=torch.float64))
        return made

    def begin(self, epoch: int) -> None:
        """Tell the epoch (1, 2, ...) of the losses that come: DWA looks at epochs' averages."""
        if isinstance(self.scalarizer, DWA) and epoch != self.epoch:
            self.scalarizer.step()
        self.epoch = epoch

    def forward(self, losses: Tensor) -> Tensor:
        """λ for the next step, (M,), from the losses of this one, (M,).

        FAMO asks for the losses of the same batch after the step; those of the next step's batch
        stand in for them, which saves a forward. Each step's noise so enters twice, with opposite
        signs, and its sum over steps does not grow.
        """
        if isinstance(self.scalarizer, FAMO):
            if self.updates:
                self.scalarizer.update(losses)
        elif self.optimizer is not None:
            self.optimizer.zero_grad()
            with torch.enable_grad():
                self.scalarizer(losses).backward()
            self.optimizer.step()
        self.updates += 1
        return self._weights(losses)

    def _weights(self, losses: Tensor) -> Tensor:
        values = losses.detach().clone().requires_grad_()
        with torch.enable_grad():
            [weights] = torch.autograd.grad(self.scalarizer(values), values)
        return weights

    def state(self) -> dict[str, Any]:
        """The scalarizer's, and its optimizer's."""
        remembered = vars(self.scalarizer)
        return {
            "scalarizer": type(self.scalarizer).__name__,
            "updates": self.updates,
            "epoch": self.epoch,
            "parameters": self.scalarizer.state_dict(),
            "remembered": {name: remembered[name] for name in REMEMBERED if name in remembered},
            "optimizer": None if self.optimizer is None else self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from that state.

        Raises
        ------
        ValueError
            If another scalarizer has made it.
        """
        found, own = state["scalarizer"], type(self.scalarizer).__name__
        if found != own:
            raise ValueError(
                f"The checkpoint's scalarizer is {found}, this run's is {own}. Resume with the "
                "scalarizer the run was started with, or start a run in a new output_folder."
            )
        state = copy.deepcopy(state)
        self.updates, self.epoch = state["updates"], state["epoch"]
        self.scalarizer.load_state_dict(state["parameters"])
        vars(self.scalarizer).update(state["remembered"])
        if self.optimizer is not None:
            self.optimizer.load_state_dict(state["optimizer"])
