"""Scales: λ follows conflict, neither the units of a loss nor the size of its gradients."""

import pytest
import torch
from torch import Tensor, nn
from torchjd.aggregation import MGDAWeighting, MoDoWeighting, UPGradWeighting

from vmsp_brain.method.hierarchy import Hierarchy, Level
from vmsp_brain.method.jackknife import GroupedSums
from vmsp_brain.method.layer_selection import LayerSelection
from vmsp_brain.method.scales import GradientScales
from vmsp_brain.method.step import GradientStep

NAMES = ["a", "b", "c"]
FACTOR = 100.0


def hierarchy_of(scale_by: str | None, weighting=None, names=NAMES) -> Hierarchy:
    made = weighting or MoDoWeighting(gamma=0.05, rho=0.0)
    return Hierarchy([Level(["*"], made, scale_by=scale_by)], names)


def squares_of(values: Tensor, error: float, steps: int = 4) -> GroupedSums:
    """Measured in some steps with these means, and this standard error of each mean."""
    sample = GroupedSums()
    spread = error * (steps - 1) ** 0.5
    for number in range(steps):
        sample.add(values + spread * (-1) ** number)
    return sample


# ---------------------------------------------------------------- whatever a loss's units


@pytest.mark.parametrize("scale_by", ["loss", "gradient"])
@pytest.mark.parametrize(
    "weighting", [MoDoWeighting(0.05, 0.1), MGDAWeighting(), UPGradWeighting()]
)
def test_the_direction_is_that_of_the_losses_in_other_units(scale_by, weighting):
    """A hundred times a loss has a hundredth of the weight, in proportion to the others."""
    torch.manual_seed(0)
    factors = torch.tensor([1.0, FACTOR, 1.0]).double()
    plain, other = (hierarchy_of(scale_by, weighting) for _ in range(2))
    for _ in range(5):
        losses = torch.rand(3).double() + 1
        squares = torch.rand(3).double() + 0.5
        rows = torch.randn(3, 8).double()
        for hierarchy, units in ((plain, torch.ones(3).double()), (other, factors)):
            sample = squares_of(units**2 * squares, error=0.0)
            hierarchy.record_squares(sample)
            gramian = (units[:, None] * rows) @ (units[:, None] * rows).T
            hierarchy.update_lambdas([gramian], None, units * losses)
        mix, same = plain.levels[0].lambdas, factors * other.levels[0].lambdas
        torch.testing.assert_close(same / same.sum(), mix / mix.sum(), rtol=1e-8, atol=1e-10)
        assert plain.levels[0].lambdas.std() > 0.01
    if not isinstance(weighting, UPGradWeighting):
        assert other.levels[0].lambdas.sum() == pytest.approx(1.0)


MODES = {
    "exact": lambda: {},
    "sketched": lambda: {"sketch_size": 16},
    "efficient": lambda: {"selection": LayerSelection(efficient=True)},
}


def train(factor: float, mode: str, scale_by: str | None, parts: int = 1) -> tuple[Tensor, Tensor]:
    """λ, and the weights on other layers, of an encoder that stays where it is: two steps in an
    epoch, two in the next. A factor multiplies the loss of b."""
    torch.manual_seed(0)
    encoder = nn.ModuleDict({"lower": nn.Linear(4, 8), "upper": nn.Linear(8, 8)})
    hierarchy = hierarchy_of(scale_by)
    step = GradientStep(hierarchy, dict(encoder), measure_every=1, **MODES[mode]())
    step.selection.selected = ["upper"] if mode == "efficient" else None
    step.selection.update = lambda epoch, similarities: None
    sample = GroupedSums()
    for number in range(4):
        for _ in range(parts):
            step.begin(1, number)
            for draw in range(2):
                with step.forward(draw, len(NAMES), 1 / parts) as forward:
                    hidden = encoder["upper"](encoder["lower"](torch.randn(32, 4)).tanh())
                for column, name in enumerate(NAMES):
                    loss = (hidden[:, column] - column).square().mean()
                    step.add(forward, name, loss * (factor if name == "b" else 1.0), [])
        sample.add(step.products())
        hierarchy.update_lambdas(step.gramians(), None, step.losses())
        step.combine()
        encoder.zero_grad()
        if number == 1:
            step.end_epoch(1, {}, sample)
    return hierarchy.levels[0].lambdas, hierarchy.uniform_weights(1)


