"""The hierarchy of objectives: levels, from the primary one down, and what each objective weighs.

The paper's recipes and its baselines are one thing, a hierarchy (Objective Soups, VS-, VC- and
VM-MSP). The update of the shared parameters θ is

    d = Σ_levels ( Π_{k<level} η_k ) · Σ_{m in level} λ_m ∇θ L_m

with λ on the simplex of its own level, from that level's weighting, and η from the penalties.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torchjd.aggregation import Weighting

from vmsp_brain.method.jackknife import GroupedSums
from vmsp_brain.method.level import Level
from vmsp_brain.method.penalties import ConstantPenalty, Penalty

ORDERS = {
    "UAS": ("asr/*", "st/*", "ssl"),
    "USA": ("st/*", "asr/*", "ssl"),
}
"""The paper's two orders, primary level first: UAS puts recognition on top, USA translation."""

LOWEST = "lid"
"""Language identification, if there is any, has a level of its own below all others, unless one of
them names it (a pattern such as ``*`` does not): its loss is soon small, and a small gradient would
draw λ to itself wherever it is traded off against others."""


class Hierarchy:
    """Levels over a set of named objectives, every objective in exactly one level.

    Arguments
    ---------
    levels : list of Level
        The primary level first.
    objectives : iterable of str
        The names of all objectives that the levels' patterns are matched against. To those levels
        comes that of `LOWEST`, with a penalty of 1, trained in the primary level's epochs.

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
    >>> [level.names for level in hierarchy.levels]
    [['asr/en', 'asr/fr'], ['ssl']]
    >>> hierarchy.multipliers(epoch=1)
    [1.0, 0.5]
    """

    def __init__(self, levels: Sequence[Level], objectives: Iterable[str]) -> None:
        names = list(objectives)
        _check_kinds(levels)
        declared = _but_lowest(names, levels)
        _check_objectives(levels, declared)
        _check_levels(levels)
        self.levels = [level.over(declared) for level in levels]
        if declared != names:
            lowest = Level([LOWEST], penalty=ConstantPenalty(1.0), epochs=levels[0].epochs)
            self.levels.append(lowest.over([LOWEST]))

    @property
    def objectives(self) -> list[str]:
        """All objectives, level by level."""
        return [name for level in self.levels for name in level.names]

    @property
    def lambdas(self) -> dict[str, float]:
        """Each objective's λ, on the simplex of its level."""
        return {
            name: float(value)
            for level in self.levels
            for name, value in zip(level.names, level.lambdas, strict=True)
        }

    def penalties(self, epoch: int) -> list[float]:
        """η_1, η_2, ... in this epoch (1, 2, ...), one between each two levels."""
        return [
            float(level.penalty(epoch, level.validation_losses))
            for level in self.levels
            if level.penalty is not None
        ]

    def named_penalties(self, epoch: int) -> dict[str, float]:
        """`penalties` by the levels on both sides, such as ``eta_1_st_under_asr``.

        A level is named by its tasks, or by its languages where another level has the same tasks.
        """
        names = [_title(level, self.levels) for level in self.levels]
        pairs = enumerate(itertools.pairwise(names), start=1)
        keys = [f"eta_{number}_{lower}_under_{upper}" for number, (upper, lower) in pairs]
        return dict(zip(keys, self.penalties(epoch), strict=True))

    def multipliers(self, epoch: int) -> list[float]:
        """What each level counts in this epoch: 1, η_1, η_1·η_2, ..."""
        multipliers = [1.0]
        for penalty in self.penalties(epoch):
            multipliers.append(multipliers[-1] * penalty)
        return multipliers

    def trained(self, epoch: int) -> set[str]:
        """The objectives that are trained in this epoch."""
        return {name for level in self.levels if level.is_trained(epoch) for name in level.names}

    def record_validation(self, losses: Mapping[str, float]) -> None:
        """Remember the validation losses of an epoch that ends; adaptive penalties look at them."""
        for level in self.levels:
            level.record_validation(losses)

    def update_lambdas(
        self,
        gramians: Sequence[Tensor],
        seed: int | None = None,
        losses: Tensor | None = None,
        epoch: int = 1,
    ) -> None:
        """Let every level's weighting set its λ.

        Arguments
        ---------
        gramians : list of Tensor
            For each level the Gramian of its objectives, (M, M), the cross-Gramian
            J(ξ1) J(ξ2)^T if the level takes that. A level keeps its λ if it is not finite, or if
            there are none.
        seed : int, optional
            Of weightings that draw random numbers (PCGrad, GradVac, Random): equal in all
            processes, so is λ; and torch's own generator is left alone. Without, they use that.
        losses : Tensor, optional
            Of the objectives, (M,), for levels that take them. A level keeps its λ if they are not
            finite, or not known.
        epoch : int
            Of the losses.
        """
        with nullcontext() if seed is None else _seeded(seed):
            if losses is not None:
                for level, own in zip(self.levels, losses.split(self._sizes), strict=True):
                    level.update_from_losses(own, epoch)
            if gramians:
                for level, gramian in zip(self.levels, gramians, strict=True):
                    if level.adapts:
                        level.update_lambdas(gramian)

    def record_squares(self, sample: GroupedSums) -> None:
        """Tell scales the objectives' squared norms, (M,) in each step of an epoch that ends."""
        squares, errors = (each.split(self._sizes) for each in sample.estimate(lambda mean: mean))
        for level, *own in zip(self.levels, squares, errors, strict=True):
            if level.scales is not None:
                level.scales.observe_squares(*own)

    @property
    def _sizes(self) -> list[int]:
        return [len(level.names) for level in self.levels]

    @property
    def takes_losses(self) -> bool:
        """Whether any λ depends on the losses."""
        return any(level.takes_losses for level in self.levels)

    @property
    def adapts(self) -> bool:
        """Whether any λ depends on the gradients."""
        return any(level.adapts for level in self.levels)

    def weights(self, epoch: int) -> Tensor:
        """Each objective's weight in the update, multiplier times λ, (M,), in level order."""
        return self._multiplied([level.lambdas for level in self.levels], epoch)

    def uniform_weights(self, epoch: int) -> Tensor:
        """`weights`, had each level that adapts the uniform λ (of its scaled losses)."""
        return self._multiplied([level.uniform_lambdas for level in self.levels], epoch)

    def _multiplied(self, lambdas: Sequence[Tensor], epoch: int) -> Tensor:
        multipliers = self.multipliers(epoch)
        return torch.cat([m * each for m, each in zip(multipliers, lambdas, strict=True)])

    def state_dict(self) -> dict[str, Any]:
        """λ, the weightings' state and the history of every level, for a checkpoint."""
        return {"levels": [level.state_dict() for level in self.levels]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's λ.

        Raises
        ------
        ValueError
            If the checkpoint's levels hold other objectives, or have other weightings.
        """
        saved = [level_state["names"] for level_state in state["levels"]]
        names = [level.names for level in self.levels]
        if saved != names:
            raise ValueError(
                f"The checkpoint's hierarchy is {saved}, this run's is {names}. "
                "Resume with the hierarchy the run was started with, or choose a new "
                "output_folder."
            )
        for level, level_state in zip(self.levels, state["levels"], strict=True):
            level.load_state_dict(level_state)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """With torch's generator on the CPU, where weightings compute, begun from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def hierarchy_in_order(
    order: str,
    objectives: Iterable[str],
    penalties: Sequence[Penalty],
    weighting: Weighting,
    scale_by: str | None = None,
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
    scale_by : str, optional
        Every level's, see `Level`.

    Returns
    -------
    Hierarchy

    Raises
    ------
    ValueError
        If the order is unknown or there are not two penalties.

    Example
    -------
    >>> from torchjd.aggregation import MoDoWeighting
    >>> from vmsp_brain.method.penalties import LinearPenalty
    >>> objectives = ["asr/en", "asr/fr", "st/fr-en", "ssl"]
    >>> penalties = [LinearPenalty(0.1), LinearPenalty(0.0)]
    >>> hierarchy = hierarchy_in_order("USA", objectives, penalties, MoDoWeighting(0.01, 0.0))
    >>> [level.names for level in hierarchy.levels]
    [['st/fr-en'], ['asr/en', 'asr/fr'], ['ssl']]
    >>> hierarchy.multipliers(epoch=1)
    [1.0, 0.1, 0.0]
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
        Level([pattern], weighting, penalty, scale_by=scale_by)
        for pattern, penalty in zip(patterns, [None, *penalties], strict=True)
    ]
    return Hierarchy(levels, objectives)


