"""Every objective in one level, λ on the simplex of its level, multipliers as in the paper."""

import math
from itertools import permutations

import pytest
import torch
from torch import Tensor
from torchjd.aggregation import (
    CRMOGMWeighting,
    ExcessMTLWeighting,
    GradVacWeighting,
    MeanWeighting,
    MGDAWeighting,
    MoDoWeighting,
    PCGradWeighting,
    RandomWeighting,
    SDMGradWeighting,
    UPGrad,
    UPGradWeighting,
)

from vmsp_brain.method.hierarchy import Hierarchy, Level, hierarchy_in_order
from vmsp_brain.method.penalties import LinearPenalty

OBJECTIVES = ["ssl", "asr/en", "st/fr-en", "asr/fr", "st/de-en", "asr/de"]
PENALTIES = [LinearPenalty(0.1), LinearPenalty(0.0)]


def uas(weighting=None) -> Hierarchy:
    return hierarchy_in_order("UAS", OBJECTIVES, PENALTIES, weighting or MoDoWeighting(0.05, 0.1))


def names_of(hierarchy: Hierarchy) -> list[list[str]]:
    return [level.names for level in hierarchy.levels]


def lambdas_of(hierarchy: Hierarchy) -> list[Tensor]:
    return [level.lambdas for level in hierarchy.levels]


def random_gramians(hierarchy: Hierarchy, symmetric: bool = False) -> list[Tensor]:
    gramians = []
    for level in hierarchy.levels:
        first, second = torch.randn(2, len(level.names), 8, dtype=torch.float64)
        gramians.append(first @ (first if symmetric else second).T)
    return gramians


def nearest_on_simplex(point: Tensor) -> Tensor:
    """Euclidean projection by bisection on the shift τ with Σ max(point - τ, 0) = 1."""
    low, high = point.min().item() - 1.0, point.max().item()
    for _ in range(200):
        middle = (low + high) / 2
        if (point - middle).clamp(min=0).sum() > 1:
            low = middle
        else:
            high = middle
    return (point - high).clamp(min=0)


@pytest.mark.parametrize(
    ("levels", "names"),
    [
        ([["asr/*"], ["st/*"], ["ssl"]], ["eta_1_st_under_asr", "eta_2_ssl_under_st"]),
        ([["asr/*", "st/*"], ["ssl"]], ["eta_1_ssl_under_asr-st"]),
        ([["asr/en"], ["*/fr*", "ssl"]], ["eta_1_fr_under_en"]),
    ],
)
def test_penalties_are_named_by_the_levels_on_both_sides(levels, names):
    first, *lower = levels
    below = [Level(patterns, penalty=lambda epoch, losses: 1.0) for patterns in lower]
    hierarchy = Hierarchy([Level(first), *below], ["asr/en", "asr/fr", "st/fr-en", "ssl"])
    assert list(hierarchy.named_penalties(1)) == names


def test_orders_put_recognition_or_translation_on_top():
    recognition = ["asr/en", "asr/fr", "asr/de"]
    translation = ["st/fr-en", "st/de-en"]
    assert names_of(uas()) == [recognition, translation, ["ssl"]]
    usa = hierarchy_in_order("USA", OBJECTIVES, PENALTIES, MoDoWeighting())
    assert names_of(usa) == [translation, recognition, ["ssl"]]


def test_objectives_may_be_a_mapping():
    hierarchy = hierarchy_in_order("UAS", dict.fromkeys(OBJECTIVES), PENALTIES, MoDoWeighting())
    assert sorted(hierarchy.objectives) == sorted(OBJECTIVES)


def test_levels_by_language_take_patterns():
    penalty = LinearPenalty(1.0)
    levels = [
        Level(["asr/en"]),
        Level(["asr/fr", "st/fr-*"], penalty=penalty),
        Level(["*/de*", "ssl"], penalty=penalty),
    ]
    assert names_of(Hierarchy(levels, OBJECTIVES)) == [
        ["asr/en"],
        ["st/fr-en", "asr/fr"],
        ["ssl", "st/de-en", "asr/de"],
    ]


