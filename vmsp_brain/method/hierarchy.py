"""The hierarchy of objectives: levels, from the primary one down, and what each objective weighs.

The paper's recipes and its baselines are one thing, a hierarchy (Objective Soups, VS-, VC- and
VM-MSP). The update of the shared parameters θ is

    d = Σ_levels ( Π_{k<level} η_k ) · Σ_{m in level} λ_m ∇θ L_m

with λ on the simplex of its own level, from that level's weighting, and η from the penalties.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor
from torchjd.aggregation import ConstantWeighting, MoDoWeighting, Weighting

from vmsp_brain.method.penalties import Penalty
from vmsp_brain.method.weightings import restore_weighting, takes_cross_gramian, weighting_state

ORDERS = {
    "UAS": ("asr/*", "st/*", "ssl"),
    "USA": ("st/*", "asr/*", "ssl"),
}
"""The paper's two orders, primary level first: UAS puts recognition on top, USA translation."""


@dataclass
class Level:
    """One level: objectives that are traded off against each other.

    Arguments
    ---------
    objectives : list of str
        Names or patterns: ``asr/fr``, ``asr/*``, ``*/fr-en``, ``ssl``.
    weighting : Weighting
        Gives λ from the level's Gramian; MoDo (Chen et al., JMLR 2024) unless said otherwise.
    penalty : callable, optional
        η between the level above and this one, see `vmsp_brain.method.penalties`. The primary level
        has none, every other level needs one.
    weights : dict, optional
        Constant weights by name or pattern, in place of a weighting: static weighting. They are
        taken as they are, not made to sum to 1.
    epochs : tuple of int
        First and last epoch in which the level's objectives are trained at all; no last one means
        to the end. For training in stages.
    """

    objectives: Sequence[str]
    weighting: Weighting = field(default_factory=lambda: MoDoWeighting(gamma=0.01, rho=0.0))
    penalty: Penalty | None = None
    weights: Mapping[str, float] | None = None
    epochs: tuple[int, int | None] = (1, None)

    def is_trained(self, epoch: int) -> bool:
        """Whether the level's objectives are trained in this epoch (1, 2, ...)."""
        first, last = self.epochs
        return first <= epoch and (last is None or epoch <= last)


