"""Products of an epoch survive a checkpoint, those of every process."""

import pytest
import torch

from vmsp_brain import processes
from vmsp_brain.run.checkpoints import AtomicCheckpointer
from vmsp_brain.run.epoch_sums import EpochProducts


def products_of(*values: float) -> EpochProducts:
    products = EpochProducts()
    for value in values:
        products.add(torch.full((1, 2, 3), value))
    return products


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """Of two processes, one of which measured nothing finite yet."""
    of_rank = [products_of(1.0, 5.0), products_of()]
    monkeypatch.setattr(processes, "number", lambda: 2)
    monkeypatch.setattr(processes, "gather", lambda _: [each.state_dict() for each in of_rank])
    AtomicCheckpointer(tmp_path, {"products": of_rank[0]}).save_checkpoint(end_of_epoch=False)
    return tmp_path


def recovered(folder) -> EpochProducts:
    products = products_of(100.0)
    AtomicCheckpointer(folder, {"products": products}).recover_if_possible()
    return products


@pytest.mark.parametrize(("rank", "number"), [(0, 2), (1, 0)])
def test_each_process_goes_on_with_its_own(checkpoint, monkeypatch, rank, number):
    monkeypatch.setattr(processes, "rank", lambda: rank)
    products = recovered(checkpoint)
    assert len(products) == number
    products.add(torch.ones(1, 2, 3))
    assert len(products) == number + 1


def test_another_number_of_processes_goes_on_with_the_whole(checkpoint, monkeypatch):
    monkeypatch.setattr(processes, "number", lambda: 1)
    value, _ = recovered(checkpoint).estimate(lambda mean: mean)
    assert torch.equal(value, torch.full((1, 2, 3), 3.0).double())


def test_processes_measurements_are_joined(monkeypatch):
    of_rank = [products_of(1.0, 5.0), products_of(3.0)]
    monkeypatch.setattr(processes, "gather", lambda _: of_rank)
    joined = of_rank[0].joined()
    assert (len(joined), len(of_rank[0])) == (3, 2)
    assert torch.equal(joined.sums[0], torch.full((1, 2, 3), 4.0).double())
