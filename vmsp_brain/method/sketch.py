"""A sketch of gradient rows: few numbers from which the Gramian is estimated without bias."""

from collections.abc import Sequence
from zlib import crc32

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

    Signs are a function of (seed, layer), from generators of their own: so every process has the
    same S, whose rows can then be averaged, and a step's dropout and masks are the same with a
    sketch and without. They take a byte for each of the P parameters until they are forgotten.

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
        self.seed = 0
        self._signs: dict[str, Tensor] = {}

    def __call__(self, layer: str, gradients: Sequence[Tensor]) -> Tensor:
        """A layer's gradients through S, (k,), or (P,) if that is not more."""
        row = torch.cat([gradient.flatten() for gradient in gradients]).float()
        if len(row) <= self.size:
            return row
        signed = F.pad(row * self._sign(layer, row), (0, -len(row) % self.size))
        return signed.view(-1, self.size).sum(0)

    def redraw(self, seed: int) -> None:
        """Go over to the signs of a seed; while it stays the same, so do they."""
        if seed != self.seed:
            self.clear()
        self.seed = seed

    def clear(self) -> None:
        """Free the memory of the signs."""
        self._signs.clear()

    def _sign(self, layer: str, row: Tensor) -> Tensor:
        if layer not in self._signs:
            seed = crc32(f"{self.seed} {layer}".encode())
            generator = torch.Generator(row.device).manual_seed(seed)
            bits = torch.empty(row.shape, dtype=torch.int8, device=row.device)
            self._signs[layer] = bits.random_(0, 2, generator=generator).mul_(2).sub_(1)
        return self._signs[layer]