class Hierarchy:
    """Levels over a set of named objectives, every objective in exactly one level.

    Arguments
    ---------
    levels : list of Level
        The primary level first.
    objectives : iterable of str
        The names of all objectives that the levels' patterns are matched against.

    Raises
    ------
    ValueError
        If an objective is in no level or in two, a level matches nothing, a penalty is missing or
        stands on the primary level, or a level's epochs, weights or weighting make no sense. The
        message names the level and the objectives.

    Example
    -------
    >>> from vmsp_brain.method.penalties import LinearPenalty
    >>> levels = [Level(["asr/*"]), Level(["ssl"], penalty=LinearPenalty(0.5))]
    >>> hierarchy = Hierarchy(levels, ["ssl", "asr/en", "asr/fr"])
    >>> hierarchy.names
    [['asr/en', 'asr/fr'], ['ssl']]
    >>> hierarchy.multipliers(epoch=1)
    [1.0, 0.5]
    """

    def __init__(self, levels: Sequence[Level], objectives: Iterable[str]) -> None:
        self.levels = list(levels)
        self.names = _objectives_of_levels(self.levels, list(objectives))
        _check_levels(self.levels)
        self.weightings = [
            _weighting(level, names) for level, names in zip(self.levels, self.names, strict=True)
        ]
        self.cross = [takes_cross_gramian(weighting) for weighting in self.weightings]
        self.lambdas = [lambdas.clone() for lambdas in self._uniform_lambdas()]
        self.validation_losses: list[list[float]] = [[] for _ in self.levels]

    @property
    def objectives(self) -> list[str]:
        """All objectives, level by level."""
        return [name for names in self.names for name in names]

    def penalties(self, epoch: int) -> list[float]:
        """η_1, η_2, ... in this epoch (1, 2, ...), one between each two levels."""
        lower = zip(self.levels[1:], self.validation_losses[1:], strict=True)
        return [float(level.penalty(epoch, losses)) for level, losses in lower]

    def multipliers(self, epoch: int) -> list[float]:
        """What each level counts in this epoch: 1, η_1, η_1·η_2, ..."""
        multipliers = [1.0]
        for penalty in self.penalties(epoch):
            multipliers.append(multipliers[-1] * penalty)
        return multipliers

    def trained(self, epoch: int) -> set[str]:
        """The objectives that are trained in this epoch."""
        levels = zip(self.levels, self.names, strict=True)
        return {name for level, names in levels if level.is_trained(epoch) for name in names}

    def record_validation(self, losses: Mapping[str, float]) -> None:
        """Remember the validation losses of an epoch that ends; adaptive penalties look at them."""
        for history, names in zip(self.validation_losses, self.names, strict=True):
            known = [losses[name] for name in names if name in losses]  # --debug sees few of them
            history.append(sum(known) / len(known) if known else float("nan"))

    def update_lambdas(self, gramians: Sequence[Tensor]) -> None:
        """Let every level's weighting set its λ.

        Arguments
        ---------
        gramians : list of Tensor
            For each level the Gramian of its objectives, (M, M), the cross-Gramian
            J(ξ1) J(ξ2)^T where `cross` says so. A level keeps its λ if it is not finite.
        """
        for i, (weighting, gramian) in enumerate(zip(self.weightings, gramians, strict=True)):
            if gramian.isfinite().all():
                self.lambdas[i] = weighting(gramian).detach().to(gramian)

    @property
    def adapts(self) -> bool:
        """Whether any λ depends on the gradients."""
        return not all(isinstance(weighting, ConstantWeighting) for weighting in self.weightings)

    def weights(self, epoch: int) -> Tensor:
        """Each objective's weight in the update, multiplier times λ, (M,), in level order."""
        return self._multiplied(self.lambdas, epoch)

    def uniform_weights(self, epoch: int) -> Tensor:
        """`weights`, had each level the uniform λ (or its constants, if it has those)."""
        return self._multiplied(self._uniform_lambdas(), epoch)

    def _multiplied(self, lambdas: Sequence[Tensor], epoch: int) -> Tensor:
        multipliers = self.multipliers(epoch)
        return torch.cat([m * each for m, each in zip(multipliers, lambdas, strict=True)])

    def _uniform_lambdas(self) -> list[Tensor]:
        return [
            weighting.weights
            if isinstance(weighting, ConstantWeighting)
            else torch.full((len(names),), 1.0 / len(names), dtype=torch.float64)
            for names, weighting in zip(self.names, self.weightings, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        """λ and the weightings' state, for a checkpoint."""
        return {
            "names": self.names,
            "lambdas": self.lambdas,
            "weightings": [weighting_state(weighting) for weighting in self.weightings],
            "validation_losses": self.validation_losses,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's λ.

        Raises
        ------
        ValueError
            If the checkpoint's levels hold other objectives.
        """
        if state["names"] != self.names:
            raise ValueError(
                f"The checkpoint's hierarchy is {state['names']}, this run's is {self.names}. "
                "Resume with the hierarchy the run was started with, or choose a new "
                "output_folder."
            )
        self.lambdas = [lambdas.clone() for lambdas in state["lambdas"]]
        self.validation_losses = [list(losses) for losses in state["validation_losses"]]
        for weighting, saved in zip(self.weightings, state["weightings"], strict=True):
            restore_weighting(weighting, saved)


def hierarchy_in_order(
    order: str,
    objectives: Iterable[str],
    penalties: Sequence[Penalty],
    weighting: Weighting,
) -> Hierarchy:
    """The paper's three-level hierarchy (VM-MSP) in the order UAS or USA.

    Arguments
    ---------
    order : str
        ``UAS`` (recognition over translation over SSL) or ``USA`` (translation over recognition
        over SSL).
    objectives : iterable of str
        The names of all objectives, or a mapping keyed by them.
    penalties : list of callable
        η_1 and η_2, see `vmsp_brain.method.penalties`.
    weighting : Weighting
        The weighting of a level; each level gets its own copy.

    Returns
    -------
    Hierarchy

    Raises
    ------
    ValueError
        If the order is unknown or there are not two penalties.
    """
    if order not in ORDERS:
        raise ValueError(
            f"order: found {order!r}, expected one of {', '.join(ORDERS)}. For another order, "
            "declare your own vmsp_brain.method.hierarchy.Hierarchy."
        )
    patterns = ORDERS[order]
    if len(penalties) != len(patterns) - 1:
        raise ValueError(
            f"penalties: found {len(penalties)}, expected {len(patterns) - 1}, one between each "
            f"two of the levels {', '.join(patterns)}."
        )
    levels = [
        Level([pattern], weighting, penalty)
        for pattern, penalty in zip(patterns, [None, *penalties], strict=True)
    ]
    return Hierarchy(levels, objectives)


def _objectives_of_levels(levels: list[Level], objectives: list[str]) -> list[list[str]]:
    names = [[name for name in objectives if _matches(level, name)] for level in levels]
    for number, (level, matched) in enumerate(zip(levels, names, strict=True), start=1):
        if not matched:
            raise ValueError(
                f"Level {number} of the hierarchy, {list(level.objectives)}, matches no objective. "
                f"The objectives are {', '.join(objectives)}. Remove the level or correct its "
                "patterns."
            )
    for name in objectives:
        found_in = [str(number) for number, level in enumerate(levels, 1) if _matches(level, name)]
        if len(found_in) != 1:
            found = f"levels {' and '.join(found_in)}" if found_in else "no level"
            raise ValueError(
                f"Objective {name!r} is in {found} of the hierarchy, expected exactly one. "
                "Correct the levels' patterns."
            )
    return names


def _weighting(level: Level, names: list[str]) -> Weighting:
    if level.weights is None:
        return copy.deepcopy(level.weighting)  # levels given one object would share its λ
    values = []
    for name in names:
        found = [value for key, value in level.weights.items() if fnmatchcase(name, key)]
        if len(found) != 1 or found[0] < 0:
            raise ValueError(
                f"weights: objective {name!r} has {found or 'no weight'} among {level.weights}, "
                "expected exactly one, not negative."
            )
        values.append(float(found[0]))
    return ConstantWeighting(torch.tensor(values, dtype=torch.float64))


def _matches(level: Level, name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in level.objectives)


def _check_levels(levels: list[Level]) -> None:
    if not levels:
        raise ValueError("A hierarchy needs at least one level.")
    if levels[0].penalty is not None:
        raise ValueError(
            "The primary level has a penalty, but nothing stands above it. Move the penalty to the "
            "level below."
        )
    for number, level in enumerate(levels, start=1):
        first, last = level.epochs
        if first < 1 or (last is not None and last < first):
            raise ValueError(
                f"Level {number} of the hierarchy, {list(level.objectives)}: found epochs "
                f"{[first, last]}, expected a first epoch of 1 or more and a last one after it, or "
                "none."
            )
        if not isinstance(level.weighting, Weighting):
            raise ValueError(
                f"Level {number} of the hierarchy, {list(level.objectives)}: found the weighting "
                f"{level.weighting!r}, expected one of TorchJD's weightings, such as "
                "torchjd.aggregation.MoDoWeighting or UPGradWeighting (not the aggregator UPGrad)."
            )
        if number > 1 and level.penalty is None:
            raise ValueError(
                f"Level {number} of the hierarchy, {list(level.objectives)}, has no penalty. Give "
                "it one, such as vmsp_brain.method.penalties.LinearPenalty."
            )
