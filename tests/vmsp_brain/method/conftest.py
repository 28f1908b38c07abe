"""What the method's tests share.

They compare to more digits than TF32 has, which GPUs convolve in by default.
"""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _whole_float32() -> Iterator[None]:
    before = torch.backends.cudnn.conv.fp32_precision
    torch.backends.cudnn.conv.fp32_precision = "ieee"
    yield
    torch.backends.cudnn.conv.fp32_precision = before


@pytest.fixture(params=[True, False], ids=["on the CPU", "on a device"])
def known_at_once(request, monkeypatch):
    """Whether a loss is finite: the CPU reads its own memory, but does not wait for a device."""
    if not request.param:
        monkeypatch.setattr("vmsp_brain.method.rows.known_at_once", lambda number: False)
