"""How often a training step waits for the device: what the CPU can know, it does not ask for."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.helpers.oracles import make_brain, make_items
from vmsp_brain.data.batches import MultilingualBatch
from vmsp_brain.names import text_key

LANGUAGES = ["en", "fr", "de", "es", "ca"]
PAIRS = ["fr-en", "de-en", "es-en", "ca-en"]

READS = {"_local_scalar_dense", "nonzero", "masked_select", "equal"}
"""Operations of ATen whose result, or its size, the CPU must read from the device."""

INDEXES = {"index", "index_put", "index_put_"}
"""Those that do so if an index is boolean."""


class Synchronizations(TorchDispatchMode):
    """Counts the operations that make the CPU wait for a GPU; they can be told on a CPU too."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation.overloadpacket.__name__
        sizes_unknown = name == "repeat_interleave" and (kwargs or {}).get("output_size") is None
        if name in READS or sizes_unknown or (name in INDEXES and _is_boolean(args[1])):
            self.counts[name] += 1
        return operation(*args, **(kwargs or {}))


def _is_boolean(indices) -> bool:
    return any(index is not None and index.dtype == torch.bool for index in indices)


@pytest.mark.parametrize("all_translated", [True, False])
@pytest.mark.parametrize("ssl", ["wav2vec2", "cpc", "best_rq"])
def test_a_step_of_ten_objectives_waits_for_the_device_at_most_seventy_times(ssl, all_translated):
    """Twice for each of 20 losses, which are checked and read; the rest is λ, SSL and norms."""
    brain = make_brain("UAS", LANGUAGES, PAIRS, ssl=ssl)
    items = make_items(brain, 0, 1) + make_items(brain, 1, 2)
    if not all_translated:
        for name in (f"st/{pair}" for pair in PAIRS):
            _, _, item = next(key for key in items if name in key[2])
            item |= {name: item[name][:0], text_key(name): ""}
    brain.step, brain.optimizer_step = 2, 1  # not one whose norms are shown
    with Synchronizations() as found:
        brain.fit_batch(MultilingualBatch(items))
    assert found.counts.total() <= 70, found.counts
