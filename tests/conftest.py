"""What every test can count on: no network, one thread, and processes only where `slow` says so."""

import gc
import os

os.environ["HF_HUB_OFFLINE"] = "1"  # a name on a model hub that is not there fails at once
os.environ["OMP_NUM_THREADS"] = "1"  # more only wait for each other on models this small

import multiprocessing.process
import signal
import subprocess
from collections.abc import Iterator

import pytest

from vmsp_brain.threads import cpus

signal.signal(signal.SIGINT, signal.default_int_handler)  # xdist's workers ignore it


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A worker for every CPU, and one more where tests wait for the processes that they start."""
    return cpus() + ("not slow" not in config.option.markexpr)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems() -> None:
    """Set up the libraries where tests are run; the process that hands them out imports none."""
    import torch
    from speechbrain.utils.importutils import LazyModule

    torch.set_num_threads(1)
    # Hypothesis asks all modules for their file; SpeechBrain's would import what is not installed.
    LazyModule.__file__ = None


@pytest.fixture(autouse=True, scope="module")
def _freeze() -> None:
    """Keep the libraries' objects out of garbage collections, else each takes half a second.

    SpeechBrain's Whisper asks for one whenever it is made.
    """
    gc.freeze()


@pytest.fixture(autouse=True)
def _seed() -> None:
    import torch

    torch.manual_seed(0)


def _refuse(*_arguments, **_options) -> None:
    pytest.fail("A test that starts a process, itself or by a fixture, is to be marked slow.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let none but slow tests start a process."""
    with pytest.MonkeyPatch.context() as patch:
        if item.get_closest_marker("slow") is None:
            patch.setattr(subprocess.Popen, "__init__", _refuse)
            patch.setattr(multiprocessing.process.BaseProcess, "start", _refuse)
        return (yield)
