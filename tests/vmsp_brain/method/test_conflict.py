"""Estimates of conflict from steps whose gradients are known, and are almost nothing but noise."""

import itertools
import math

import pytest
import torch
from scipy.special import stdtrit
from torch import Tensor

from tests.helpers.tensors import generator
from vmsp_brain.method.conflict import (
    ALL_LAYERS,
    Conflicts,
    Estimate,
    Similarities,
    Similarity,
    mean_per_layer,
    mean_per_tasks,
    shares,
)
from vmsp_brain.method.jackknife import GroupedSums
from vmsp_brain.method.layer_selection import LayerSelection
from vmsp_brain.method.rows import GradientRows

NAMES = ["asr/en", "asr/fr", "st/fr-en", "ssl"]
STEPS = 125
"""An epoch of mini-CoVoST."""

SHARE = 0.03
"""Of a row's squared norm that is signal, as late in training."""

REPETITIONS = 1000
"""Each as a layer of its own, all of the same expectation."""


def products_of(draws: Tensor) -> Tensor:
    """(..., M, M + 1) of both draws' rows, (2, ..., M, P)."""
    cross = draws[0] @ draws[1].mT
    squares = draws.square().sum(-1).mean(0)
    return torch.cat([(cross + cross.mT) / 2, squares.unsqueeze(-1)], dim=-1)


def expected_rows(cosine: float, columns: int) -> Tensor:
    """Two rows of norm 1, (2, P)."""
    rows = torch.zeros(2, columns)
    rows[0, 0], rows[1, 0], rows[1, 1] = 1.0, cosine, (1 - cosine**2) ** 0.5
    return rows


class Noisy:
    """Steps of noisy rows of two objectives, on many layers at once."""

    def __init__(
        self, cosine: float, layers: int = REPETITIONS, columns: int = 600, steps: int = STEPS
    ) -> None:
        rng = torch.Generator().manual_seed(7)
        deviation = ((1 / SHARE - 1) / columns) ** 0.5
        self.sample, self.layers = GroupedSums(), [f"block_{n:04d}" for n in range(layers)]
        self.of_single_steps = torch.zeros(layers)
        for _ in range(steps):
            noise = torch.randn(2, layers, 2, columns, generator=rng)
            draws = expected_rows(cosine, columns) + deviation * noise
            self.sample.add(products_of(draws))
            first, second = draws.mean(0).unbind(1)
            self.of_single_steps += torch.cosine_similarity(first, second) / steps
        self.conflicts = Conflicts(self.sample, self.layers, ["a", "b"], ["a", "b"])

    def similarities(self) -> tuple[Tensor, Tensor]:
        """Values and standard errors, (layers,)."""
        found = [pairs["a ~ b"] for pairs in self.conflicts.similarities().values()][:-1]
        values, errors = zip(*((each.value, each.standard_error) for each in found), strict=True)
        return torch.tensor(values), torch.tensor(errors)


@pytest.fixture(scope="module", params=[0.5, -0.5])
def known(request) -> tuple[float, Noisy]:
    return request.param, Noisy(request.param)


def test_cosines_of_single_steps_shrink_and_the_estimate_does_not(known):
    cosine, noisy = known
    values, errors = noisy.similarities()
    assert noisy.of_single_steps.abs().mean() < 0.05
    assert abs(float(values[0]) - cosine) < 3 * float(errors[0])
    assert float(values.nanmean()) == pytest.approx(cosine, abs=0.02)


def test_intervals_cover_the_truth_as_often_as_they_say(known):
    cosine, noisy = known
    values, errors = noisy.similarities()
    clear = ~values.isnan()
    assert clear.double().mean() > 0.95
    inside = (values - cosine).abs() <= float(stdtrit(noisy.sample.degrees, 0.975)) * errors
    assert 0.93 <= float(inside[clear].double().mean()) <= 0.97


def test_the_estimate_of_few_steps_covers_too():
    noisy = Noisy(-0.5, columns=2500, steps=12, layers=500)
    values, errors = noisy.similarities()
    clear = ~values.isnan()
    assert clear.double().mean() > 0.5
    inside = (values + 0.5).abs() <= float(stdtrit(11, 0.975)) * errors
    assert float(inside[clear].double().mean()) >= 0.93