@pytest.mark.parametrize("patterns", [[["*"]], [["asr/*", "st/*"], ["ssl"]]])
def test_language_identification_is_below_all_levels_unless_one_names_it(patterns):
    weights = {"asr/*": 1.0, "st/*": 1.0, "ssl": 1.0}
    top = Level(patterns[0], weights=weights, epochs=(3, None))
    levels = [top, *(Level(p, penalty=PENALTIES[0]) for p in patterns[1:])]
    without = Hierarchy(levels, OBJECTIVES)
    hierarchy = Hierarchy(levels, ["lid", *OBJECTIVES])
    assert names_of(hierarchy) == [*names_of(without), ["lid"]]
    assert hierarchy.multipliers(5)[-1] == hierarchy.multipliers(5)[-2]
    assert "lid" not in hierarchy.trained(2), "where the primary level learns"
    assert "lid" in hierarchy.trained(3)
    levels[-1] = Level([*patterns[-1], "lid"], penalty=levels[-1].penalty)
    assert names_of(Hierarchy(levels, ["lid", *OBJECTIVES]))[-1][0] == "lid"
    assert len(levels) == len(without.levels)


def test_language_identification_alone_is_in_the_level_of_all():
    assert names_of(Hierarchy([Level(["*"], weights={"*": 1.0})], ["lid"])) == [["lid"]]


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ([["asr/*"], ["st/*"]], r"'ssl' is in no level"),
        ([["asr/*", "ssl"], ["st/*", "asr/fr"]], r"'asr/fr' is in levels 1 and 2"),
        ([["*"], ["ctc/*"]], r"Level 2 .*'ctc/\*'.* matches no objective"),
    ],
)
def test_every_objective_must_be_in_exactly_one_level(patterns, message):
    levels = [Level(patterns[0]), *(Level(p, penalty=PENALTIES[0]) for p in patterns[1:])]
    with pytest.raises(ValueError, match=message):
        Hierarchy(levels, OBJECTIVES)


def test_penalties_stand_between_levels():
    with pytest.raises(ValueError, match=r"Level 2 .* has no penalty"):
        Hierarchy([Level(["asr/*"]), Level(["s*"])], OBJECTIVES)
    with pytest.raises(ValueError, match="primary level has a penalty"):
        Hierarchy([Level(["*"], penalty=PENALTIES[0])], OBJECTIVES)
    with pytest.raises(ValueError, match="at least one level"):
        Hierarchy([], [])


def test_levels_given_as_plain_values_are_named():
    with pytest.raises(ValueError, match=r"Level 1 .* found \{'weights'.*a file of your own"):
        Hierarchy([{"weights": {"*": 1.0}}], OBJECTIVES)


def test_unknown_order_and_wrong_number_of_penalties_are_named():
    with pytest.raises(ValueError, match=r"'SAU'.*UAS, USA"):
        hierarchy_in_order("SAU", OBJECTIVES, PENALTIES, MoDoWeighting())
    with pytest.raises(ValueError, match=r"penalties: found 1, expected 2"):
        hierarchy_in_order("UAS", OBJECTIVES, PENALTIES[:1], MoDoWeighting())


@pytest.mark.parametrize("epoch", [1, 2, 10, 71, 72, 200])
def test_multipliers_are_products_of_capped_penalties(epoch):
    etas = [min(0.1 + 0.02 * (epoch - 1), 1.5), min(0.02 * (epoch - 1), 1.5)]
    expected = [math.prod(etas[:level]) for level in range(3)]
    assert uas().multipliers(epoch) == pytest.approx(expected, rel=1e-12)
    assert uas().penalties(epoch) == pytest.approx(etas, rel=1e-12)


def test_lambda_starts_uniform_on_its_own_level():
    for level in uas().levels:
        size = len(level.names)
        assert torch.allclose(level.lambdas, torch.full((size,), 1 / size).double())


@pytest.mark.parametrize("weighting", [MoDoWeighting(0.5, 0.0), MGDAWeighting()])
def test_lambda_stays_on_the_simplex_of_its_own_level(weighting):
    hierarchy = uas(weighting)
    for _ in range(20):
        hierarchy.update_lambdas(random_gramians(hierarchy, symmetric=True))
        for level in hierarchy.levels:
            assert level.lambdas.shape == (len(level.names),)
            assert (level.lambdas >= 0).all()
            assert level.lambdas.sum().item() == pytest.approx(1.0, abs=1e-9)


def test_lambda_is_modos_formula():
    gamma, rho = 0.05, 0.1
    hierarchy = uas(MoDoWeighting(gamma, rho))
    expected = lambdas_of(hierarchy)
    for _ in range(100):
        gramians = random_gramians(hierarchy)
        hierarchy.update_lambdas(gramians)
        expected = [
            nearest_on_simplex(old - gamma * (gramian @ old + rho * old))
            for old, gramian in zip(expected, gramians, strict=True)
        ]
        for lambdas, by_hand in zip(lambdas_of(hierarchy), expected, strict=True):
            torch.testing.assert_close(lambdas, by_hand, rtol=0, atol=1e-9)


