"""λ from directions, against rows made of plain separate backward passes."""

from collections.abc import Mapping
from functools import partial

import pytest
import torch
from torch import Tensor
from torchjd.aggregation import MoDoWeighting, UPGradWeighting

from tests.helpers.oracles import (
    GAMMA,
    assert_close,
    lambdas_of,
    layer_of,
    make_batch,
    make_brain,
    oracle_gradients,
    oracle_step,
    step_gradients,
)
from tests.helpers.small_models import ENCODERS, SSL
from vmsp_brain.brain import VMSPBrain
from vmsp_brain.method.hierarchy import Level
from vmsp_brain.method.layer_selection import LayerSelection
from vmsp_brain.method.penalties import ConstantPenalty
from vmsp_brain.method.step import GradientStep

LANGUAGES, PAIRS = ["en", "fr", "de"], ["fr-en", "fr-de", "de-en"]
MODO = partial(MoDoWeighting, gamma=GAMMA, rho=0.1)
HIERARCHIES = {
    "one level": lambda: [Level(["*"], MODO())],
    "by task": lambda: "UAS",
}


def directed_brain(
    levels: str | list[Level],
    selected: list[str] | None = None,
    run_opts: Mapping | None = None,
    encoder: str = "conformer",
    ssl: str = "wav2vec2",
    **options,
) -> VMSPBrain:
    """A small Brain that takes directions; steps 0, 10, ... measure."""
    step = partial(
        GradientStep,
        selection=LayerSelection(efficient=True),
        lambda_from="directions",
        **options,
    )
    brain = make_brain(
        levels, LANGUAGES, PAIRS, encoder, ssl, gradient_step=step, **(run_opts or {})
    )
    brain.gradient.selection.selected = selected
    brain.optimizer_step = 1
    return brain


def with_draws_exchanged(gradients: dict) -> dict:
    """Rows whose G is J(ξ2) J(ξ1)^T: the first draw gives the direction."""
    return {(1 - draw, name): value for (draw, name), value in gradients.items()}


def rows_products(brain: VMSPBrain, gradients: dict, selected: list[str] | None) -> list[Tensor]:
    """By level, G λ of rows over the selected layers."""
    layers = layer_of(brain)
    keys = [key for key, layer in layers.items() if selected is None or layer in selected]

    def rows(draw: int, names: list[str]) -> Tensor:
        whole = [[gradients[draw, name][key].flatten() for key in keys] for name in names]
        return torch.stack([torch.cat(row).double() for row in whole]).cpu()

    return [
        rows(1, level.names) @ (rows(0, level.names).T @ level.lambdas)
        for level in brain.hierarchy.levels
    ]


def check_steps(brain: VMSPBrain, selected: list[str] | None = None, steps: int = 2) -> None:
    """G λ, λ and the update are the rows'; the update takes the last λ."""
    found: list[list[Tensor]] = []
    update = brain.hierarchy.update_lambdas
    brain.hierarchy.update_lambdas = lambda gramians, *more: (
        found.append([gramian[:, 0] for gramian in gramians]),
        update(gramians, *more),
    )
    for step in range(steps):
        batch, lambdas = make_batch(brain, 1 + step, 11 + step), lambdas_of(brain)
        gradients = oracle_gradients(brain, batch)
        expected, _ = oracle_step(brain, [gradients], lambdas, selected, updates_weights=False)
        _, moved = oracle_step(brain, [with_draws_exchanged(gradients)], lambdas, selected)
        products = rows_products(brain, gradients, selected)
        assert_close(step_gradients(brain, batch), expected)
        for level, own, exact, value in zip(
            brain.hierarchy.levels, found[-1], products, moved, strict=True
        ):
            if level.adapts and len(level.names) > 1:
                assert (own - exact).norm() <= 1e-5 * exact.norm()
                torch.testing.assert_close(level.lambdas, value, rtol=1e-5, atol=1e-7)
            else:
                assert own.isnan().all()
    assert not brain.gradient.rows.layers and not brain.gradient.sketched_rows.layers


@pytest.mark.parametrize("levels", HIERARCHIES.values(), ids=list(HIERARCHIES))
@pytest.mark.parametrize("selected", [None, ["block_02", "norm"], ["front_end", "block_02"]])
def test_g_lambda_and_the_step_are_the_rows(levels, selected):
    check_steps(directed_brain(levels(), selected), selected)


def test_a_level_of_constants_has_no_direction_and_goes_back_as_one():
    constants = Level(["s*"], penalty=ConstantPenalty(0.3), weights={"*": 0.5})
    levels = [Level(["asr/*"], MODO()), constants]
    brain = directed_brain(levels)
    batch, weights = make_batch(brain), brain.hierarchy.weights(1).tolist()
    gradients = oracle_gradients(brain, batch)
    products = rows_products(brain, gradients, None)
    found = []
    brain.hierarchy.update_lambdas = lambda gramians, *_: found.extend(gramians)
    update = step_gradients(brain, batch)
    assert (found[0][:, 0] - products[0]).norm() <= 1e-5 * products[0].norm()
    for key in layer_of(brain):
        expected = sum(
            weight * (gradients[0, name][key] + gradients[1, name][key]) / 2
            for name, weight in zip(brain.hierarchy.objectives, weights, strict=True)
        )
        assert (update[key] - expected).norm() <= 1e-5 * expected.norm() + 1e-8


