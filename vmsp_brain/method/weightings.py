"""Weightings: from the objectives' Gramian to their weights λ. They are TorchJD's; this module
knows which Gramian each of them takes, and saves and restores their state, so that a resumed run
goes on from the λ it had.
"""

import copy
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torchjd.aggregation import (
    CRMOGMWeighting,
    ExcessMTLWeighting,
    MoDoWeighting,
    NashMTL,
    SDMGradWeighting,
    Weighting,
)


class SizedWeighting(Weighting):
    """A weighting that is declared without, and then made for, a number of objectives.

    It knows its own state.
    """

    @abstractmethod
    def over(self, number: int) -> "SizedWeighting":
        """For so many objectives."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Tensors and plain values, which ``torch.load`` reads with ``weights_only=True``."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Go on from that state."""


class NashMTLWeighting(SizedWeighting):
    """Nash-MTL (Navon et al., *Multi-Task Learning as a Bargaining Game*, ICML 2022), by TorchJD.

    TorchJD's takes the rows J; it depends on them by J J^T alone, so a square root of the Gramian
    serves as well.

    Arguments
    ---------
    max_norm : float
        The norm of J^T λ, at most.
    optim_niter : int
        Iterations of its solver in a step.

    Raises
    ------
    ImportError
        If the solver is not installed; the message says how to.
    """

    def __init__(self, max_norm: float = 1.0, optim_niter: int = 20) -> None:
        super().__init__()
        self.max_norm = max_norm
        self.optim_niter = optim_niter
        self.solver = NashMTL(1, max_norm, optim_niter=optim_niter).weighting

    def over(self, number: int) -> "NashMTLWeighting":
        """For so many objectives."""
        made = NashMTLWeighting(self.max_norm, self.optim_niter)
        made.solver.n_tasks = number
        made.solver.reset()  # to that number
        return made

    def forward(self, gramian: Tensor) -> Tensor:
        """λ, (M,), from the symmetric Gramian, (M, M)."""
        values, vectors = torch.linalg.eigh(gramian)
        return self.solver(vectors * values.clamp(min=0.0).sqrt())

    def state(self) -> dict[str, Any]:
        """The solution from which the next one is sought."""
        return {"solution": torch.from_numpy(self.solver.prvs_alpha)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from that solution."""
        self.solver.reset()
        self.solver.prvs_alpha = state["solution"].clone().numpy()


def made_for(weighting: Weighting, number: int) -> Weighting:
    """A weighting like this one for so many objectives, which shares no state with it."""
    if isinstance(weighting, SizedWeighting):
        return weighting.over(number)
    return copy.deepcopy(weighting)


def takes_cross_gramian(weighting: Weighting) -> bool:
    """Whether a weighting is made for J(ξ1) J(ξ2)^T of two independent draws.

    MoDo and SDMGrad are. All others take the symmetric Gramian J J^T, here of J = the mean of J(ξ1)
    and J(ξ2), the gradient that the update uses.

    Arguments
    ---------
    weighting : Weighting
        Of ``torchjd.aggregation``.

    Raises
    ------
    ValueError
        If it takes the gradients themselves, which are not kept in one matrix for it.
    """
    if isinstance(weighting, CRMOGMWeighting):
        return takes_cross_gramian(weighting.weighting)
    if isinstance(weighting, ExcessMTLWeighting):
        raise ValueError(
            "ExcessMTLWeighting takes the gradients themselves, not their Gramian. Choose another "
            "weighting of torchjd.aggregation."
        )
    return isinstance(weighting, MoDoWeighting | SDMGradWeighting)


def weighting_state(weighting: Weighting) -> dict[str, Any]:
    """The state of a weighting, MoDo's λ for example.

    TorchJD keeps the state in buffers that are None until the first call (so that
    ``load_state_dict`` of a fresh weighting refuses them), and in ``_state_key`` what the state was
    made for; with another key the state is thrown away at the next call.

    Arguments
    ---------
    weighting : Weighting
        A `SizedWeighting`, or one of ``torchjd.aggregation`` that takes a Gramian.

    Returns
    -------
    dict
        Tensors and plain values, which ``torch.load`` reads with ``weights_only=True``.
    """
    if isinstance(weighting, SizedWeighting):
        return {"class": type(weighting).__name__, "own": weighting.state()}
    return {
        "class": type(weighting).__name__,
        "buffers": {
            f"{path}.{name}" if path else name: buffer
            for path, module in weighting.named_modules()
            for name, buffer in module._buffers.items()
        },
        "keys": {
            name: module._state_key
            for name, module in weighting.named_modules()
            if hasattr(module, "_state_key")
        },
    }


def restore_weighting(weighting: Weighting, state: dict[str, Any]) -> None:
    """Give a weighting the state that `weighting_state` read, in place.

    Arguments
    ---------
    weighting : Weighting
        A weighting of the class that the state came from.
    state : dict
        What `weighting_state` returned.

    Raises
    ------
    ValueError
        If the state came from another kind of weighting.
    """
    if state["class"] != type(weighting).__name__:
        raise ValueError(
            f"The checkpoint's weighting is {state['class']}, this run's is "
            f"{type(weighting).__name__}. Resume with the weighting the run was started with, or "
            "start a run in a new output_folder."
        )
    if isinstance(weighting, SizedWeighting):
        weighting.restore(state["own"])
        return
    for name, value in state["buffers"].items():
        path, _, leaf = name.rpartition(".")
        value = None if value is None else value.clone()
        setattr(weighting.get_submodule(path), leaf, value)
    for name, key in state["keys"].items():
        weighting.get_submodule(name)._state_key = key
