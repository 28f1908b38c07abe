"""What an encoder's inner layers give, for losses that read them beside its output."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from vmsp_brain.encoders.interface import Encoder


@contextmanager
def inner_outputs(encoder: Encoder, names: Collection[str]) -> Iterator[dict[str, Tensor]]:
    """Run an encoder in here; gives the outputs (B, T, D) of the layers of these names.

    They are read where they enter the layer above: so, where the graph is cut between the two (see
    `vmsp_brain.method.cuts`), a loss reaches the layer by the way that all others take.

    Raises
    ------
    ValueError
        If there is no such layer, or it is the last one or the front-end.

    Example
    -------
    >>> import torch
    >>> from vmsp_brain.encoders import conformer_encoder
    >>> encoder = conformer_encoder(d_model=32, nhead=4, num_layers=2, d_ffn=64)
    >>> with inner_outputs(encoder, ["block_01"]) as found:
    ...     _ = encoder(torch.rand(2, 16000), torch.tensor([1.0, 0.5]))
    >>> found["block_01"].shape
    torch.Size([2, 26, 32])
    """
    layers = encoder.layers()
    above = {name: layers[following] for name, following in pairwise(layers)}
    known = [name for name in above if name.startswith("block_")]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"inner_ctc_layers: found {', '.join(unknown)}, expected some of the encoder's inner "
            f"layers {', '.join(known)}."
        )
    found: dict[str, Tensor] = {}

    def reading(name: str) -> Any:
        def read(module: nn.Module, arguments: tuple) -> None:
            found[name] = arguments[0]

        return read

    with ExitStack() as stack:
        for name in names:
            stack.callback(above[name].register_forward_pre_hook(reading(name)).remove)
        yield found
