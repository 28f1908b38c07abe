"""Counts how often the CPU waits for a GPU, on a machine without one."""

from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

READS = {"_local_scalar_dense", "nonzero", "masked_select", "equal"}
"""Operations of ATen whose result, or its size, the CPU must read from the device."""

INDEXES = {"index", "index_put", "index_put_"}
"""Those that do so if an index is boolean."""

COPIES = {"tolist", "cpu", "numpy"}
"""Methods that copy to the CPU, which ATen does not see where the tensor is there already."""


class Synchronizations(TorchDispatchMode):
    """Counts the operations that make the CPU wait for a GPU; they can be told on a CPU too.

    Copies are counted of all tensors, also of those that are on the CPU anyway, and from one device
    to another if they wait. Those that an operation makes inside are not seen: PyTorch's CTC loss
    copies lengths.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self._copies = _Copies(self.counts)

    def uncounted(self, function: Callable) -> Callable:
        """The function, whose operations are not counted: λ's arithmetic is on the CPU."""

        def call(*given: Any, **options: Any) -> Any:
            before = self.counts.copy()
            try:
                return function(*given, **options)
            finally:
                self.counts.clear()
                self.counts.update(before)

        return call

    def __enter__(self) -> Self:
        self._copies.__enter__()
        return super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, where)
        self._copies.__exit__(kind, error, where)

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None) -> Any:
        name = operation.overloadpacket.__name__
        sizes_unknown = name == "repeat_interleave" and (kwargs or {}).get("output_size") is None
        if name in READS or sizes_unknown or (name in INDEXES and _is_boolean(args[1])):
            self.counts[name] += 1
        return operation(*args, **(kwargs or {}))


class _Copies(TorchFunctionMode):
    def __init__(self, counts: Counter[str]) -> None:
        super().__init__()
        self.counts = counts

    def __torch_function__(self, function, types, args=(), kwargs=None) -> Any:
        name = getattr(function, "__name__", "")
        # By a name: SpeechBrain's own ``x.to(y.device)`` are mostly of tensors that are there.
        waits = function is Tensor.to and any(isinstance(each, str) for each in args[1:])
        if name in COPIES or (waits and not (kwargs or {}).get("non_blocking")):
            self.counts[name] += 1
        return function(*args, **(kwargs or {}))


def _is_boolean(indices) -> bool:
    return any(index is not None and index.dtype == torch.bool for index in indices)
