"""A weighting that is restored goes on as if it had never stopped."""

import copy

import pytest
import torch
from torch import Tensor
from torchjd.aggregation import (
    CRMOGMWeighting,
    GradVacWeighting,
    MeanWeighting,
    MGDAWeighting,
    MoDoWeighting,
    SDMGradWeighting,
)

from vmsp_brain.method.weightings import restore_weighting, weighting_state

STATEFUL = {
    "MoDo": lambda: MoDoWeighting(gamma=0.05, rho=0.1),
    "GradVac": GradVacWeighting,
    "SDMGrad": SDMGradWeighting,
    "CR-MOGM of MGDA": lambda: CRMOGMWeighting(MGDAWeighting()),
    "CR-MOGM of MoDo": lambda: CRMOGMWeighting(MoDoWeighting()),
}


def gramians(number: int, size: int = 4) -> list[Tensor]:
    """Symmetric Gramians of random rows that conflict now and then, float64."""
    rows = torch.randn(number, size, 6, dtype=torch.float64)
    return list(rows @ rows.transpose(1, 2))


def through_a_file(state: dict, folder) -> dict:
    torch.save(state, folder / "state.pt")
    return torch.load(folder / "state.pt", weights_only=True)


@pytest.mark.parametrize("make", STATEFUL.values(), ids=STATEFUL.keys())
def test_restored_weighting_continues_bit_identically(make, tmp_path):
    whole, before = make(), gramians(5)
    for gramian in before:
        whole(gramian)
    resumed = make()
    restore_weighting(resumed, through_a_file(weighting_state(whole), tmp_path))
    for gramian in gramians(5):
        torch.manual_seed(1)  # some weightings draw random numbers
        expected = whole(gramian)
        torch.manual_seed(1)
        assert torch.equal(resumed(gramian), expected)


@pytest.mark.parametrize("make", STATEFUL.values(), ids=STATEFUL.keys())
def test_state_matters_to_the_weightings_of_these_tests(make):
    """Else the test above would pass without restoring anything."""
    used, last = make(), gramians(6)
    for gramian in last[:-1]:
        used(gramian)
    torch.manual_seed(1)
    fresh = make()(last[-1])
    torch.manual_seed(1)
    assert not torch.equal(used(last[-1]), fresh)


def test_restored_state_is_a_copy():
    first, second = MoDoWeighting(), MoDoWeighting()
    first(gramians(1)[0])
    restore_weighting(second, weighting_state(first))
    second._buffers["_lambda"].fill_(7.0)
    assert not (first._buffers["_lambda"] == 7.0).any()


def test_state_of_another_class_is_refused():
    modo = MoDoWeighting()
    modo(gramians(1)[0])
    with pytest.raises(ValueError, match="MeanWeighting"):
        restore_weighting(MeanWeighting(), weighting_state(modo))


@pytest.mark.parametrize(
    "other", [MeanWeighting(), CRMOGMWeighting(MGDAWeighting())], ids=["no buffers", "same name"]
)
def test_state_of_another_class_is_refused_whatever_its_buffers_are_called(other):
    other(gramians(1)[0])
    with pytest.raises(ValueError, match="MoDoWeighting"):
        restore_weighting(MoDoWeighting(), weighting_state(other))


def test_state_of_an_unused_weighting_makes_a_used_one_unused():
    used, gramian = MoDoWeighting(), gramians(1)[0]
    expected = copy.deepcopy(used)(gramian)
    fresh_state = weighting_state(used)
    used(gramian)
    restore_weighting(used, fresh_state)
    assert torch.equal(used(gramian), expected)