def _but_lowest(names: list[str], levels: Sequence[Level]) -> list[str]:
    """What the declared levels are over: all, or all but what gets a level of its own."""
    others = [name for name in names if name != LOWEST]
    named = any(LOWEST in level.objectives for level in levels)
    return names if named or not others else others


def _check_kinds(levels: Sequence[Level]) -> None:
    for number, level in enumerate(levels, start=1):
        if not isinstance(level, Level):
            raise ValueError(
                f"Level {number} of the hierarchy: found {level!r}, expected a Level. A list takes "
                "the place of the file's whole list: write it in a file of your own, each level as "
                "!new:vmsp_brain.method.hierarchy.Level (see hparams/joint.yaml)."
            )


def _check_objectives(levels: Sequence[Level], objectives: Sequence[str]) -> None:
    for number, level in enumerate(levels, start=1):
        if not any(level.matches(name) for name in objectives):
            raise ValueError(
                f"Level {number} of the hierarchy, {list(level.objectives)}, matches no objective. "
                f"The objectives are {', '.join(objectives)}. Remove the level, correct its "
                "patterns, or add languages or pairs."
            )
    for name in objectives:
        numbers = [str(number) for number, level in enumerate(levels, 1) if level.matches(name)]
        if len(numbers) != 1:
            found = f"levels {' and '.join(numbers)}" if numbers else "no level"
            raise ValueError(
                f"Objective {name!r} is in {found} of the hierarchy, expected exactly one. "
                "Correct the levels' patterns."
            )


def _title(level: Level, levels: Sequence[Level]) -> str:
    tasks = [_tasks(other) for other in levels]
    own = _tasks(level)
    shared = sum(bool(own.keys() & other.keys()) for other in tasks) > 1
    sources = dict.fromkeys(re.split("[/-]", name)[1] for name in level.names if "/" in name)
    return "-".join(sources if shared else own)


def _tasks(level: Level) -> dict[str, None]:
    return dict.fromkeys(name.partition("/")[0] for name in level.names)


def _check_levels(levels: Sequence[Level]) -> None:
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
                "torchjd.aggregation.MoDoWeighting or UPGradWeighting (not the aggregator UPGrad), "
                "or vmsp_brain.method.loss_weighting.LossWeighting of one of its scalarizers."
            )
        if number > 1 and level.penalty is None:
            raise ValueError(
                f"Level {number} of the hierarchy, {list(level.objectives)}, has no penalty. Give "
                "it one, such as vmsp_brain.method.penalties.LinearPenalty."
            )
