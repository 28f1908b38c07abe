"""How many threads a command computes with, and how they wait for each other.

PyTorch comes with libgomp, whose idle threads spin at the end of every kernel. Alone on its cores a
small model gains a quarter by two threads; beside other work it waits for threads that are not
running, and a step takes a minute in place of a second (`tests/benchmarks/busy_machine.py`).
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import joblib

if TYPE_CHECKING:
    from torch import nn

PARAMETERS_PER_THREAD = 20_000_000
"""Below so many for each, threads that do not spin take longer together than one alone."""


def set_wait_policy() -> None:
    """Let idle threads sleep, unless the user says otherwise. Call it before PyTorch is loaded.

    libgomp reads ``OMP_WAIT_POLICY`` and ``GOMP_SPINCOUNT`` once, when it is loaded; later nothing
    is changed.
    """
    if "torch" not in sys.modules and "GOMP_SPINCOUNT" not in os.environ:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def set_number(model: nn.Module) -> str:
    """Give a model as many threads as help it, unless ``OMP_NUM_THREADS`` says otherwise.

    Arguments
    ---------
    model : Module
        The model.

    Returns
    -------
    str
        What was chosen, and of what, in a sentence.
    """
    import torch  # here, for `set_wait_policy` comes first

    here, beside = cpus(), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if "OMP_NUM_THREADS" in os.environ:
        return f"Threads: {torch.get_num_threads()}, as OMP_NUM_THREADS says; CPUs: {here}."
    torch.set_num_threads(max(1, min(here // beside, parameters // PARAMETERS_PER_THREAD)))
    return (
        f"Threads: {torch.get_num_threads()}, for {parameters / 1e6:.1f} M parameters; CPUs: "
        f"{here}{f', of {beside} processes' if beside > 1 else ''}. OMP_NUM_THREADS sets another "
        "number."
    )


def cpus() -> int:
    """CPUs that this process may use, by its affinity and by the quota of its container."""
    return int(joblib.cpu_count())
