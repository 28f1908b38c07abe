"""Means of an epoch survive a checkpoint, those of every process."""

import pytest

from vmsp_brain import processes
from vmsp_brain.run.checkpoints import AtomicCheckpointer
from vmsp_brain.run.running_means import RunningMeans


def means_of(*values: float) -> RunningMeans:
    means = RunningMeans()
    for value in values:
        means.add({"loss": value})
    return means


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """Of two processes, one of which had one value and the other two."""
    of_rank = [means_of(1.0), means_of(2.0, 6.0)]
    states = [{"sums": means.sums, "counts": means.counts} for means in of_rank]
    monkeypatch.setattr(processes, "number", lambda: 2)
    monkeypatch.setattr(processes, "gather", lambda item: states)
    AtomicCheckpointer(tmp_path, {"means": of_rank[0]}).save_checkpoint(end_of_epoch=False)
    return tmp_path


def recovered(folder) -> RunningMeans:
    means = means_of(100.0)
    AtomicCheckpointer(folder, {"means": means}).recover_if_possible()
    return means


@pytest.mark.parametrize(("rank", "sums", "count"), [(0, 1.0, 1), (1, 8.0, 2)])
def test_each_process_goes_on_with_its_own(checkpoint, monkeypatch, rank, sums, count):
    monkeypatch.setattr(processes, "rank", lambda: rank)
    means = recovered(checkpoint)
    assert (means.sums, means.counts) == ({"loss": sums}, {"loss": count})


def test_another_number_of_processes_goes_on_with_the_whole(checkpoint, monkeypatch):
    monkeypatch.setattr(processes, "number", lambda: 1)
    assert recovered(checkpoint).summary() == {"loss": 3.0}
