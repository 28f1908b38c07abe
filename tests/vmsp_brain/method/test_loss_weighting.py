"""λ from losses: that of plain training with TorchJD's scalarizer, and restored as it was."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torchjd import scalarization
from torchjd.scalarization import (
    DWA,
    FAMO,
    IMTLL,
    STCH,
    UW,
    GeometricMean,
    Mean,
    Random,
    Scalarizer,
    Sum,
)

from vmsp_brain.method.hierarchy import Hierarchy, Level
from vmsp_brain.method.layer_selection import LayerSelection
from vmsp_brain.method.loss_weighting import LossWeighting
from vmsp_brain.method.penalties import ConstantPenalty
from vmsp_brain.method.step import GradientStep
from vmsp_brain.method.weightings import restore_weighting, weighting_state

SCALARIZERS: dict[str, Callable[..., Scalarizer]] = {
    "DWA": DWA,
    "FAMO": partial(FAMO, lr=0.1),
    "GeometricMean": GeometricMean,
    "IMTLL": IMTLL,
    "Mean": Mean,
    "Random": Random,
    "STCH": partial(STCH, mu=0.1),
    "Sum": Sum,
    "UW": UW,
}
NEED_WEIGHTS = {"COSMOS", "Constant", "PBI"}
RATE = 0.05
NAMES = ["a", "b", "c"]


def losses_of(value: Tensor, step: int) -> Tensor:
    """Three losses with noise of the step's own, each above zero."""
    noise = 0.1 * torch.randn(3, 2, generator=torch.Generator().manual_seed(step))
    minima = torch.tensor([[1.0, 0.0], [-1.0, 0.5], [0.0, -2.0]]) + noise
    return (torch.tensor([1.0, 0.3, 5.0]) * ((value - minima) ** 2).sum(1)).double() + 0.5


class Point(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor([0.3, -0.7]))


def descend(weighting: LossWeighting, steps: int, micro_batches: int = 1) -> tuple[Tensor, list]:
    """Steps of a level with these weights; the point, and λ after every step."""
    hierarchy, point = Hierarchy([Level(["*"], weighting)], NAMES), Point()
    step = GradientStep(hierarchy, {"point": point})
    seen = []
    for number in range(steps):
        for _ in range(micro_batches):
            step.begin(1, number)
            for draw in range(2):
                for row, name in enumerate(NAMES):
                    with step.forward(draw, 1, 1 / micro_batches) as forward:
                        step.add(forward, name, losses_of(point.value, number)[row], [])
        hierarchy.update_lambdas(step.gramians(), None, step.losses(), epoch=1)
        step.combine()
        with torch.no_grad():
            point.value -= RATE * point.value.grad
        point.value.grad = None
        seen.append(hierarchy.levels[0].lambdas)
    return point.value.detach(), seen


@pytest.mark.parametrize("make", [UW, IMTLL, Sum, Mean])
def test_where_weights_are_known_before_a_step_training_is_that_of_the_scalarizer(make):
    scalarizer = make(3).double() if make in (UW, IMTLL) else make()
    point = Point()
    parameters = list(scalarizer.parameters())
    own = torch.optim.Adam(parameters, lr=0.1) if parameters else None
    for number in range(20):
        point.zero_grad()
        scalarizer.zero_grad()
        scalarizer(losses_of(point.value, number)).backward()
        with torch.no_grad():
            point.value -= RATE * point.value.grad
        if own:
            own.step()
    found, seen = descend(LossWeighting(make, lr=0.1), steps=20)
    torch.testing.assert_close(found, point.value.detach(), rtol=1e-5, atol=1e-6)
    assert torch.equal(seen[0], seen[-1]) == (make in (Sum, Mean))