def test_weights_are_multiplier_times_lambda_in_level_order():
    hierarchy = uas()
    hierarchy.update_lambdas(random_gramians(hierarchy))
    weights = hierarchy.weights(epoch=11)  # η_1 = 0.3, η_2 = 0.2
    asr, st, ssl = lambdas_of(hierarchy)
    torch.testing.assert_close(weights, torch.cat([asr, 0.3 * st, 0.3 * 0.2 * ssl]))
    assert len(weights) == len(hierarchy.objectives)


@pytest.mark.parametrize("weighting", [MoDoWeighting(0.05, 0.1), MGDAWeighting()])
def test_permuting_objectives_permutes_lambda(weighting):
    names = ["asr/en", "asr/fr", "asr/de"]
    steps = torch.randn(4, 3, 6, dtype=torch.float64)

    def lambdas_by_name(order: tuple[str, ...]) -> dict[str, float]:
        hierarchy = Hierarchy([Level(["asr/*"], type(weighting)())], order)
        rows = [names.index(name) for name in hierarchy.objectives]
        for jacobian in steps[:, rows]:
            hierarchy.update_lambdas([jacobian @ jacobian.T])
        return dict(zip(hierarchy.objectives, hierarchy.levels[0].lambdas.tolist(), strict=True))

    expected = lambdas_by_name(tuple(names))
    for order in permutations(names):
        assert lambdas_by_name(order) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "weighting", [MoDoWeighting(0.05, 0.1), GradVacWeighting(), MeanWeighting()]
)
def test_resumed_hierarchy_continues_bit_identically(weighting, tmp_path):
    whole, resumed = uas(weighting), uas(weighting)
    for _ in range(5):
        whole.update_lambdas(random_gramians(whole, symmetric=True))
    torch.save(whole.state_dict(), tmp_path / "hierarchy.pt")
    resumed.load_state_dict(torch.load(tmp_path / "hierarchy.pt", weights_only=True))
    assert torch.equal(resumed.weights(3), whole.weights(3))
    for step in range(5):
        gramians = random_gramians(whole, symmetric=True)
        for hierarchy in (whole, resumed):
            torch.manual_seed(1)  # GradVac draws an order
            hierarchy.update_lambdas(gramians)
        torch.manual_seed(step)
        assert torch.equal(resumed.weights(3), whole.weights(3))


@pytest.mark.parametrize("weighting", [PCGradWeighting(), RandomWeighting(), GradVacWeighting()])
def test_random_weightings_draw_from_the_seed_alone_and_leave_torchs_generator_alone(weighting):
    here, there = uas(weighting), uas(weighting)
    lambdas = set()
    for seed in range(5):
        gramians = random_gramians(here, symmetric=True)
        for process, hierarchy in enumerate((here, there)):
            torch.manual_seed(10 * seed + process)
            expected = torch.rand(3)
            torch.manual_seed(10 * seed + process)
            hierarchy.update_lambdas(gramians, seed)
            assert torch.equal(torch.rand(3), expected)
        assert torch.equal(here.weights(3), there.weights(3))
        lambdas.add(tuple(here.levels[0].lambdas.tolist()))
    assert len(lambdas) == 5


def test_another_seed_is_another_draw():
    hierarchy = uas(RandomWeighting())
    gramians = random_gramians(hierarchy)
    weights = []
    for seed in (1, 2, 1):
        hierarchy.update_lambdas(gramians, seed)
        weights.append(hierarchy.weights(3))
    assert not torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])


def test_state_of_another_hierarchy_is_refused():
    usa = hierarchy_in_order("USA", OBJECTIVES, PENALTIES, MoDoWeighting())
    with pytest.raises(ValueError, match=r"asr/en.*output_folder"):
        usa.load_state_dict(uas().state_dict())


def test_each_level_has_its_own_weighting():
    given = MoDoWeighting()
    hierarchy = uas(given)
    hierarchy.update_lambdas(random_gramians(hierarchy))
    weightings = [level.weighting for level in hierarchy.levels]
    assert len({id(weighting) for weighting in [given, *weightings]}) == 4
    assert [len(w._buffers["_lambda"]) for w in weightings] == [3, 2, 1]


