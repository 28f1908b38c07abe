import math
from collections.abc import Mapping

import pytest

from vmsp_brain.method.conflict import Estimate
from vmsp_brain.method.layer_selection import LayerSelection

VALUES = {"front_end": 0.1, "block_01": -0.2, "block_02": 0.0, "block_03": -0.3, "norm": 0.5}


def similarities_of(values: Mapping[str, float], margin: float = 0.0) -> dict[str, Estimate]:
    """Means whose interval reaches so far above them."""
    return {layer: Estimate(value, margin / 2, value + margin) for layer, value in values.items()}


SIMILARITIES = similarities_of(VALUES)
LAYERS = list(SIMILARITIES)


def test_all_layers_until_the_warm_up_is_over():
    selection = LayerSelection(efficient=True, warm_up=3)
    for epoch in (1, 2):
        selection.update(epoch, SIMILARITIES)
        assert selection.layers(LAYERS) == LAYERS
    selection.update(3, SIMILARITIES)
    assert selection.layers(LAYERS) == ["block_01", "block_03"]


def test_all_layers_always_unless_efficient():
    selection = LayerSelection(warm_up=1)
    selection.update(5, SIMILARITIES)
    assert selection.layers(LAYERS) == LAYERS


@pytest.mark.parametrize(
    ("threshold", "max_layers", "expected"),
    [
        (0.0, 1, ["block_03"]),
        (0.05, None, ["block_01", "block_02", "block_03"]),
        (0.05, 2, ["block_01", "block_03"]),
        (1.0, None, LAYERS),
        (-1.0, None, []),
    ],
)
def test_the_most_conflicting_layers_under_the_threshold(threshold, max_layers, expected):
    selection = LayerSelection(True, 1, threshold, max_layers)
    selection.update(1, SIMILARITIES)
    assert selection.layers(LAYERS) == expected


def test_selection_is_refreshed_at_its_interval():
    selection = LayerSelection(efficient=True, warm_up=2, refresh_every=3)
    opposite = similarities_of({layer: -value for layer, value in VALUES.items()})
    selection.update(2, SIMILARITIES)
    for epoch in (3, 4):
        selection.update(epoch, opposite)
        assert selection.layers(LAYERS) == ["block_01", "block_03"]
    selection.update(5, opposite)
    assert selection.layers(LAYERS) == ["front_end", "norm"]


def test_what_was_selected_is_returned_the_most_conflicting_first():
    selection = LayerSelection(efficient=True, warm_up=2)
    assert selection.update(1, SIMILARITIES) is None
    assert selection.update(2, SIMILARITIES) == ["block_03", "block_01"]


def test_a_layer_is_selected_where_conflict_is_established_or_by_the_mean_if_told_so():
    by_bound = LayerSelection(True, warm_up=1)
    by_mean = LayerSelection(True, warm_up=1, select_by="mean")
    uncertain = similarities_of(VALUES, margin=0.25)
    assert by_bound.update(1, uncertain) == ["block_03"]
    assert by_mean.update(1, uncertain) == ["block_03", "block_01"]


def test_a_layer_of_which_nothing_is_known_is_not_selected():
    unknown = {"block_01": Estimate(math.nan, math.nan, math.nan)}
    for select_by in ("bound", "mean"):
        selection = LayerSelection(True, 1, threshold=1.0, select_by=select_by)
        assert selection.update(1, unknown) == []


def test_another_way_to_select_is_refused():
    with pytest.raises(ValueError, match="select_by: found 'both', expected bound or mean"):
        LayerSelection(select_by="both")


def test_the_selection_goes_on_from_a_checkpoint():
    before, after = LayerSelection(efficient=True, warm_up=1), LayerSelection(efficient=True)
    before.update(1, SIMILARITIES)
    after.load_state_dict(before.state_dict())
    assert after.layers(LAYERS) == before.layers(LAYERS)


@pytest.mark.parametrize("key", ["warm_up", "refresh_every", "max_layers"])
def test_numbers_must_be_positive(key):
    with pytest.raises(ValueError, match=f"{key}: found 0, expected 1"):
        LayerSelection(**{key: 0})