@pytest.mark.parametrize("make", [SCALARIZERS["STCH"], GeometricMean, SCALARIZERS["FAMO"]])
def test_where_they_depend_on_the_losses_they_are_those_of_the_step_before(make):
    """As by `backward` of the scalarizer on the last step's losses, FAMO updated by this one's."""
    scalarizer = (make(3) if make is SCALARIZERS["FAMO"] else make()).double()
    point, weights = Point(), None
    for number in range(20):
        losses = losses_of(point.value, number)
        before = losses.detach().requires_grad_()
        if weights is None:
            ones = torch.ones(3, dtype=torch.float64, requires_grad=True)
            [weights] = torch.autograd.grad(scalarizer(ones), ones)
        elif isinstance(scalarizer, FAMO):
            scalarizer.update(losses)
        point.zero_grad()
        (weights @ losses).backward()
        [weights] = torch.autograd.grad(scalarizer(before), before)
        with torch.no_grad():
            point.value -= RATE * point.value.grad
    if isinstance(scalarizer, FAMO):
        assert scalarizer._w.abs().max() > 0.1
    found, seen = descend(LossWeighting(make), steps=20)
    torch.testing.assert_close(found, point.value.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(seen[-1], weights, rtol=1e-5, atol=1e-6)


def test_losses_are_means_over_draws_and_micro_batches():
    once, lambdas = descend(LossWeighting(SCALARIZERS["STCH"]), steps=5)
    thrice, others = descend(LossWeighting(SCALARIZERS["STCH"]), steps=5, micro_batches=3)
    torch.testing.assert_close(thrice, once)
    torch.testing.assert_close(others[-1], lambdas[-1])


def test_dwa_weighs_by_the_averages_of_epochs():
    weighting = LossWeighting(DWA).over(2)
    averages = [(4.0, 2.0), (2.0, 1.8), (1.0, 1.7)]
    for epoch, (first, second) in enumerate(averages, start=1):
        for shift in (-0.1, 0.1):
            weighting.begin(epoch)
            weights = weighting(torch.tensor([first + shift, second - shift]).double())
        if epoch < 3:
            assert weights.tolist() == [1.0, 1.0]
    rates = torch.tensor([2.0 / 4.0, 1.8 / 2.0]).double()
    torch.testing.assert_close(weights, 2 * torch.softmax(rates / 2.0, 0))


def test_all_of_torchjds_scalarizers_are_tested():
    assert {*SCALARIZERS} | NEED_WEIGHTS | {"Scalarizer"} == {*scalarization.__all__}


@pytest.mark.parametrize("make", SCALARIZERS.values(), ids=SCALARIZERS.keys())
def test_restored_weights_continue_bit_identically(make, tmp_path):
    def losses(number: int) -> Tensor:
        return torch.rand(4, generator=torch.Generator().manual_seed(number)).double() + 0.5

    def go_on(weighting: LossWeighting, numbers: range) -> list[Tensor]:
        found = []
        for number in numbers:
            weighting.begin(1 + number // 3)
            torch.manual_seed(number)
            found.append(weighting(losses(number)))
        return found

    whole, resumed = LossWeighting(make, 0.1).over(4), LossWeighting(make, 0.1).over(4)
    go_on(whole, range(8))
    torch.save(weighting_state(whole), tmp_path / "state.pt")
    restore_weighting(resumed, torch.load(tmp_path / "state.pt", weights_only=True))
    expected, found = go_on(whole, range(8, 14)), go_on(resumed, range(8, 14))
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    fresh = go_on(LossWeighting(make, 0.1).over(4), range(8, 14))
    if make not in (GeometricMean, Mean, Random, SCALARIZERS["STCH"], Sum):
        assert not torch.equal(fresh[-1], expected[-1]), "no state, so nothing was tested"


def test_state_of_another_scalarizer_is_refused():
    state = weighting_state(LossWeighting(UW).over(2))
    with pytest.raises(ValueError, match=r"scalarizer is UW, this run's is IMTLL"):
        restore_weighting(LossWeighting(IMTLL).over(2), state)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_lambda_rests_where_a_loss_of_the_level_is_not_known(bad):
    levels = [Level(["a", "b"], LossWeighting(UW, 0.1)), Level(["c"], penalty=ConstantPenalty(1.0))]
    hierarchy = Hierarchy(levels, NAMES)
    hierarchy.update_lambdas([], None, torch.tensor([1.0, 2.0, bad]))
    known = hierarchy.levels[0].lambdas
    assert not torch.equal(known, LossWeighting(UW).over(2).first)
    hierarchy.update_lambdas([], None, torch.tensor([1.0, bad, 2.0]))
    assert torch.equal(hierarchy.levels[0].lambdas, known)


def test_a_loss_that_no_draw_had_is_not_known():
    hierarchy, point = Hierarchy([Level(["*"], LossWeighting(UW))], NAMES), Point()
    step = GradientStep(hierarchy, {"point": point})
    step.begin(1, 1)
    with step.forward(0, 1) as forward:
        step.add(forward, "b", losses_of(point.value, 0)[1], [])
    assert step.losses().isfinite().tolist() == [False, True, False]
    step.combine()
    step.begin(1, 2)
    assert step.losses().isnan().all()


def test_a_layer_that_is_not_selected_has_the_losses_weights_too():
    """There is no uniform combination: these weights cost nothing."""
    hierarchy = Hierarchy([Level(["*"], LossWeighting(UW, 0.1))], NAMES)
    hierarchy.update_lambdas([], None, torch.tensor([1.0, 2.0, 3.0]))
    selection = LayerSelection(efficient=True)
    selection.selected = []
    step = GradientStep(hierarchy, {"point": Point()}, selection)
    step.begin(1, 1)
    assert [step._weight(name, "point") for name in NAMES] == hierarchy.weights(1).tolist()


def test_a_scalarizer_in_place_of_what_makes_it_is_refused():
    with pytest.raises(ValueError, match=r"!name:torchjd\.scalarization\.DWA in place of !new:"):
        LossWeighting(DWA())