def test_levels_made_with_one_weighting_object_do_not_share_lambda():
    """In YAML, ``weighting: !ref <weighting>`` twice gives both levels the same object."""

    def levels(first: MoDoWeighting, second: MoDoWeighting) -> list[Level]:
        return [Level(["asr/*"], first), Level(["s*"], second, LinearPenalty(1.0))]

    one = MoDoWeighting()
    shared = Hierarchy(levels(one, one), OBJECTIVES)
    separate = Hierarchy(levels(MoDoWeighting(), MoDoWeighting()), OBJECTIVES)
    for _ in range(3):
        gramians = random_gramians(shared)
        shared.update_lambdas(gramians)
        separate.update_lambdas(gramians)
    assert torch.equal(shared.weights(1), separate.weights(1))


def test_constant_weights_by_name_or_pattern():
    level = Level(["*"], weights={"asr/*": 1.0, "st/*": 0.5, "ssl": 0.0})
    hierarchy = Hierarchy([level], OBJECTIVES)
    hierarchy.update_lambdas(random_gramians(hierarchy))
    found = dict(zip(hierarchy.objectives, hierarchy.weights(epoch=1).tolist(), strict=True))
    assert found == {
        "ssl": 0.0, "asr/en": 1.0, "st/fr-en": 0.5, "asr/fr": 1.0, "st/de-en": 0.5, "asr/de": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        ({"asr/*": 1.0, "st/*": 1.0}, "'ssl' has no weight"),
        ({"*": 1.0, "ssl": 2.0}, "'ssl' has "),
        ({"*": -1.0}, r"\[-1.0\]"),
    ],
)
def test_missing_doubled_or_negative_constant_weights_are_refused(weights, named):
    with pytest.raises(ValueError, match=named):
        Hierarchy([Level(["*"], weights=weights)], OBJECTIVES)


def test_a_penalty_may_be_a_function_of_the_epoch_and_its_levels_validation_losses():
    seen = []

    def penalty(epoch: int, validation_losses: list[float]) -> float:
        seen.append((epoch, list(validation_losses)))
        return 0.25

    levels = [Level(["asr/*", "st/*"]), Level(["ssl"], penalty=penalty)]
    hierarchy = Hierarchy(levels, OBJECTIVES)
    assert hierarchy.multipliers(1) == [1.0, 0.25]
    hierarchy.record_validation(dict.fromkeys(OBJECTIVES, 2.0) | {"ssl": 5.0})
    resumed = Hierarchy(levels, OBJECTIVES)
    resumed.load_state_dict(hierarchy.state_dict())
    assert resumed.multipliers(2) == [1.0, 0.25]
    assert seen == [(1, []), (2, [5.0])]


def test_weightings_that_need_the_gradients_themselves_are_refused_at_once():
    with pytest.raises(ValueError, match="ExcessMTLWeighting takes the gradients"):
        Hierarchy([Level(["*"], ExcessMTLWeighting())], OBJECTIVES)


@pytest.mark.parametrize(
    ("weighting", "cross"),
    [
        (MoDoWeighting(), True),
        (SDMGradWeighting(), True),
        (CRMOGMWeighting(MoDoWeighting()), True),
        (CRMOGMWeighting(MGDAWeighting()), False),
        (UPGradWeighting(), False),
        (MeanWeighting(), False),
    ],
)
def test_which_gramian_a_weighting_takes(weighting, cross):
    hierarchy = Hierarchy([Level(["*"], weighting)], OBJECTIVES)
    assert hierarchy.levels[0].takes_cross_gramian == cross
    hierarchy.update_lambdas(random_gramians(hierarchy, symmetric=not cross))
    assert hierarchy.levels[0].lambdas.shape == (len(OBJECTIVES),)


@pytest.mark.parametrize("epochs", [(0, None), (3, 2)])
def test_epochs_that_make_no_sense_are_refused(epochs):
    with pytest.raises(ValueError, match=r"Level 1 .*found epochs"):
        Hierarchy([Level(["*"], epochs=epochs)], OBJECTIVES)


def test_objectives_are_trained_in_their_levels_epochs():
    levels = [Level(["asr/*", "st/*"], epochs=(3, None)), Level(["ssl"], penalty=PENALTIES[0])]
    levels[1].epochs = (1, 3)
    hierarchy = Hierarchy(levels, OBJECTIVES)
    assert hierarchy.trained(2) == {"ssl"}
    assert hierarchy.trained(3) == set(OBJECTIVES)
    assert hierarchy.trained(4) == set(OBJECTIVES) - {"ssl"}


@pytest.mark.parametrize("weighting", [UPGrad(), "MoDo"])
def test_what_is_no_weighting_is_refused(weighting):
    with pytest.raises(ValueError, match=r"Level 1 .*expected one of TorchJD's weightings"):
        Hierarchy([Level(["*"], weighting)], OBJECTIVES)
