import pytest

from vmsp_brain.method.layer_selection import LayerSelection

SIMILARITIES = {"front_end": 0.1, "block_01": -0.2, "block_02": 0.0, "block_03": -0.3, "norm": 0.5}
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
    opposite = {layer: -value for layer, value in SIMILARITIES.items()}
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


def test_the_selection_goes_on_from_a_checkpoint():
    before, after = LayerSelection(efficient=True, warm_up=1), LayerSelection(efficient=True)
    before.update(1, SIMILARITIES)
    after.load_state_dict(before.state_dict())
    assert after.layers(LAYERS) == before.layers(LAYERS)


@pytest.mark.parametrize("key", ["warm_up", "refresh_every", "max_layers"])
def test_numbers_must_be_positive(key):
    with pytest.raises(ValueError, match=f"{key}: found 0, expected 1"):
        LayerSelection(**{key: 0})