@pytest.mark.parametrize("scale_by", ["loss", "gradient"])
@pytest.mark.parametrize(
    ("mode", "parts"), [("exact", 1), ("exact", 2), ("sketched", 1), ("efficient", 1)]
)
def test_so_it_is_in_every_mode_of_the_step(mode, parts, scale_by):
    plain, other = (train(factor, mode, scale_by, parts) for factor in (1.0, FACTOR))
    factors = torch.tensor([1.0, FACTOR, 1.0])
    for mix, same in zip(plain, other, strict=True):
        same = factors * same
        torch.testing.assert_close(same / same.sum(), mix / mix.sum(), rtol=1e-4, atol=1e-5)
        assert mix.std() > 0.01


def test_without_scales_a_loss_in_other_units_changes_the_direction():
    (plain, _), (other, _) = (train(factor, "exact", None) for factor in (1.0, FACTOR))
    share = FACTOR * other[1] / (other[0] + FACTOR * other[1] + other[2])
    assert abs(share - plain[1]) > 0.2


# ---------------------------------------------------------------- gradients of other sizes


NORMS = torch.tensor([0.6] * 5 + [0.2] * 4 + [0.26]).double()
"""Of recognition, translation and self-supervision, in the middle of training on mini-CoVoST."""

SIGNAL = 0.03
"""Share of a row's squared norm."""

STEPS = 125
"""In an epoch."""


def noisy_gramians(columns: int, epochs: int) -> list[Tensor]:
    """Cross-Gramians of rows with those norms and that share; the fewer columns, the noisier."""
    torch.manual_seed(0)
    shared, own = torch.randn(columns).double(), torch.randn(len(NORMS), columns).double()
    signal = torch.nn.functional.normalize(own + 0.5 * shared, dim=1) * NORMS[:, None]
    noise = NORMS[:, None] * ((1 / SIGNAL - 1) / columns) ** 0.5

    def draw() -> Tensor:
        return signal + noise * torch.randn(signal.shape, dtype=torch.float64)

    return [draw() @ draw().T for _ in range(epochs * STEPS)]


def follow(scale_by: str | None, gramians: list[Tensor]) -> Tensor:
    """λ after every step, (T, M)."""
    names = [f"objective {number}" for number in range(len(NORMS))]
    hierarchy = hierarchy_of(scale_by, MoDoWeighting(gamma=0.01, rho=0.0), names)
    found, sample = [], GroupedSums()
    for number, gramian in enumerate(gramians, start=1):
        hierarchy.update_lambdas([gramian], None, torch.ones(len(NORMS)).double())
        sample.add(gramian.diagonal())
        found.append(hierarchy.levels[0].lambdas)
        if number % STEPS == 0:
            hierarchy.record_squares(sample)
            sample.clear()
    return torch.stack(found)


def naive(gramians: list[Tensor]) -> Tensor:
    """Divided by a running mean of the clamped diagonal, which jumped between corners."""
    weighting, mean, found = MoDoWeighting(gamma=0.01, rho=0.0), 0.0, []
    for gramian in gramians:
        mean = 0.9 * mean + 0.1 * gramian.diagonal()
        inverse = mean.clamp(min=1e-4).rsqrt()
        weights = inverse * weighting(gramian * inverse.outer(inverse))
        found.append(weights / weights.sum())
    return torch.stack(found)


def largest_jump(lambdas: Tensor) -> float:
    return float((lambdas[STEPS + 2 :] - lambdas[STEPS + 1 : -1]).abs().max())


def recognitions_part(lambdas: Tensor) -> float:
    """Of the direction's length, were the gradients orthogonal; equal parts are 0.5."""
    parts = (lambdas * NORMS)[-STEPS:].mean(0)
    return float(parts[:5].sum() / parts.sum())