def test_signal_shares_and_norms_are_those_of_the_expectation(known):
    _, noisy = known
    strengths = noisy.conflicts.strengths()
    found = torch.tensor([strengths[layer]["b"] for layer in noisy.layers])
    truth = torch.tensor([1.0, SHARE])
    values, errors = found[:, ::2], found[:, 1::2]
    assert values.nanmean(0) == pytest.approx(truth, rel=0.05)
    inside = (values - truth).abs() <= float(stdtrit(noisy.sample.degrees, 0.975)) * errors
    for column in range(2):
        clear = ~values[:, column].isnan()
        assert 0.93 <= float(inside[clear, column].double().mean()) <= 0.975


@pytest.fixture(scope="module")
def without_conflict() -> Noisy:
    return Noisy(0.0)


def test_without_conflict_at_most_one_layer_in_twenty_is_selected(without_conflict):
    means = without_conflict.conflicts.means()
    selection = LayerSelection(efficient=True, warm_up=1)
    assert len(selection.update(1, means)) <= 0.05 * REPETITIONS
    by_mean = LayerSelection(efficient=True, warm_up=1, select_by="mean")
    assert len(by_mean.update(1, means)) > 0.4 * REPETITIONS, "as it was with every noise"


def test_where_there_is_conflict_its_layers_are_selected():
    means = Noisy(-0.5, layers=200).conflicts.means()
    assert len(LayerSelection(True, warm_up=1).update(1, means)) > 190


def test_without_conflict_no_verdict_is_false_in_nineteen_epochs_of_twenty(without_conflict):
    """Of 1000 layers, 20 are an epoch of 20 statements."""
    false = 0
    for start in range(0, REPETITIONS, 20):
        sample = without_conflict.sample.map(lambda s, start=start: s[:, start : start + 20])
        layers = without_conflict.layers[start : start + 20]
        found = Conflicts(sample, layers, ["a", "b"], ["a", "b"]).similarities()
        false += shares(found)["undecided"] < 1
    assert false <= 0.12 * (REPETITIONS / 20)  # 2.5 are expected of 50; more than 6 in one of 100


def test_true_conflict_and_agreement_are_told_apart():
    expected = {0.9: "agree", -0.9: "conflict"}
    for cosine, verdict in expected.items():
        found = shares(Noisy(cosine, layers=50).conflicts.similarities())
        assert found[verdict] > 0.9
        assert found[expected[-cosine]] == 0.0


def gradients_of(steps: int, seed: int = 0) -> dict[str, Tensor]:
    """By layer, of every step, both draws' rows: (steps, 2, M, P of the layer)."""
    rng = generator(seed).manual_seed(seed)
    sizes = {"front_end": 30, "block_01": 40}
    return {
        layer: torch.randn(4, size, generator=rng, device=rng.device)
        + 0.3 * torch.randn(steps, 2, 4, size, generator=rng, device=rng.device)
        for layer, size in sizes.items()
    }


def conflicts_of(gradients: dict[str, Tensor], chosen: list[str] = NAMES) -> Conflicts:
    """Through the rows that a step keeps."""
    sample = GroupedSums()
    for draws in zip(*gradients.values(), strict=True):
        rows = GradientRows(NAMES)
        for layer, both in zip(gradients, draws, strict=True):
            for draw, name in itertools.product(range(2), NAMES):
                rows.add(draw, name, layer, [both[draw, NAMES.index(name)]])
        sample.add(torch.stack([products.cpu() for products in rows.products().values()]))
    return Conflicts(sample, list(gradients), NAMES, chosen)


def test_similarities_are_ratios_of_mean_products_on_each_layer_and_on_all():
    gradients = gradients_of(6)
    found = conflicts_of(gradients).similarities()
    gradients[ALL_LAYERS] = torch.cat(list(gradients.values()), dim=-1)
    assert list(found) == list(gradients)
    for layer, draws in gradients.items():
        first, second = draws.double().unbind(1)
        mean = (first @ second.mT).mean(0)
        mean = (mean + mean.T) / 2
        assert len(found[layer]) == 6
        for i, j in itertools.combinations(range(4), 2):
            similarity = found[layer][f"{NAMES[i]} ~ {NAMES[j]}"]
            expected = mean[i, j] / (mean[i, i] * mean[j, j]).sqrt()
            assert similarity.value == pytest.approx(float(expected), abs=1e-5)


