import itertools

import pytest
import torch
from torch import Tensor

from vmsp_brain.method.conflict import (
    Cosines,
    layer_cosines,
    mean_per_layer,
    mean_per_tasks,
    share_of_conflicts,
)

NAMES = ["asr/en", "asr/fr", "st/fr-en", "ssl"]


@pytest.fixture
def gradients() -> dict[str, Tensor]:
    """By layer, the objectives' gradients, (M, P of the layer)."""
    layers = {"front_end": 3, "block_01": 4}
    return {layer: torch.randn(len(NAMES), size).double() for layer, size in layers.items()}


def cosines_of(gradients: dict[str, Tensor], names: list[str], chosen: list[str]) -> Cosines:
    return layer_cosines({layer: g @ g.T for layer, g in gradients.items()}, names, chosen)


def test_cosines_are_those_of_the_gradients_on_each_layer(gradients):
    cosines = cosines_of(gradients, NAMES, NAMES)
    for layer, rows in gradients.items():
        assert len(cosines[layer]) == 6
        for i, j in itertools.combinations(range(4), 2):
            expected = torch.cosine_similarity(rows[i], rows[j], dim=0)
            found = cosines[layer][f"{NAMES[i]} ~ {NAMES[j]}"]
            assert found == pytest.approx(float(expected), abs=1e-9)


def test_only_the_chosen_objectives_are_compared(gradients):
    cosines = cosines_of(gradients, NAMES, ["asr/en", "ssl"])
    assert list(cosines["front_end"]) == ["asr/en ~ ssl"]


def test_an_objective_that_does_not_reach_a_layer_is_orthogonal_to_all():
    gradients = {"layer": torch.tensor([[1.0, 1.0], [0.0, 0.0]]).double()}
    assert cosines_of(gradients, ["a", "b"], ["a", "b"]) == {"layer": {"a ~ b": 0.0}}


def test_opposite_gradients_conflict_and_equal_ones_do_not():
    gradients = {"layer": torch.tensor([[1.0, 2.0], [-2.0, -4.0], [3.0, 6.0]]).double()}
    cosines = cosines_of(gradients, ["a", "b", "c"], ["a", "b", "c"])
    assert cosines["layer"] == pytest.approx({"a ~ b": -1.0, "a ~ c": 1.0, "b ~ c": -1.0})
    assert share_of_conflicts(cosines) == pytest.approx(2 / 3)
    assert mean_per_layer(cosines) == pytest.approx({"layer": -1 / 3})


def test_means_per_pair_of_tasks():
    cosines = {
        "x": {"asr/en ~ asr/fr": 0.5, "asr/en ~ st/fr-en": -0.2, "st/fr-en ~ asr/fr": 0.4},
        "y": {"asr/en ~ asr/fr": 0.1, "asr/en ~ st/fr-en": 0.0, "st/fr-en ~ asr/fr": 0.2},
    }
    assert mean_per_tasks(cosines) == pytest.approx({"asr-asr": 0.3, "asr-st": 0.1})
