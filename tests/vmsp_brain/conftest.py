"""Lets every test find `small_models`, and keeps the tests deterministic and light."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more only wait for each other on models this small
    yield
    torch.set_num_threads(threads)
