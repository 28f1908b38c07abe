"""The multilevel gradient step: from losses, one by one, to λ and the shared parameters' gradient.

Exact: the rows of all layers are kept, λ is chosen from their cross-Gramian, and the rows are
combined by it. Five things make a step cheaper; each of them combines some layers' gradients as
they arrive, by weights that are known before:

- where no λ depends on the gradients: the last λ;
- on layers that are not selected (`LayerSelection`): each level's uniform combination;
- between two updates of λ (``update_weights_every``): the last λ;
- with a sketch (``sketch_size``): the last λ, while the next one comes from sketched rows;
- with directions (``lambda_from``): the last λ, while the next one comes from each gradient's
  product with its level's part of the update (`vmsp_brain.method.directions`).

Losses that share an encoder forward go back through it layer by layer (`vmsp_brain.method.cuts`).
Where all layers up to a boundary have the same known weights, they go on as one below it. A loss
that reads inner layers too enters the descent there, by its gradient with respect to their outputs.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torchjd.aggregation import MoDoWeighting

from vmsp_brain.method.conflict import Estimate
from vmsp_brain.method.cuts import (
    Gradients,
    GraphCut,
    added,
    cut_after,
    cut_before,
    split,
    weighted_sum,
)
from vmsp_brain.method.directions import Directions
from vmsp_brain.method.hierarchy import Hierarchy
from vmsp_brain.method.jackknife import GroupedSums
from vmsp_brain.method.layer_selection import LayerSelection
from vmsp_brain.method.rows import DRAWS, GradientRows, Mean, accumulate, where_it_counts
from vmsp_brain.method.sketch import Sketch

LAMBDA_FROM = ("gramians", "directions")
"""What λ may come from."""

MEASURING_SKETCH = 4096
"""Columns of the sketch by which layers are measured that keep no rows."""

SEVERAL = -1
"""In place of a level's number: a sum over levels has none."""


@dataclass(frozen=True)
class Plan:
    """What a step does with each layer's gradients.

    Arguments
    ---------
    selected : list of str
        Layers under the level's weighting; the others get the uniform combination.
    kept : list of str
        Layers whose rows are kept until this step's λ is known.
    sketched : list of str
        Layers whose rows are sketched, for λ or for the measurement.
    directed : list of int
        Levels, by number, whose λ comes from a direction.
    updates_weights : bool
        Whether λ moves.
    measures : bool
        Whether the gradients' products are measured: in measuring steps, and wherever the rows of
        all layers are there anyway.
    shows : bool
        Whether it is a measuring step.
    boundary : int
        The lowest layer, by number, above which losses are differentiated one by one.
    """

    selected: list[str]
    kept: list[str]
    sketched: list[str]
    directed: list[int]
    updates_weights: bool
    measures: bool
    shows: bool
    boundary: int


@dataclass(frozen=True)
class Weights:
    """What a loss, or a sum of losses, counts.

    Arguments
    ---------
    known : float, optional
        In the update, on selected layers: its level's multiplier times the last λ.
    uniform : float, optional
        On layers that are not selected.
    within : float, optional
        In its level's direction: the last λ.
    level : int, optional
        By number; `SEVERAL` for a sum over levels.
    on_selected, on_others : bool, optional
        Whether its gradient is asked for there: a sum may be of selected layers alone, or of the
        others alone.
    """

    known: float = 0.0
    uniform: float = 0.0
    within: float = 0.0
    level: int = SEVERAL
    on_selected: bool = True
    on_others: bool = True


@dataclass
class Forward:
    """One encoder forward, of which losses are differentiated one after another.

    Arguments
    ---------
    draw : int
        0 or 1.
    num_losses : int
        Losses that are still to come.
    average : float
        1 / the number of micro-batches.
    loss_scale : float
        By which the losses are multiplied; kept in ``.grad``, undone in the rows.
    cuts : list of GraphCut
        Below each layer from the boundary on, and after the last; none for a single loss.
    gradients : dict
        By objective, of the loss with respect to what crosses each cut, directly: what left the
        last layer, and the outputs of inner layers that the loss reads.
    finite : dict
        By objective, whether the loss is, a scalar on its device.
    """

    draw: int
    num_losses: int
    average: float = 1.0
    loss_scale: float = 1.0
    cuts: list[GraphCut] = field(default_factory=list)
    gradients: dict[str, list[Gradients]] = field(default_factory=dict)
    finite: dict[str, Tensor] = field(default_factory=dict)


