"""Tensors on the device that the tests of the method are run for: the CPU, or what DEVICE says.

DEVICE=cuda python -m pytest tests/vmsp_brain/method
"""

import os
from functools import partial

import torch

DEVICE = torch.device(os.environ.get("DEVICE", "cpu"))

ones = partial(torch.ones, device=DEVICE)
rand = partial(torch.rand, device=DEVICE)
randn = partial(torch.randn, device=DEVICE)
tensor = partial(torch.tensor, device=DEVICE)
zeros = partial(torch.zeros, device=DEVICE)


def generator(seed: int) -> torch.Generator:
    """Draws of its own, on the device."""
    return torch.Generator(DEVICE).manual_seed(seed)
