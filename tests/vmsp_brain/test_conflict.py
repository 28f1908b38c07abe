import csv
import itertools

import pytest
import torch
from torch.nn import Parameter

from vmsp_brain.conflict import (
    layer_cosines,
    mean_per_layer,
    mean_per_tasks,
    share_of_conflicts,
    write_cosines,
)
from vmsp_brain.gradients import DRAWS, GradientRows

NAMES = ["asr/en", "asr/fr", "st/fr-en", "ssl"]


@pytest.fixture
def rows() -> GradientRows:
    layers = {"front_end": [Parameter(torch.zeros(3))], "block_01": [Parameter(torch.zeros(2, 2))]}
    rows = GradientRows(NAMES, layers)
    for draw, name in itertools.product(range(DRAWS), NAMES):
        rows.add(draw, name, [torch.randn(3), torch.randn(2, 2)])
    return rows


def test_cosines_are_those_of_the_mean_gradients_of_each_layer(rows):
    mean = (rows._rows[0] + rows._rows[1]) / 2
    cosines = layer_cosines(rows, rows.index)
    for layer, columns in (("front_end", slice(0, 3)), ("block_01", slice(3, 7))):
        assert len(cosines[layer]) == 6
        for i, j in itertools.combinations(range(4), 2):
            expected = torch.cosine_similarity(mean[i, columns], mean[j, columns], dim=0)
            found = cosines[layer][f"{NAMES[i]} ~ {NAMES[j]}"]
            assert found == pytest.approx(float(expected), abs=1e-6)


def test_an_objective_that_does_not_reach_a_layer_is_orthogonal_to_all():
    rows = GradientRows(["a", "b"], {"layer": [Parameter(torch.zeros(2))]})
    rows.add(0, "a", [torch.ones(2)])
    assert layer_cosines(rows, rows.index) == {"layer": {"a ~ b": 0.0}}


def test_opposite_gradients_conflict_and_equal_ones_do_not():
    rows = GradientRows(["a", "b", "c"], {"layer": [Parameter(torch.zeros(2))]})
    for draw in range(DRAWS):
        rows.add(draw, "a", [torch.tensor([1.0, 2.0])])
        rows.add(draw, "b", [torch.tensor([-2.0, -4.0])])
        rows.add(draw, "c", [torch.tensor([3.0, 6.0])])
    cosines = layer_cosines(rows, rows.index)
    assert cosines["layer"] == pytest.approx({"a ~ b": -1.0, "a ~ c": 1.0, "b ~ c": -1.0})
    assert share_of_conflicts(cosines) == pytest.approx(2 / 3)
    assert mean_per_layer(cosines) == pytest.approx({"layer": -1 / 3})


def test_means_per_pair_of_tasks():
    cosines = {
        "x": {"asr/en ~ asr/fr": 0.5, "asr/en ~ st/fr-en": -0.2, "st/fr-en ~ asr/fr": 0.4},
        "y": {"asr/en ~ asr/fr": 0.1, "asr/en ~ st/fr-en": 0.0, "st/fr-en ~ asr/fr": 0.2},
    }
    assert mean_per_tasks(cosines) == pytest.approx({"asr-asr": 0.3, "asr-st": 0.1})


def test_the_file_is_layers_by_pairs(rows, tmp_path):
    cosines = layer_cosines(rows, rows.index)
    write_cosines(tmp_path / "conflicts" / "epoch_0001.csv", cosines)
    with (tmp_path / "conflicts" / "epoch_0001.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row.pop("layer") for row in table] == ["front_end", "block_01"]
    for row, layer in zip(table, cosines, strict=True):
        values = {pair: float(value) for pair, value in row.items()}
        assert values == pytest.approx(cosines[layer], abs=1e-6)