def test_only_the_chosen_objectives_are_compared():
    gradients = gradients_of(6)
    some = conflicts_of(gradients, ["asr/en", "ssl"])
    assert list(some.similarities()["front_end"]) == ["asr/en ~ ssl"]
    assert list(some.strengths()["front_end"]) == ["asr/en", "ssl"]
    of_all = conflicts_of(gradients).strengths()["block_01"]["ssl"]
    assert some.strengths()["block_01"]["ssl"] == pytest.approx(of_all)


def test_of_an_objective_that_does_not_reach_a_layer_nothing_is_said():
    gradients = gradients_of(6)
    gradients["block_01"][:, :, 0] = 0
    conflicts = conflicts_of(gradients)
    unknown = conflicts.similarities()["block_01"]["asr/en ~ asr/fr"]
    assert math.isnan(unknown.value)
    assert unknown.verdict == "undecided"
    assert math.isnan(conflicts.strengths()["block_01"]["asr/en"].norm)
    known = [pair.value for pair in conflicts.similarities()["block_01"].values()][3:]
    assert conflicts.means()["block_01"].value == pytest.approx(sum(known) / 3)


def test_one_step_decides_nothing_and_selects_nothing():
    conflicts = conflicts_of(gradients_of(1))
    assert shares(conflicts.similarities()) == {"agree": 0.0, "undecided": 1.0, "conflict": 0.0}
    assert LayerSelection(True, warm_up=1).update(1, conflicts.means()) == []


def test_a_layers_mean_has_an_error_of_its_own_and_the_upper_end_of_its_interval():
    """Pairs that are alike vary together: their mean has the error of one of them."""
    gradients = gradients_of(16)
    for draws in gradients.values():
        draws[:, :, 2] = draws[:, :, 1]
        draws[:, :, 3] = draws[:, :, 1]
    conflicts = conflicts_of(gradients, ["asr/en", "st/fr-en", "ssl"])
    pairs = conflicts.similarities()["front_end"]
    one, other = pairs["asr/en ~ st/fr-en"], pairs["asr/en ~ ssl"]
    alike = conflicts_of(gradients, ["asr/en", "ssl"]).means()["front_end"]
    assert (
        alike == pytest.approx(Estimate(*other[:2], alike.upper)) == Estimate(*one[:2], alike.upper)
    )
    assert alike.upper == pytest.approx(other.value + stdtrit(15, 0.975) * other.standard_error)
    third = pairs["st/fr-en ~ ssl"]
    mean = conflicts.means()["front_end"]
    assert mean.value == pytest.approx((2 * one.value + third.value) / 3)
    assert mean.standard_error > 0.6 * one.standard_error, "independent pairs would have 0.58"


def test_many_agreements_let_no_false_conflict_pass():
    """In one family of two-sided tests, about 2 of the 100 others would pass as conflicts."""
    agreeing, neither = Noisy(0.9, layers=900), Noisy(0.0, layers=100)
    sample = GroupedSums()
    sample.counts = agreeing.sample.counts
    sample.sums = torch.cat([agreeing.sample.sums, neither.sample.sums], dim=1)
    layers = [f"block_{number}" for number in range(1000)]
    found = shares(Conflicts(sample, layers, ["a", "b"], ["a", "b"]).similarities())
    assert found["agree"] > 0.85
    assert found["conflict"] == 0.0


def a_pair(value: float, verdict: str = "undecided") -> Similarity:
    return Similarity(value, 0.1, verdict)


SIMILARITIES: Similarities = {
    "x": {
        "asr/en ~ asr/fr": a_pair(0.5, "agree"),
        "asr/en ~ st/fr-en": a_pair(-0.2),
        "st/fr-en ~ asr/fr": a_pair(0.4),
    },
    "y": {
        "asr/en ~ asr/fr": a_pair(0.1),
        "asr/en ~ st/fr-en": a_pair(math.nan),
        "st/fr-en ~ asr/fr": a_pair(-0.5, "conflict"),
    },
    ALL_LAYERS: {"asr/en ~ asr/fr": a_pair(0.9, "agree")},
}


def test_means_and_shares_are_of_single_layers_and_of_what_is_known():
    assert mean_per_tasks(SIMILARITIES) == pytest.approx({"asr-asr": 0.3, "asr-st": -0.1})
    assert mean_per_layer(SIMILARITIES) == pytest.approx({"x": 0.7 / 3, "y": -0.2})
    expected = {"agree": 1 / 6, "undecided": 4 / 6, "conflict": 1 / 6}
    assert shares(SIMILARITIES) == pytest.approx(expected)
