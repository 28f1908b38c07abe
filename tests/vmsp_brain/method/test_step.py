"""What makes a step cheaper, against oracles made of plain separate backward passes."""

from collections.abc import Mapping
from functools import cache, partial

import pytest
import torch
from speechbrain import Stage
from torch import Tensor, nn
from torchjd.aggregation import MoDoWeighting

from tests.helpers.oracles import (
    assert_close,
    lambdas_of,
    layer_of,
    make_batch,
    make_brain,
    oracle_gradients,
    oracle_step,
    step_gradients,
)
from tests.helpers.small_models import ENCODERS
from tests.helpers.tensors import DEVICE, generator, randn, tensor
from vmsp_brain.brain import VMSPBrain
from vmsp_brain.method.hierarchy import Hierarchy, Level
from vmsp_brain.method.layer_selection import LayerSelection
from vmsp_brain.method.penalties import ConstantPenalty
from vmsp_brain.method.rows import DRAWS, GradientRows
from vmsp_brain.method.sketch import Sketch
from vmsp_brain.method.step import GradientStep

CASE = ("UAS", ["en", "fr"], ["fr-en", "fr-de"])
LAYERS = ["front_end", "block_01", "block_02", "norm"]
SELECTIONS = [LAYERS, ["block_02"], ["block_01", "norm"], ["norm"], ["front_end", "block_02"], []]


def small_brain(
    selected: list[str] | None = None,
    first_step: int = 1,
    encoder: str = "conformer",
    encoder_options: Mapping | None = None,
    run_opts: Mapping | None = None,
    **options,
) -> VMSPBrain:
    """A small Brain whose selection of layers is already made; steps 0, 10, ... measure."""
    step = partial(GradientStep, selection=LayerSelection(efficient=True), **options)
    brain = make_brain(
        *CASE,
        encoder=encoder,
        encoder_options=encoder_options,
        gradient_step=step,
        **(run_opts or {}),
    )
    brain.gradient.selection.selected = selected
    brain.optimizer_step = first_step
    return brain


@cache
def gradients_of(
    seeds: tuple[int, int], epoch: int, step: int, optimizer_step: int, encoder: str = "conformer"
) -> dict[tuple[int, str], dict[str, Tensor]]:
    """By draw and objective; not to be changed. All `small_brain`s of an encoder are the same."""
    brain = small_brain(None, optimizer_step, encoder)
    brain.epoch, brain.step = epoch, step
    return oracle_gradients(brain, make_batch(brain, *seeds))


def oracle_of(brain: VMSPBrain, *seeds: int, **encoder: str) -> dict[tuple[int, str], dict]:
    """The gradients of the Brain's next step, on the batch of these seeds."""
    return gradients_of(seeds, brain.epoch, brain.step, brain.optimizer_step, **encoder)


@pytest.mark.parametrize("selected", SELECTIONS)
def test_selected_layers_get_lambda_and_the_others_the_uniform_combination(selected):
    """In a step that measures and in the plain one after it."""
    brain = small_brain(selected, first_step=0)
    lambdas = lambdas_of(brain)
    for epoch, seeds, shows in ((1, (1, 2), True), (7, (3, 4), False)):
        brain.on_stage_start(Stage.TRAIN, epoch)
        gradients = oracle_of(brain, *seeds)
        expected, lambdas = oracle_step(brain, [gradients], lambdas, selected, bool(selected))
        assert_close(step_gradients(brain, make_batch(brain, *seeds)), expected)
        assert brain.gradient.plan.shows == shows
        for found, value in zip(lambdas_of(brain), lambdas, strict=True):
            torch.testing.assert_close(found, value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("encoder", [kind for kind in ENCODERS if kind != "conformer"])
@pytest.mark.parametrize("selected", [None, ["block_02"], []])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "gradient checkpointing"])
def test_other_encoders_are_split_alike(encoder, selected, checkpointing):
    options = {"gradient_checkpointing": checkpointing}
    brain = small_brain(selected, encoder=encoder, encoder_options=options)
    gradients = oracle_of(brain, 1, 2, encoder=encoder)
    updates = selected != []
    expected, _ = oracle_step(brain, [gradients], lambdas_of(brain), selected, updates)
    assert_close(step_gradients(brain, make_batch(brain, 1, 2)), expected)


