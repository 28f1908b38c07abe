"""A level of the hierarchy: objectives that are traded off against each other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor
from torchjd.aggregation import ConstantWeighting, MoDoWeighting, Weighting

from vmsp_brain.method.loss_weighting import LossWeighting
from vmsp_brain.method.penalties import Penalty
from vmsp_brain.method.scales import Scales, scales_by
from vmsp_brain.method.weightings import (
    made_for,
    restore_weighting,
    takes_cross_gramian,
    weighting_state,
)


@dataclass(eq=False)
class Level:
    """One level: objectives that are traded off against each other.

    As it is declared, it is over no objectives; a `vmsp_brain.method.hierarchy.Hierarchy` holds
    copies that are `over` its objectives and own what training makes of them.

    Arguments
    ---------
    objectives : list of str
        Names or patterns: ``asr/fr``, ``asr/*``, ``*/fr-en``, ``ssl``.
    weighting : Weighting
        Gives λ from the level's Gramian, or a `LossWeighting` from its losses; MoDo (Chen et al.,
        JMLR 2024) unless said otherwise.
    penalty : callable, optional
        η between the level above and this one, see `vmsp_brain.method.penalties`. The primary level
        has none, every other level needs one.
    weights : dict, optional
        Constant weights by name or pattern, in place of a weighting: static weighting. They are
        taken as they are, not made to sum to 1.
    epochs : tuple of int
        First and last epoch in which the level's objectives are trained at all; no last one means
        to the end. For training in stages.
    scale_by : str, optional
        ``loss`` or ``gradient``: the weighting sees objectives in these units, see
        `vmsp_brain.method.scales`; as they are, if not given.

    Attributes
    ----------
    names : list of str
        The level's objectives.
    lambdas : Tensor
        λ, (M,), in their order, float64.
    scales : Scales
        Of the objectives, if there are any.
    validation_losses : list of float
        Their mean validation loss after each epoch so far.

    Example
    -------
    >>> level = Level(["asr/*"]).over(["ssl", "asr/en", "asr/fr"])
    >>> level.names, level.lambdas.tolist()
    (['asr/en', 'asr/fr'], [0.5, 0.5])
    """

    objectives: Sequence[str]
    weighting: Weighting = field(default_factory=lambda: MoDoWeighting(gamma=0.01, rho=0.0))
    penalty: Penalty | None = None
    weights: Mapping[str, float] | None = None
    epochs: tuple[int, int | None] = (1, None)
    scale_by: str | None = None
    names: list[str] = field(init=False, default_factory=list)
    lambdas: Tensor = field(init=False, default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    scales: Scales | None = field(init=False, default=None)
    validation_losses: list[float] = field(init=False, default_factory=list)

    def over(self, objectives: Iterable[str]) -> "Level":
        """A new level like this one, over those of the objectives that its patterns match.

        Raises
        ------
        ValueError
            If an objective has no constant weight, or two, the weighting takes no Gramian, or
            scales are unknown or have no effect.
        """
        level = replace(self)
        level.names = [name for name in objectives if self.matches(name)]
        if self.weights is None:
            level.weighting = made_for(self.weighting, len(level.names))
        else:
            values = [_constant_weight(self.weights, name) for name in level.names]
            level.weighting = ConstantWeighting(torch.tensor(values, dtype=torch.float64))
        takes_cross_gramian(level.weighting)
        level.scales = scales_by(self.scale_by)
        if level.scales and not level.adapts:
            raise ValueError(
                f"scale_by: found {self.scale_by!r} in the level {list(self.objectives)}, whose λ "
                f"does not depend on the gradients ({type(level.weighting).__name__}). Remove it."
            )
        level.lambdas = level._first_lambdas()
        return level

    def _first_lambdas(self) -> Tensor:
        if isinstance(self.weighting, ConstantWeighting):
            return self.weighting.weights.clone()
        if isinstance(self.weighting, LossWeighting):
            return self.weighting.first.clone()
        return torch.full((len(self.names),), 1.0 / len(self.names), dtype=torch.float64)

    def matches(self, name: str) -> bool:
        """Whether an objective is of this level."""
        return any(fnmatchcase(name, pattern) for pattern in self.objectives)

    def is_trained(self, epoch: int) -> bool:
        """Whether the level's objectives are trained in this epoch (1, 2, ...)."""
        first, last = self.epochs
        return first <= epoch and (last is None or epoch <= last)

    @property
    def adapts(self) -> bool:
        """Whether λ depends on the gradients."""
        return not isinstance(self.weighting, ConstantWeighting | LossWeighting)

    @property
    def takes_losses(self) -> bool:
        """Whether λ depends on the losses."""
        scaled = self.scales is not None and self.scales.takes_losses
        return scaled or isinstance(self.weighting, LossWeighting)

    @property
    def takes_cross_gramian(self) -> bool:
        """Whether λ comes from J(ξ1) J(ξ2)^T, see `vmsp_brain.method.weightings`."""
        return takes_cross_gramian(self.weighting)

    @property
    def uniform_lambdas(self) -> Tensor:
        """The uniform λ, in the scales' units; the level's own, if that does not depend on the
        gradients."""
        if not self.adapts:
            return self.lambdas
        return self._unscaled(self._first_lambdas())

    def update_lambdas(self, gramian: Tensor) -> None:
        """Let the weighting set λ; it keeps it if the Gramian, (M, M), is not finite, or scales are
        not known yet."""
        inverse = self._inverse_scales()
        if not gramian.isfinite().all() or (self.scales and inverse is None):
            return
        if inverse is not None:
            gramian = gramian * inverse.outer(inverse)
        self.lambdas = self._unscaled(self.weighting(gramian).detach().to(gramian))

    def update_from_losses(self, losses: Tensor, epoch: int) -> None:
        """Tell the losses, (M,), of a step in this epoch; if one is not finite, nothing changes."""
        if not losses.isfinite().all():
            return
        if self.scales:
            self.scales.observe_losses(losses)
        if isinstance(self.weighting, LossWeighting):
            self.weighting.begin(epoch)
            self.lambdas = self.weighting(losses)

    def _inverse_scales(self) -> Tensor | None:
        """1 / s, (M,), where all scales are known and above zero."""
        scales = None if self.scales is None else self.scales.values
        return 1 / scales if scales is not None and bool((scales > 0).all()) else None

    def _unscaled(self, lambdas: Tensor) -> Tensor:
        """From weights of the scaled losses to weights of the losses, of the same sum."""
        inverse = self._inverse_scales()
        if inverse is None:
            return lambdas
        weights = inverse * lambdas
        return weights * (lambdas.sum() / weights.sum())

    def record_validation(self, losses: Mapping[str, float]) -> None:
        """Remember the mean of the objectives' validation losses, as far as they are known."""
        known = [losses[name] for name in self.names if name in losses]  # --debug sees few of them
        self.validation_losses.append(sum(known) / len(known) if known else float("nan"))

    def state_dict(self) -> dict[str, Any]:
        """λ, the weighting's state and the history, for a checkpoint."""
        return {
            "names": self.names,
            "lambdas": self.lambdas,
            "weighting": weighting_state(self.weighting),
            "scale_by": self.scale_by,
            "scales": None if self.scales is None else self.scales.state_dict(),
            "validation_losses": self.validation_losses,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's λ.

        Raises
        ------
        ValueError
            If the checkpoint's weighting is of another kind, or has other scales.
        """
        saved = state.get("scale_by")
        if saved != self.scale_by:
            raise ValueError(
                f"The checkpoint's scale_by is {saved}, this run's is {self.scale_by}. Resume with "
                "the one the run was started with, or choose a new output_folder."
            )
        if self.scales is not None:
            self.scales.load_state_dict(state["scales"])
        restore_weighting(self.weighting, state["weighting"])
        self.lambdas = state["lambdas"].clone()
        self.validation_losses = list(state["validation_losses"])


def _constant_weight(weights: Mapping[str, float], name: str) -> float:
    values = [value for key, value in weights.items() if fnmatchcase(name, key)]
    if len(values) != 1 or values[0] < 0:
        raise ValueError(
            f"weights: objective {name!r} has {values or 'no weight'} among {weights}, "
            "expected exactly one, not negative."
        )
    return float(values[0])
