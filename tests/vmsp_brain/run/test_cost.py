"""The clocks are replaced: nothing here depends on how fast this machine is."""

import pytest
import torch
from speechbrain.utils.checkpoints import Checkpointer

from vmsp_brain.run import cost
from vmsp_brain.run.cost import EpochCost

CPU = torch.device("cpu")


@pytest.fixture
def clocks(monkeypatch) -> list[float]:
    """Time and CPU time in seconds, to be set."""
    now = [0.0, 0.0]
    monkeypatch.setattr(cost, "_clocks", lambda: tuple(now))
    return now


def test_an_epoch_lasts_from_its_start_to_its_end(clocks):
    epoch = EpochCost()
    for start in (100.0, 1000.0):
        clocks[:] = [start, start]
        epoch.start()
        clocks[:] = [start + 120, start + 60]
        found = epoch.stop(CPU)
        assert (found["minutes"], found["cpu_minutes"]) == (2.0, 1.0)


def test_a_resumed_epoch_is_counted_whole_and_the_pause_is_not(clocks, tmp_path):
    whole = EpochCost()
    whole.start()
    clocks[:] = [60.0, 30.0]
    Checkpointer(tmp_path, {"cost": whole}).save_checkpoint(end_of_epoch=False)
    clocks[:] = [10_000.0, 0.0]  # another process, hours later
    resumed = EpochCost()
    Checkpointer(tmp_path, {"cost": resumed}).recover_if_possible()
    resumed.start()
    clocks[:] = [10_060.0, 30.0]
    found = resumed.stop(CPU)
    assert (found["minutes"], found["cpu_minutes"]) == (2.0, 1.0)


def test_an_epoch_after_a_finished_one_starts_from_nothing(clocks, tmp_path):
    first = EpochCost()
    first.start()
    clocks[:] = [60.0, 30.0]
    first.stop(CPU)
    clocks[:] = [90.0, 45.0]  # saving takes time too
    Checkpointer(tmp_path, {"cost": first}).save_checkpoint(end_of_epoch=True)
    resumed = EpochCost()
    Checkpointer(tmp_path, {"cost": resumed}).recover_if_possible()
    resumed.start()
    clocks[:] = [150.0, 105.0]
    assert resumed.stop(CPU)["minutes"] == 1.0


def test_memory_grows_by_what_is_allocated():
    def peak() -> float:
        return EpochCost().stop(CPU)["memory_gib"]

    before, held = peak(), []
    while peak() < before + 0.02:  # up to what was held before, the peak does not grow
        held.append(touched(2**24))
    before = peak()
    held.append(touched(2**26))
    assert peak() - before == pytest.approx(2**26 / cost.GIB, rel=0.2)


def touched(size: int) -> bytearray:
    """Memory of which every page is there."""
    memory = bytearray(size)
    memory[::4096] = b"x" * len(memory[::4096])
    return memory