class GradientStep:
    """Collects the gradients of one step and combines them.

    Arguments
    ---------
    hierarchy : Hierarchy
        Its levels' λ and penalties are the weights.
    layers : dict
        The shared encoder's layers by name, in the order in which they are applied; each but the
        first is called as a module, and nothing passes around it.
    selection : LayerSelection, optional
        For efficient mode; all layers if not given.
    sketch_size : int, optional
        Columns of a layer's sketch, in place of its rows.
    lambda_from : str
        ``gramians`` of the rows, or ``directions``, one for each level: MoDo asks for no more.
    update_weights_every : int
        Steps between two updates of λ. At the same γ, MoDo's λ then moves that many times slower
        per step.
    measure_every : int
        Steps between two measuring steps, in which the gradients' products are measured on every
        layer. Where the rows of all layers are kept, every step measures them.

    Raises
    ------
    ValueError
        If a number of steps or columns is not positive, or a level's λ cannot come from directions.

    Example
    -------
    Two losses, of a head each, over layers that they share; two independent draws in every step.

    >>> from vmsp_brain.method.level import Level
    >>> _ = torch.manual_seed(0)
    >>> shared = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8))
    >>> heads = {"size": nn.Linear(8, 1), "sign": nn.Linear(8, 1)}
    >>> hierarchy = Hierarchy([Level(["size", "sign"])], heads)
    >>> step = GradientStep(hierarchy, {"lower": shared[0], "upper": shared[2]})
    >>> optimizer = torch.optim.SGD([*shared.parameters(), *nn.ModuleDict(heads).parameters()], 0.1)
    >>> for number in range(3):
    ...     step.begin(epoch=1, step=number)
    ...     for draw in range(DRAWS):
    ...         x = torch.randn(32, 4)
    ...         targets = {"size": x.norm(dim=1), "sign": x[:, 0].sign()}
    ...         with step.forward(draw, num_losses=2) as forward:
    ...             hidden = shared(x)
    ...         for name, head in heads.items():
    ...             loss = (head(hidden).squeeze(1) - targets[name]).square().mean()
    ...             step.add(forward, name, loss, list(head.parameters()))
    ...     hierarchy.update_lambdas(step.gramians())
    ...     step.combine()
    ...     optimizer.step()
    ...     optimizer.zero_grad()
    >>> hierarchy.weights(epoch=1)
    tensor([0.4783, 0.5217], dtype=torch.float64)
    """

    def __init__(
        self,
        hierarchy: Hierarchy,
        layers: Mapping[str, nn.Module],
        selection: LayerSelection | None = None,
        sketch_size: int | None = None,
        update_weights_every: int = 1,
        measure_every: int = 10,
        lambda_from: str = "gramians",
    ) -> None:
        for key, value in (
            ("update_weights_every", update_weights_every),
            ("measure_every", measure_every),
        ):
            if value < 1:
                raise ValueError(f"{key}: found {value!r}, expected 1 step or more.")
        if lambda_from not in LAMBDA_FROM:
            raise ValueError(
                f"lambda_from: found {lambda_from!r}, expected {' or '.join(LAMBDA_FROM)}."
            )
        self.hierarchy = hierarchy
        trainable = {name: _trainable(layer) for name, layer in layers.items()}
        self.parameters = {name: parameters for name, parameters in trainable.items() if parameters}
        self.modules = {name: layers[name] for name in self.parameters}
        self.selection = selection or LayerSelection()
        self.update_weights_every = update_weights_every
        self.measure_every = measure_every
        self.rows = GradientRows(hierarchy.objectives)
        self.sketched_rows = GradientRows(hierarchy.objectives)
        self._unread: list[tuple[str, Tensor]] = []  # of each loss, whether it is finite ...
        self._read: dict[str, list[bool]] = {}  # ... and by objective, once that was read
        self._heads: dict[str, Sequence[Parameter]] = {}  # by objective that had a loss
        # By objective, with the shares, if any λ depends on them.
        self._losses: dict[str, list[tuple[float, Tensor]]] = {}
        self.takes_directions = lambda_from == "directions"
        if self.takes_directions:
            _check_directions(hierarchy, sketch_size)
        self.directions = Directions([level.names for level in hierarchy.levels])
        self.keeps_rows = sketch_size is None and not self.takes_directions
        self.sketch = Sketch(sketch_size or MEASURING_SKETCH)

    @property
    def shared(self) -> list[Parameter]:
        """The shared parameters θ, layer by layer."""
        return [parameter for layer in self.parameters.values() for parameter in layer]

    def begin(self, epoch: int, step: int) -> None:
        """Plan a step; call it before every (micro-)batch.

        Arguments
        ---------
        epoch : int
            1, 2, ...
        step : int
            Optimizer steps taken so far.
        """
        self.epoch = epoch
        self.plan = self._plan(step)
        self.sketch.redraw(step)
        self.directions.begin()
        hierarchy, level_of = self.hierarchy, self.directions.level_of
        lambdas = torch.cat([level.lambdas for level in hierarchy.levels])
        numbers = [hierarchy.weights(epoch), hierarchy.uniform_weights(epoch), lambdas]
        rows = zip(hierarchy.objectives, torch.stack(numbers, 1).tolist(), strict=True)
        self._weights = {
            name: Weights(known, uniform, within, level_of[name])
            for name, (known, uniform, within) in rows
        }

    def _plan(self, step: int) -> Plan:
        layers = list(self.parameters)
        selected = self.selection.layers(layers)
        shows = step % self.measure_every == 0
        updates = self.hierarchy.adapts and bool(selected)
        updates = updates and step % self.update_weights_every == 0
        kept = selected if updates and self.keeps_rows else []
        directed = self._directed() if updates and self.takes_directions else []
        if self.takes_directions:
            updates, sketched = bool(directed), []
        else:
            sketched = selected if updates and not self.keeps_rows else []
        measures = shows or len(kept) == len(layers)
        if measures:
            sketched = [layer for layer in layers if layer not in kept]
        # Below the boundary, all that is asked for are sums under the same weights.
        one_by_one = {*kept, *sketched}
        if len(selected) < len(layers) or directed:
            one_by_one |= {*selected}
        numbers = [number for number, layer in enumerate(layers) if layer in one_by_one]
        boundary = min(numbers, default=len(layers))
        return Plan(selected, kept, sketched, directed, updates, measures, shows, boundary)

    def _directed(self) -> list[int]:
        return [
            number
            for number, level in enumerate(self.hierarchy.levels)
            if level.adapts and len(level.names) > 1 and level.is_trained(self.epoch)
        ]

    @contextmanager
    def forward(
        self,
        draw: int,
        num_losses: int,
        average: float = 1.0,
        loss_scale: float = 1.0,
        inner: Collection[str] = (),
    ) -> Iterator[Forward]:
        """Run an encoder forward in here, see `Forward`; gives what `add` wants.

        A single loss needs no cut: its one backward pass serves all layers. Losses may read the
        outputs of the ``inner`` layers too, where they enter the next one.
        """
        forward = Forward(draw, num_losses, average, loss_scale)
        with ExitStack() as stack:
            if num_losses > 1:
                modules = list(self.modules.values())
                read = {number for number, layer in enumerate(self.modules, 1) if layer in inner}
                read |= {*range(max(self.plan.boundary, 1), len(modules))}
                above = [modules[number] for number in sorted(read)]
                cuts = [*map(cut_before, above), cut_after(modules[-1])]
                forward.cuts = [stack.enter_context(cut) for cut in cuts]
            yield forward

    def add(
        self,
        forward: Forward,
        name: str,
        loss: Tensor,
        head: Sequence[Parameter],
        share: float = 1.0,
    ) -> None:
        """Differentiate one loss of a forward; after the last one, the encoder's graph is free.

        The head's own gradient, unweighted, goes to its ``.grad``. The gradient of a loss that is
        not finite counts as zero, on the device: `left_out` asks it, once for all of a step.

        Arguments
        ---------
        forward : Forward
            From which the loss comes.
        name : str
            The loss's objective.
        loss : Tensor
            A scalar.
        head : list of Parameter
            The objective's own trainable parameters.
        share : float
            Of the objective's loss on this draw: 1 / the number of forwards, if its loss is the
            mean over several.

        Raises
        ------
        ValueError
            If the loss reaches a layer by a way around the layers above it.
        """
        forward.num_losses -= 1
        if self.hierarchy.takes_losses:
            part = share * loss.detach() / forward.loss_scale
            self._losses.setdefault(name, []).append((share, part))
        finite = loss.detach().isfinite()
        forward.finite[name] = finite
        self._unread.append((name, finite))
        self._heads[name] = head
        leaves = [cut.leaves for cut in forward.cuts]
        inputs: list[Sequence[Tensor]] = [head, *leaves, self.shared]
        flat = torch.autograd.grad(loss * share, [*chain(*inputs)], allow_unused=True)
        of_head, *of_cuts, of_shared = split(flat, inputs)
        accumulate(head, where_it_counts(finite, of_head), forward.average / DRAWS)
        if forward.cuts:
            self._check_way(name, of_shared)
            forward.gradients[name] = of_cuts
        else:
            for layer, of_layer in self._by_layer(of_shared):
                self._add_layer(forward, name, layer, of_layer)
        if forward.cuts and not forward.num_losses:
            self._descend(forward)

    def _descend(self, forward: Forward) -> None:
        """All losses' gradients through each layer in turn, from the last to the boundary; from
        there on as one."""
        gradients, layers = self._flows(forward), list(self.parameters.items())
        for number in reversed(range(self.plan.boundary, len(layers))):
            layer, parameters = layers[number]
            above = forward.cuts.pop()
            leaves = forward.cuts[-1].leaves if forward.cuts else []
            lower = [parameter for _, other in layers[:number] for parameter in other]
            for following, (name, found) in enumerate(gradients.items(), start=1 - len(gradients)):
                counts = [self._counts(name, other) for other, _ in layers[: number + 1]]
                inputs: list[Sequence[Tensor]] = [
                    parameters if counts.pop() else [],
                    leaves if any(counts) else [],
                    lower,
                ]
                flat = above.backward(found.pop(), [*chain(*inputs)], retain_graph=following < 0)
                own, passed, around = split(flat, inputs)
                self._add_layer(forward, name, layer, own)
                self._check_way(name, around)
                if forward.cuts:
                    found[-1] = added(found[-1], passed)
        if self.plan.boundary:
            self._descend_as_one(forward, layers[: self.plan.boundary], gradients)

    def _descend_as_one(
        self,
        forward: Forward,
        layers: Sequence[tuple[str, list[Parameter]]],
        gradients: Mapping[str, list[Gradients]],
    ) -> None:
        """From the boundary to the first layer, in one piece where no loss reads inner layers."""
        parameters = [parameter for _, of_layer in layers for parameter in of_layer]
        first = layers[0][0]
        counted = {
            name: self._weight(name, first) for name in gradients if self._counts(name, first)
        }
        finite = [forward.finite[name] for name in counted]
        passed: Gradients = []
        while forward.cuts:
            above = forward.cuts.pop()
            direct = [gradients[name].pop() for name in counted]
            total = weighted_sum([*map(where_it_counts, finite, direct)], [*counted.values()])
            leaves = forward.cuts[-1].leaves if forward.cuts else []
            flat = above.backward(added(total, passed), [*parameters, *leaves])
            own, passed = split(
                where_it_counts(torch.stack(finite).any(), flat), [parameters, leaves]
            )
            accumulate(parameters, own, forward.average / DRAWS)

    def _flows(self, forward: Forward) -> dict[str, list[Gradients]]:
        """What goes back on its own: each loss, or sums where no more is asked for.

        For directions those are, on the first draw, the sum over each level that has one, and on
        both the sum of all losses whose level has none. Where λ rests, they are what counts on
        selected layers and what counts on the others. Rows, measurements, and directions beside
        layers that are not selected ask for each loss.
        """
        plan, gradients = self.plan, forward.gradients
        if plan.kept or plan.sketched:
            return gradients
        own = {name: self._weights[name] for name in gradients}
        everywhere = len(plan.selected) == len(self.parameters)
        if plan.directed and everywhere:
            return self._flows_of_directions(forward, own)
        if plan.directed or everywhere:
            return gradients
        names = ", ".join(own)
        known = {name: weights.known for name, weights in own.items()}
        uniform = {name: weights.uniform for name, weights in own.items()}
        return {
            title: self._sum(forward, title, parts, of_sum)
            for title, parts, of_sum in (
                (f"{names} (on selected layers)", known, Weights(known=1.0, on_others=False)),
                (f"{names} (on others)", uniform, Weights(uniform=1.0, on_selected=False)),
            )
        }

    def _flows_of_directions(
        self, forward: Forward, own: Mapping[str, Weights]
    ) -> dict[str, list[Gradients]]:
        groups: dict[int | str, list[str]] = {}
        for name, weights in own.items():
            own_way = name if forward.draw else weights.level
            way = own_way if weights.level in self.plan.directed else SEVERAL
            groups.setdefault(way, []).append(name)
        multipliers = self.hierarchy.multipliers(self.epoch)
        flows = {}
        for names in groups.values():
            level, title = own[names[0]].level, ", ".join(names)
            if len(names) == 1:
                flows[title] = forward.gradients[title]
            elif level in self.plan.directed:
                parts = {name: own[name].within for name in names}
                of_sum = Weights(multipliers[level], within=1.0, level=level)
                flows[title] = self._sum(forward, title, parts, of_sum)
            else:
                parts = {name: own[name].known for name in names}
                flows[title] = self._sum(forward, title, parts, Weights(known=1.0))
        return flows

    def _sum(
        self, forward: Forward, title: str, parts: Mapping[str, float], weights: Weights
    ) -> list[Gradients]:
        """Losses' gradients as one, with the weights of that one."""
        finite = [forward.finite[name] for name in parts]
        self._weights[title] = weights
        forward.finite[title] = torch.stack(finite).any()
        crossing = zip(*(forward.gradients[name] for name in parts), strict=True)
        return [
            weighted_sum([*map(where_it_counts, finite, each)], [*parts.values()])
            for each in crossing
        ]

    def _by_layer(self, gradients: Gradients) -> Iterator[tuple[str, Gradients]]:
        """Split the gradients of the first layers' parameters, of as many layers as there are."""
        start = 0
        for layer, parameters in self.parameters.items():
            if start < len(gradients):
                yield layer, gradients[start : start + len(parameters)]
            start += len(parameters)

    def _add_layer(self, forward: Forward, name: str, layer: str, gradients: Gradients) -> None:
        """One loss's gradient of one layer: into its row, into a sketch, into ``.grad``."""
        if all(gradient is None for gradient in gradients):
            return
        parameters, finite = self.parameters[layer], forward.finite[name]
        scale = forward.average / forward.loss_scale
        whole = [
            torch.zeros_like(parameter) if gradient is None else gradient
            for parameter, gradient in zip(parameters, gradients, strict=True)
        ]
        if layer in self.plan.kept:
            self.rows.add(forward.draw, name, layer, whole, scale, finite)
        else:
            counting = where_it_counts(finite, gradients)
            accumulate(parameters, counting, self._weight(name, layer) * forward.average / DRAWS)
        weights = self._weights[name]
        if weights.level in self.plan.directed and layer in self.plan.selected:
            if forward.draw == 0:
                weight = weights.within / forward.loss_scale
                self.directions.add(weights.level, layer, whole, weight)
            else:
                self.directions.multiply(name, layer, whole, scale)
        if layer in self.plan.sketched:
            sketched = self.sketch(layer, whole)
            self.sketched_rows.add(forward.draw, name, layer, [sketched], scale, finite)

    def _check_way(self, name: str, gradients: Gradients) -> None:
        for layer, reached in self._by_layer(gradients):
            if any(gradient is not None for gradient in reached):
                raise ValueError(
                    f"{name} shares an encoder forward with other objectives, but reaches the "
                    f"encoder's {layer} around the layers above it. Give it a source of its own, "
                    "or compute its loss from the encoder's hidden states alone, and those that "
                    "enter the layers above its inner_layers."
                )

    @property
    def left_out(self) -> list[str]:
        """Objectives with a loss that was not finite; waits for the device, once."""
        return [name for name, finite in self._finite().items() if not all(finite)]

    def _finite(self) -> dict[str, list[bool]]:
        """By objective, of each of its losses in this step, whether it is finite."""
        if self._unread:
            names, finite = zip(*self._unread, strict=True)
            for name, known in zip(names, torch.stack(finite).tolist(), strict=True):
                self._read.setdefault(name, []).append(known)
            self._unread.clear()
        return self._read

    def gramians(self, mean: Mean = list) -> list[Tensor]:
        """Each level's Gramian over the selected layers; empty if λ rests in this step.

        Entries of an objective that was left out are not a number.

        Arguments
        ---------
        mean : callable, optional
            The mean over the processes that train together. It is taken of the sketched rows: so
            the Gramians are those of the mean gradients. Rows that are kept are too large for that,
            and it is taken of their Gramians: for the cross-Gramian it estimates the same matrix
            without bias, but the symmetric Gramian then is not that of the mean gradients; its
            diagonal is larger by the gradients' variance between processes.
        """
        if not self.plan.updates_weights:
            return []
        if self.plan.directed:
            return self.directions.gramians(self.plan.directed, self.left_out, mean)
        if self.keeps_rows:
            return mean(self._gramians_of_levels(self.rows))
        columns = {
            layer: min(self.sketch.size, sum(p.numel() for p in self.parameters[layer]))
            for layer in self.plan.selected
        }
        self.sketched_rows.average(mean, columns, self.shared[0].device, self.left_out)
        return self._gramians_of_levels(self.sketched_rows)

    def _gramians_of_levels(self, rows: GradientRows) -> list[Tensor]:
        whole = {
            cross: self._gramian(rows, self.plan.selected, cross)
            for cross in {level.takes_cross_gramian for level in self.hierarchy.levels}
        }
        gramians, start = [], 0
        for level in self.hierarchy.levels:
            end = start + len(level.names)
            gramians.append(whole[level.takes_cross_gramian][start:end, start:end])
            start = end
        return gramians

    def _gramian(self, rows: GradientRows, layers: Iterable[str], cross: bool) -> Tensor:
        gramian = rows.gramian(layers, cross)
        unknown = [rows.index[name] for name in self.left_out]
        gramian[unknown, :] = gramian[:, unknown] = torch.nan
        return gramian

    def losses(self, mean: Mean = list) -> Tensor | None:
        """The objectives' losses in this step, (M,), float64; none if no λ depends on them.

        Of all draws, micro-batches and processes; not a number where one of them is not finite, or
        there are none.

        Arguments
        ---------
        mean : callable, optional
            The mean over the processes that train together.
        """
        if not self.hierarchy.takes_losses:
            return None
        sums = torch.zeros(2, len(self.rows.index), dtype=torch.float64)
        for name, found in self._losses.items():
            row = self.rows.index[name]
            shares, parts = zip(*found, strict=True)
            sums[0, row] = torch.stack(parts).to("cpu", torch.float64).sum()
            sums[1, row] = sum(shares)
        [(total, number)] = mean([sums])
        return total / number

    def products(self) -> Tensor:
        """Of the objectives' gradients on every layer, (layers, M, M + 1), in a step that measures.

        See `GradientRows.products`; of sketched rows they are as free of bias. Those of an
        objective that was left out, or of a gradient that is not finite, are not a number. They are
        this process's own: ask for them before `gramians`, which may average the rows.
        """
        found = {**self.sketched_rows.products(), **self.rows.products()}
        size = len(self.rows.index)
        products = torch.zeros(len(self.parameters), size, size + 1, dtype=torch.float64)
        if found:
            reached = [number for number, layer in enumerate(self.parameters) if layer in found]
            ordered = [found[layer] for layer in self.parameters if layer in found]
            products[reached] = torch.stack(ordered).cpu()
        unknown = [self.rows.index[name] for name in self.left_out]
        products[:, unknown] = products[:, :, unknown] = torch.nan
        return products

    def end_epoch(
        self, epoch: int, similarities: Mapping[str, Estimate], sample: GroupedSums
    ) -> None:
        """Select layers; tell the hierarchy the expected gradients' squared norms over them.

        Arguments
        ---------
        epoch, similarities
            See `LayerSelection.update`.
        sample : GroupedSums
            Of the epoch's `products`.
        """
        self.selection.update(epoch, similarities)
        selected = self.selection.layers(list(self.parameters))
        numbers = [number for number, layer in enumerate(self.parameters) if layer in selected]

        def squares(sums: Tensor) -> Tensor:
            return sums[:, numbers, :, :-1].sum(1).diagonal(dim1=-2, dim2=-1)

        self.hierarchy.record_squares(sample.map(squares))

    def combine(self, loss_scale: float = 1.0) -> None:
        """Combine the kept rows by the hierarchy's weights into ``.grad``; forget all rows.

        What no finite loss reached has no gradient: an optimizer leaves it alone.
        """
        weights = self.hierarchy.weights(self.epoch) * loss_scale
        weights = weights.to(self.shared[0].device, torch.float32, non_blocking=True)
        for layer in self.rows.layers:
            parameters = self.parameters[layer]
            parts = self.rows.direction(layer, weights).split([p.numel() for p in parameters])
            accumulate(
                parameters,
                [p.view_as(q).to(q.dtype) for p, q in zip(parts, parameters, strict=True)],
            )
        without = [name for name, finite in self._finite().items() if not any(finite)]
        reached = {p for name in self._heads.keys() - {*without} for p in self._heads[name]}
        unreached = [p for name in without for p in self._heads[name] if p not in reached]
        if len(without) == len(self._read):
            unreached += self.shared
        for parameter in unreached:
            parameter.grad = None
        if self.update_weights_every > 1:
            self.clear()  # the steps to come have no rows
        else:
            self._forget()

    def clear(self) -> None:
        """Forget all rows, and give their memory back."""
        self._forget()
        self.rows.free()
        self.sketched_rows.free()

    def _forget(self) -> None:
        self.rows.clear()
        self.sketched_rows.clear()
        self.sketch.clear()
        self.directions.clear()
        for kept in (self._unread, self._read, self._heads, self._losses):
            kept.clear()

    def _counts(self, name: str, layer: str) -> bool:
        """Whether the gradient of a loss, or of a sum, is asked for on a layer."""
        weights = self._weights[name]
        return weights.on_selected if layer in self.plan.selected else weights.on_others

    def _weight(self, name: str, layer: str) -> float:
        weights = self._weights[name]
        return weights.known if layer in self.plan.selected else weights.uniform


def _check_directions(hierarchy: Hierarchy, sketch_size: int | None) -> None:
    if sketch_size is not None:
        raise ValueError(
            f"sketch_size: found {sketch_size!r} beside lambda_from: directions, which needs no "
            "rows. Remove one of the two."
        )
    for level in hierarchy.levels:
        if level.adapts and len(level.names) > 1 and not isinstance(level.weighting, MoDoWeighting):
            raise ValueError(
                f"lambda_from: found directions, but the level {list(level.objectives)} has a "
                f"{type(level.weighting).__name__}; MoDoWeighting alone asks for no more. Give "
                "lambda_from: gramians."
            )
        if level.scales is not None:
            raise ValueError(
                f"lambda_from: found directions, but the level {list(level.objectives)} has "
                f"scale_by: {level.scale_by}, whose scales move between a direction and its use. "
                "Remove scale_by, or give lambda_from: gramians."
            )


def _trainable(layer: nn.Module) -> list[Parameter]:
    return [parameter for parameter in layer.parameters() if parameter.requires_grad]