def test_scales_of_gradients_starve_nothing_and_let_lambda_move_slowly():
    gramians = noisy_gramians(columns=400, epochs=6)
    plain, scaled, jumping = follow(None, gramians), follow("gradient", gramians), naive(gramians)
    assert recognitions_part(plain) < 0.1
    assert 0.35 < recognitions_part(scaled) < 0.65
    assert jumping.max() > 0.99
    assert scaled.max() < 0.5
    assert largest_jump(scaled) < 0.1 * largest_jump(jumping)


def test_scales_of_losses_leave_gradients_of_other_sizes_as_they_are():
    """Equal losses: their units are not what differs."""
    gramians = noisy_gramians(columns=400, epochs=1)
    torch.testing.assert_close(follow("loss", gramians), follow(None, gramians))


# ---------------------------------------------------------------- what is known, and kept


def test_a_norm_that_is_lost_in_noise_is_the_last_established_one_or_an_upper_bound():
    scales = GradientScales()
    error = torch.tensor([0.1, 0.1, 0.1])
    scales.observe_squares(torch.tensor([4.0, 0.2, -0.1]), error)
    torch.testing.assert_close(scales.values.square(), torch.tensor([4.0, 0.4, 0.2]))
    scales.observe_squares(torch.tensor([0.2, 1.0, 0.1]), error)
    torch.testing.assert_close(scales.values.square(), torch.tensor([4.0, 1.0, 0.3]))


def test_lambda_rests_until_the_norms_are_known():
    hierarchy, gramian = (
        hierarchy_of("gradient"),
        torch.diag(torch.tensor([4.0, 1.0, 0.25])).double(),
    )
    hierarchy.update_lambdas([gramian])
    assert hierarchy.levels[0].lambdas.tolist() == [1 / 3] * 3
    hierarchy.record_squares(squares_of(gramian.diagonal(), error=0.0, steps=1))  # no error known
    hierarchy.update_lambdas([gramian])
    assert hierarchy.levels[0].lambdas.tolist() == [1 / 3] * 3
    hierarchy.record_squares(squares_of(gramian.diagonal(), error=0.0))
    hierarchy.update_lambdas([gramian])
    expected = torch.tensor([1.0, 2.0, 4.0]).double() / 7
    torch.testing.assert_close(hierarchy.levels[0].lambdas, expected)


@pytest.mark.parametrize("scale_by", ["loss", "gradient"])
def test_scales_go_on_from_a_checkpoint_bit_identically(scale_by, tmp_path):
    def step(hierarchy: Hierarchy, seed: int) -> Tensor:
        torch.manual_seed(seed)
        if seed % 3 == 1:
            hierarchy.record_squares(squares_of(torch.rand(3).double(), error=0.1))
        rows = torch.randn(3, 5).double()
        hierarchy.update_lambdas([rows @ rows.T], None, torch.rand(3).double())
        return hierarchy.levels[0].lambdas

    whole, resumed, fresh = (hierarchy_of(scale_by) for _ in range(3))
    for seed in range(5):
        step(whole, seed)
    torch.save(whole.state_dict(), tmp_path / "state.pt")
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for seed in range(5, 9):
        expected = step(whole, seed)
        assert torch.equal(step(resumed, seed), expected)
        assert not torch.equal(step(fresh, seed), expected)
    with pytest.raises(ValueError, match=f"scale_by is {scale_by}, this run's is None"):
        hierarchy_of(None).load_state_dict(whole.state_dict())


@pytest.mark.parametrize(
    ("level", "message"),
    [
        (Level(["*"], scale_by="size"), "found 'size', expected loss or gradient, or null"),
        (Level(["*"], weights={"*": 1.0}, scale_by="loss"), "does not depend on the gradients"),
    ],
)
def test_scales_that_are_unknown_or_without_effect_are_refused(level, message):
    with pytest.raises(ValueError, match=f"scale_by: .*{message}"):
        Hierarchy([level], NAMES)
