"""A sketch of gradient rows: few numbers from which the Gramian is estimated without bias."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class Sketch:
    """A sparse random projection S of a layer's P parameters to k columns, redrawn every step.

    Every parameter is added to one column under a random sign (a count sketch whose columns are
    dealt out in turn; the signs alone are random), so that E[S S^T] = I and for independent draws
    E[(J1 S)(J2 S)^T] = J1 J2^T: the cross-Gramian that MoDo asks for, without bias. An entry's
    standard deviation is at most sqrt(2 / k) times the product of the two rows' norms. A layer of
    no more than k parameters is kept as it is.

    Signs come from a generator of their own, seeded by torch's current seed, so that a step's
    dropout and masks are the same with a sketch and without.

    Arguments
    ---------
    size : int
        Columns k for each layer.

    Raises
    ------
    ValueError
        If there would be no column.

    Example
    -------
    >>> sketch = Sketch(size=4)
    >>> sketch("layer", [torch.ones(3, 5), torch.ones(5)]).shape
    torch.Size([4])
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"sketch_size: found {size!r}, expected 1 column or more.")
        self.size = size
        self.redraw()

    def __call__(self, layer: str, gradients: Sequence[Tensor]) -> Tensor:
        """A layer's gradients through S, (k,), or (P,) if that is not more."""
        row = torch.cat([gradient.flatten() for gradient in gradients]).float()
        if len(row) <= self.size:
            return row
        signed = F.pad(row * self._sign(layer, row), (0, -len(row) % self.size))
        return signed.view(-1, self.size).sum(0)

    def redraw(self) -> None:
        """Forget the signs: the next step's are new."""
        self._signs: dict[str, Tensor] = {}
        self._generator: torch.Generator | None = None

    def _sign(self, layer: str, row: Tensor) -> Tensor:
        if layer not in self._signs:
            if self._generator is None:
                seed = (torch.initial_seed() + 1) % 2**63  # not the stream of dropout and masks
                self._generator = torch.Generator(row.device).manual_seed(seed)
            bits = torch.empty(row.shape, dtype=torch.int8, device=row.device)
            self._signs[layer] = bits.random_(0, 2, generator=self._generator).mul_(2).sub_(1)
        return self._signs[layer]
