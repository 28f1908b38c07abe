"""The table's parts add up."""

import re

import pytest

from tests.helpers.small_models import small_encoder_of, small_objectives
from vmsp_brain.watch.parameter_table import parameter_table


@pytest.mark.parametrize("kind", ["conformer", "wav2vec2", "whisper"])
def test_layers_add_up_to_the_encoder_and_heads_to_all_heads(kind):
    encoder = small_encoder_of(kind)
    objectives = small_objectives(["en", "fr"], ["fr-en"])
    rows: dict[str, tuple[float, ...]] = {}
    names = ["encoder", *encoder.layers(), "heads", *objectives]
    for line in parameter_table(encoder, objectives).splitlines()[1:]:
        first, last, *counts = re.fullmatch(
            r" *(\S+)(?: to (\S+))? +(\d+\.\d+) +(\d+\.\d+)(?: each)?", line
        ).groups()
        of_row = names[names.index(first) : 1 + names.index(last or first)]
        rows |= dict.fromkeys(of_row, tuple(map(float, counts)))
    assert list(rows) == names
    for number in (0, 1):
        layers = sum(rows[name][number] for name in encoder.layers())
        assert layers == pytest.approx(rows["encoder"][number], abs=0.002)
        heads = sum(rows[name][number] for name in objectives)
        assert heads == pytest.approx(rows["heads"][number], abs=0.002)
    assert rows["encoder"][0] == pytest.approx(
        sum(p.numel() for p in encoder.parameters()) / 1e6, abs=0.0006
    )
