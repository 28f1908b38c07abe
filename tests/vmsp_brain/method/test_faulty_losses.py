"""Losses that are not finite are left out, without asking a device of each whether it is."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torchjd.aggregation import MoDoWeighting

from tests.helpers.tensors import DEVICE, randn
from vmsp_brain.method.hierarchy import Hierarchy, Level
from vmsp_brain.method.layer_selection import LayerSelection
from vmsp_brain.method.rows import DRAWS
from vmsp_brain.method.step import GradientStep

pytestmark = pytest.mark.usefixtures("known_at_once")

NAMES = ["a", "b", "c"]
SOURCES = [["a", "b"], ["c"]]
"""Objectives that share an encoder forward."""


class Experiment:
    """Two layers that three heads share."""

    def __init__(self, adapts: bool = True, selected: list[str] | None = None, **options) -> None:
        torch.manual_seed(0)
        self.shared = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4)).to(DEVICE)
        self.heads = nn.ModuleDict({name: nn.Linear(4, 1) for name in NAMES}).to(DEVICE)
        layers = {"lower": self.shared[0], "upper": self.shared[1]}
        selection = LayerSelection(efficient=selected is not None)
        selection.selected = selected
        weights = None if adapts else {"*": 1.0}
        weighting = MoDoWeighting(gamma=0.05, rho=0.0)
        self.hierarchy = Hierarchy([Level(NAMES, weighting, weights=weights)], NAMES)
        self.step = GradientStep(self.hierarchy, layers, selection, **options)
        self.inputs = {(draw, n): randn(5, 3) for draw in range(DRAWS) for n in range(len(SOURCES))}

    def collect(
        self, faults: Mapping[tuple[int, str], float], number: int = 1, **scales: float
    ) -> None:
        """One (micro-)batch, whose losses are multiplied by ``faults``."""
        self.step.begin(epoch=1, step=number)
        for draw, source in self.inputs:
            names = SOURCES[source]
            with self.step.forward(draw, len(names), **scales) as forward:
                hidden = self.shared(self.inputs[draw, source])
            for name in names:
                loss = self.heads[name](hidden).square().mean() * faults.get((draw, name), 1.0)
                self.step.add(forward, name, loss, list(self.heads[name].parameters()))

    def finish(self) -> dict[str, Tensor | None]:
        self.hierarchy.update_lambdas(self.step.gramians())
        self.step.combine()
        return {name: p.grad for name, p in self.named_parameters().items()}

    def named_parameters(self) -> dict[str, nn.Parameter]:
        return dict(nn.ModuleDict({"shared": self.shared, "heads": self.heads}).named_parameters())

    def expected(self, *left_out: tuple[int, str]) -> dict[str, Tensor]:
        """By plain backward passes of the other losses, under the present weights."""
        parameters = self.named_parameters()
        total = {name: torch.zeros_like(p) for name, p in parameters.items()}
        weights = dict(zip(self.hierarchy.objectives, self.hierarchy.weights(1), strict=True))
        for draw, number in self.inputs:
            hidden = self.shared(self.inputs[draw, number])
            for name in SOURCES[number]:
                if (draw, name) in left_out:
                    continue
                loss = self.heads[name](hidden).square().mean() / DRAWS
                found = torch.autograd.grad(
                    loss, list(parameters.values()), retain_graph=True, allow_unused=True
                )
                for key, gradient in zip(parameters, found, strict=True):
                    if gradient is not None:
                        weight = float(weights[name]) if key.startswith("shared") else 1.0
                        total[key] += weight * gradient
        return total


MODES = {
    "exact": {},
    "between updates": {"update_weights_every": 2},
    "sketched": {"sketch_size": 1000},
    "constant": {"adapts": False},
    "efficient": {"selected": ["upper"]},
    "none selected": {"selected": []},
}


def assert_close(found: Mapping[str, Tensor | None], expected: Mapping[str, Tensor]) -> None:
    for name, value in expected.items():
        gradient = found[name]
        known = torch.zeros_like(value) if gradient is None else gradient
        torch.testing.assert_close(known, value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("mode", MODES.values(), ids=list(MODES))
@pytest.mark.parametrize("fault", [torch.nan, torch.inf])
def test_only_the_loss_that_is_not_finite_is_left_out(mode, fault):
    experiment = Experiment(**mode)
    before = experiment.hierarchy.lambdas
    experiment.collect({(1, "b"): fault})
    assert experiment.step.left_out == ["b"]
    found = experiment.finish()
    assert experiment.hierarchy.lambdas == before
    assert_close(found, experiment.expected((1, "b")))
    assert experiment.step.left_out == []


@pytest.mark.parametrize("mode", MODES.values(), ids=list(MODES))
def test_activations_that_are_not_finite_spoil_their_own_losses_alone(mode):
    """Their gradients come back through the encoder as zeros times infinity."""
    experiment = Experiment(**mode)
    experiment.inputs[0, 0] = experiment.inputs[0, 0] * torch.nan
    experiment.collect({})
    assert experiment.step.left_out == ["a", "b"]
    found = experiment.finish()
    assert_close(found, experiment.expected((0, "a"), (0, "b")))


def test_what_no_finite_loss_reached_has_no_gradient():
    """Else an optimizer with momentum would move it."""
    experiment = Experiment()
    experiment.collect({(0, "a"): torch.nan, (1, "a"): torch.nan})
    found = experiment.finish()
    assert all((grad is None) == name.startswith("heads.a") for name, grad in found.items())
    for parameter in experiment.named_parameters().values():
        parameter.grad = None
    experiment.collect(dict.fromkeys([(d, n) for d in range(DRAWS) for n in NAMES], torch.nan))
    assert all(grad is None for grad in experiment.finish().values())


def test_of_micro_batches_only_the_faulty_part_is_left_out():
    experiment = Experiment()
    experiment.collect({}, average=0.5)
    experiment.collect({(1, "b"): torch.nan}, average=0.5)
    found = experiment.finish()
    whole, rest = experiment.expected(), experiment.expected((1, "b"))
    assert_close(found, {name: (whole[name] + rest[name]) / 2 for name in whole})


def test_rows_of_the_next_step_are_in_the_same_memory_and_hold_nothing_of_the_last():
    experiment = Experiment()
    experiment.collect({})
    experiment.finish()
    before = {layer: block.data_ptr() for layer, block in experiment.step.rows._blocks.items()}
    assert len(before) == 2
    for parameter in experiment.named_parameters().values():
        parameter.grad = None
    del experiment.inputs[0, 1], experiment.inputs[1, 1]  # nothing of c: its rows are not written
    experiment.collect({})
    found = experiment.finish()
    assert_close(found, experiment.expected())
    after = {layer: block.data_ptr() for layer, block in experiment.step.rows._blocks.items()}
    assert after == before
    experiment.step.clear()
    assert not experiment.step.rows._blocks


def test_between_two_updates_of_lambda_no_memory_of_rows_is_held():
    experiment = Experiment(update_weights_every=2)
    experiment.collect({}, number=2)
    assert experiment.step.rows._blocks
    experiment.finish()
    assert not experiment.step.rows._blocks