@pytest.mark.parametrize("encoder", [kind for kind in ENCODERS if kind != "conformer"])
def test_g_lambda_and_the_step_are_the_rows_of_every_encoder(encoder):
    check_steps(directed_brain(HIERARCHIES["one level"](), encoder=encoder), steps=1)


@pytest.mark.parametrize("ssl", [kind for kind in SSL if kind != "wav2vec2"])
def test_g_lambda_and_the_step_are_the_rows_of_every_objective(ssl):
    check_steps(directed_brain(HIERARCHIES["one level"](), ssl=ssl), steps=1)


def test_a_measuring_step_moves_lambda_alike():
    plain, measuring = (directed_brain("UAS") for _ in range(2))
    measuring.optimizer_step = 0
    expected, found = (step_gradients(brain, make_batch(brain)) for brain in (plain, measuring))
    assert len(measuring.products) == 1 and not len(plain.products)
    assert_close(found, expected)
    assert measuring.hierarchy.lambdas == pytest.approx(plain.hierarchy.lambdas, rel=1e-5)


def test_over_micro_batches_g_lambda_is_the_mean_of_theirs():
    brain = directed_brain("UAS", run_opts={"grad_accumulation_factor": 2})
    brain.step = 0
    batches = [make_batch(brain, 1, 2), make_batch(brain, 3, 4)]
    products = []
    for batch in batches:
        products.append(rows_products(brain, oracle_gradients(brain, batch), None))
        brain.step += 1
    brain.step = 0
    found = []
    brain.hierarchy.update_lambdas = lambda gramians, *_: found.extend(gramians)
    step_gradients(brain, *batches)
    for own, first, second in list(zip(found, *products, strict=True))[:2]:
        exact = (first + second) / 2
        assert (own[:, 0] - exact).norm() <= 1e-5 * exact.norm()


@pytest.mark.parametrize("draw", [0, 1])
def test_where_a_loss_is_not_finite_its_levels_lambda_rests(draw):
    brain = directed_brain("UAS")
    brain.nonfinite_count = 0
    objective = brain.modules.objectives["st/fr-en"]
    loss, factors = objective.loss, iter([torch.nan if draw == each else 1.0 for each in range(2)])
    objective.loss = lambda frames, part: loss(frames, part) * next(factors)
    found = step_gradients(brain, make_batch(brain))
    recognition, translation, _ = lambdas_of(brain)
    assert (translation == 1 / 3).all() and not (recognition == 1 / 3).all()
    assert all(value.isfinite().all() for value in found.values())


@pytest.mark.parametrize(("levels", "passes"), [("one level", (4, 7)), ("by task", (6, 7))])
def test_the_first_draw_goes_back_once_for_each_level_of_a_source(levels, passes):
    """Sources en, fr, de and ssl have 1, 3, 2 and 1 objectives, of 1, 2, 2 and 1 tasks."""
    brain = directed_brain(HIERARCHIES[levels]())
    number = 0

    def count(*_) -> None:
        nonlocal number
        number += 1

    brain.modules.encoder.layers()["block_01"].register_full_backward_pre_hook(count)
    collected = []
    for draw in range(2):
        batch = make_batch(brain)
        batch.draws = [batch.draws[draw] if draw == each else {} for each in range(2)]
        number = 0
        brain.collect_gradients(batch)
        collected.append(number)
        brain.gradient.clear()
    assert tuple(collected) == passes


def test_between_two_updates_nothing_is_differentiated_for_lambda():
    brain = directed_brain("UAS", update_weights_every=3)
    brain.gradient.begin(1, 3)
    assert brain.gradient.plan.directed == [0, 1] and brain.gradient.plan.boundary == 0
    brain.gradient.begin(1, 4)
    assert brain.gradient.plan.directed == [] and not brain.gradient.plan.updates_weights
    assert brain.gradient.plan.boundary == len(brain.gradient.parameters)


@pytest.mark.parametrize(
    ("levels", "options", "message"),
    [
        ([Level(["*"], UPGradWeighting())], {}, "has a UPGradWeighting; MoDoWeighting alone"),
        ([Level(["*"], scale_by="loss")], {}, "has scale_by: loss"),
        ("UAS", {"sketch_size": 64}, "sketch_size: found 64 beside lambda_from: directions"),
        ("UAS", {"lambda_from": "rows"}, "found 'rows', expected gramians or directions"),
    ],
)
def test_what_directions_cannot_serve_is_refused(levels, options, message):
    step = partial(GradientStep, **{"lambda_from": "directions", **options})
    with pytest.raises(ValueError, match=message):
        make_brain(levels, LANGUAGES, PAIRS, gradient_step=step)