def test_with_all_layers_selected_efficient_mode_is_the_exact_method():
    exact, efficient = make_brain(*CASE), small_brain(LAYERS, first_step=0)
    for seeds in ((1, 2), (3, 4)):
        found = [step_gradients(brain, make_batch(brain, *seeds)) for brain in (exact, efficient)]
        assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    assert exact.hierarchy.lambdas == efficient.hierarchy.lambdas


@pytest.mark.parametrize("selected", [None, *SELECTIONS[1:]])
def test_between_two_updates_of_lambda_a_step_takes_the_last_one(selected):
    brain = small_brain(selected, first_step=3, update_weights_every=3)
    lambdas = lambdas_of(brain)
    for step in (3, 4, 5, 6):
        gradients = oracle_of(brain, step, 100 + step)
        updates = step % 3 == 0 and selected != []
        expected, lambdas = oracle_step(brain, [gradients], lambdas, selected, updates)
        assert_close(step_gradients(brain, make_batch(brain, step, 100 + step)), expected)
        for found, value in zip(lambdas_of(brain), lambdas, strict=True):
            torch.testing.assert_close(found, value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("selected", [None, ["block_02", "norm"]])
@pytest.mark.parametrize("size", [32, 10**6])
def test_a_sketched_step_takes_the_last_lambda_and_estimates_the_next(selected, size):
    brain = small_brain(selected, sketch_size=size)
    lambdas = lambdas_of(brain)
    for seeds in ((1, 2), (3, 4)):
        gradients = oracle_of(brain, *seeds)
        expected, _ = oracle_step(brain, [gradients], lambdas, selected, updates_weights=False)
        _, exact = oracle_step(brain, [gradients], lambdas, selected)
        assert_close(step_gradients(brain, make_batch(brain, *seeds)), expected)
        lambdas = lambdas_of(brain)
        for found, value in zip(lambdas, exact, strict=True):
            assert found.sum() == pytest.approx(1.0)
            if size == 10**6:  # columns for every parameter: nothing is lost
                torch.testing.assert_close(found, value, rtol=1e-5, atol=1e-7)
    assert not brain.gradient.rows.layers


MODES = {
    "exact": {},
    "efficient": {"selected": ["block_02"]},
    "uniform": {"selected": []},
    "between updates": {"update_weights_every": 3},
    "efficient between updates": {"update_weights_every": 3, "selected": ["block_02"]},
    "sketched": {"sketch_size": 10**6},
    "directions": {"lambda_from": "directions"},
    "efficient directions": {"lambda_from": "directions", "selected": ["block_02"]},
}


@pytest.mark.parametrize("mode", MODES.values(), ids=list(MODES))
def test_accumulation_averages_over_the_micro_batches_in_every_mode(mode):
    """Two micro-batches of the same utterances are one batch of them."""
    parts = small_brain(**mode, run_opts={"grad_accumulation_factor": 2})
    parts.seed_from = lambda *_: torch.manual_seed(0)
    whole = small_brain(**mode)
    whole.seed_from = parts.seed_from
    expected = step_gradients(whole, make_batch(whole))
    parts.step = 0
    assert_close(step_gradients(parts, make_batch(parts), make_batch(parts)), expected)
    assert parts.hierarchy.lambdas == pytest.approx(whole.hierarchy.lambdas, rel=1e-5)


@pytest.mark.parametrize("mode", MODES.values(), ids=list(MODES))
def test_a_gradient_scaler_changes_neither_lambda_nor_the_unscaled_update(mode):
    plain, scaled = small_brain(**mode), small_brain(**mode)
    scaled.scaler = torch.GradScaler(DEVICE.type, init_scale=1024.0)
    expected = step_gradients(plain, make_batch(plain))
    found = step_gradients(scaled, make_batch(scaled))
    assert_close({name: value / 1024 for name, value in found.items()}, expected)
    assert scaled.hierarchy.lambdas == pytest.approx(plain.hierarchy.lambdas, rel=1e-6)


@pytest.mark.parametrize(
    ("selected", "options", "in_block_01", "in_block_02"),
    [
        (None, {}, 3, 3),
        (["block_02"], {}, 1, 3),
        ([], {}, 1, 1),
        (None, {"update_weights_every": 2}, 1, 1),
        (["block_02"], {"update_weights_every": 2}, 1, 2),
        (["block_01"], {"update_weights_every": 2}, 2, 2),
        (None, {"sketch_size": 64}, 3, 3),
    ],
)
def test_a_forward_of_three_losses_has_as_many_backward_passes_as_are_needed(
    selected, options, in_block_01, in_block_02
):
    """One below the boundary; at most two above it where λ rests."""
    brain = small_brain(selected, **options)
    passes: dict[str, int] = {}
    for name in ("block_01", "block_02"):
        brain.modules.encoder.layers()[name].register_full_backward_pre_hook(
            lambda *_, name=name: passes.__setitem__(name, passes.get(name, 0) + 1)
        )
    step_gradients(brain, make_batch(brain))
    ones = len(["en", "ssl"])
    assert passes == {
        "block_01": DRAWS * (ones + in_block_01),
        "block_02": DRAWS * (ones + in_block_02),
    }


@pytest.mark.parametrize("selected", [None, ["block_02"], []])
def test_an_objective_that_goes_around_a_layer_is_refused(selected):
    brain = small_brain(selected)
    objective, encoder = brain.modules.objectives["st/fr-en"], brain.modules.encoder
    loss = objective.loss
    weight = next(encoder.front_end.parameters())
    objective.loss = lambda frames, part: loss(frames, part) + weight.sum()
    with pytest.raises(ValueError, match=r"st/fr-en shares .* reaches the encoder's front_end"):
        step_gradients(brain, make_batch(brain))


def test_similarities_are_measured_on_every_layer_in_every_mode():
    exact = make_brain(*CASE)
    step_gradients(exact, make_batch(exact))
    reference = exact.products.sums[0]
    squares = reference[..., -1]
    assert squares.shape[0] == len(LAYERS) and (squares > 0).any(1).all()
    scale = (squares.unsqueeze(2) * squares.unsqueeze(1)).sqrt().clamp(min=1e-30)
    for mode in MODES.values():
        brain = small_brain(**{**mode, "first_step": 0})
        step_gradients(brain, make_batch(brain))
        found = brain.products.sums[0]
        assert len(brain.products) == 1
        # a layer without rows is sketched
        error = (found - reference)[..., :-1] / scale
        assert error.abs().max() < 0.1
        torch.testing.assert_close(found[..., -1], squares, rtol=0.1, atol=1e-12)


def test_products_are_those_of_the_draws_rows_layer_by_layer():
    brain = make_brain(*CASE)
    batch = make_batch(brain)
    gradients = oracle_gradients(brain, batch)
    layers = layer_of(brain)
    step_gradients(brain, batch)
    [found] = [each for each in brain.products.sums if each.any()]
    for number, layer in enumerate(LAYERS):
        names = [name for name, of in layers.items() if of == layer]
        draws = [
            torch.stack(
                [
                    torch.cat([gradients[draw, o][name].flatten() for name in names])
                    for o in brain.hierarchy.objectives
                ]
            ).double()
            for draw in range(2)
        ]
        cross = draws[0] @ draws[1].T
        squares = (draws[0].square().sum(1) + draws[1].square().sum(1)) / 2
        expected = torch.cat([(cross + cross.T) / 2, squares.unsqueeze(1)], 1)
        torch.testing.assert_close(found[number], expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("mode", ["exact", "sketch", "efficient"])
def test_products_are_measured_where_all_rows_are_there_else_in_measuring_steps(mode):
    """No row and no backward pass is made for it in between."""
    options = {"sketch": {"sketch_size": 64}, "efficient": {"selected": ["norm"]}}
    brain = small_brain(**options.get(mode, {}))
    for step in range(1, 11):
        brain.gradient.begin(1, step)
        plan = brain.gradient.plan
        assert plan.shows == (step == 10)
        assert plan.measures == (mode == "exact" or step == 10)
        if not plan.shows:
            assert {*plan.kept, *plan.sketched} == {*plan.selected}


def test_products_of_sketched_rows_are_free_of_bias():
    rng = generator(3)
    rows = randn(2, 2, 5000, generator=rng) + torch.tensor([[1.0], [-0.5]], device=DEVICE)
    exact, sketched = GradientRows(["a", "b"]), []
    sketch = Sketch(64)
    for draw in range(2):
        for number, name in enumerate("ab"):
            exact.add(draw, name, "layer", [rows[draw, number]])
    for seed in range(400):
        sketch.redraw(seed)
        found = GradientRows(["a", "b"])
        for draw in range(2):
            for number, name in enumerate("ab"):
                found.add(draw, name, "layer", [sketch("layer", [rows[draw, number]])])
        sketched.append(found.products()["layer"])
    values = torch.stack(sketched)
    error = values.std(0) / len(values) ** 0.5
    assert ((values.mean(0) - exact.products()["layer"]).abs() < 4 * error).all()


@pytest.mark.parametrize("key", ["update_weights_every", "measure_every"])
def test_intervals_must_be_positive(key):
    with pytest.raises(ValueError, match=f"{key}: found 0, expected 1"):
        make_brain(*CASE, gradient_step=partial(GradientStep, **{key: 0}))


# ---------------------------------------------------------------- where the method leads


class Point(nn.Module):
    """Shared parameters with nothing around them."""

    def __init__(self, *coordinates: float) -> None:
        super().__init__()
        self.value = nn.Parameter(tensor(coordinates))


def descend(hierarchy: Hierarchy, point: Point, losses, steps: int, rate: float) -> Tensor:
    """Gradient steps from a point; ``losses(value, noise)`` by objective, noise by draw."""
    step = GradientStep(hierarchy, {"point": point})
    rng = generator(0)
    for number in range(steps):
        step.begin(1, number)
        for draw in range(2):
            noise = 0.02 * randn(point.value.shape, generator=rng)
            for name, loss in losses(point.value, noise).items():
                with step.forward(draw, num_losses=1) as forward:
                    step.add(forward, name, loss, head=[])
        hierarchy.update_lambdas(step.gramians())
        step.combine()
        with torch.no_grad():
            point.value -= rate * point.value.grad
        point.value.grad = None
    return point.value.detach()


def test_modo_reaches_the_pareto_front_of_two_quadratics():
    """The front of two squared distances is the segment between their minima."""
    minima = tensor([[1.0, 0.0], [-1.0, 0.0]])
    scales = {"a": 1.0, "b": 5.0}
    hierarchy = Hierarchy([Level(["*"], MoDoWeighting(gamma=0.04, rho=0.0))], list(scales))

    def losses(value: Tensor, noise: Tensor) -> dict[str, Tensor]:
        return {
            name: scale * ((value - minimum - noise) ** 2).sum() / 2
            for (name, scale), minimum in zip(scales.items(), minima, strict=True)
        }

    end = descend(hierarchy, Point(0.5, 3.0), losses, steps=1000, rate=0.04)
    assert abs(end[1]) < 0.02
    assert -1.0 < end[0] < 1.0
    [level] = hierarchy.levels
    gradients = [
        scale * (end - minimum) for scale, minimum in zip(scales.values(), minima, strict=True)
    ]
    combined = sum(w * g for w, g in zip(level.lambdas.float(), gradients, strict=True))
    assert combined.norm() < 0.03  # Pareto stationary
    assert level.lambdas[0] > 0.9  # the smaller gradients' objective; uniform weights end at -2/3


@pytest.mark.parametrize("eta", [0.0, 1.0, 9.0, 49.0])
def test_the_penalty_path_approaches_the_bilevel_solution(eta):
    """min ‖θ - a‖² where θ_1 minimizes (θ_1 - b)²: the solution is (b, a_2), its error
    |a_1 - b| / (1 + η)."""
    a, b = tensor([2.0, -1.0]), -3.0
    levels = [Level(["upper"]), Level(["lower"], penalty=ConstantPenalty(eta))]
    hierarchy = Hierarchy(levels, ["upper", "lower"])

    def losses(value: Tensor, noise: Tensor) -> dict[str, Tensor]:
        return {"upper": ((value - a) ** 2).sum() / 2, "lower": (value[0] - b) ** 2 / 2}

    steps, rate = round(12 * (1 + eta)), 0.9 / (1 + eta)  # the slowest way shrinks by exp(-10)
    end = descend(hierarchy, Point(0.0, 0.0), losses, steps, rate)
    solution = tensor([b, -1.0])
    expected = solution + tensor([5.0 / (1 + eta), 0.0])
    torch.testing.assert_close(end, expected, rtol=1e-3, atol=1e-3)
