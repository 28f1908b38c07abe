"""Compiling a shared encoder layer by layer (``torch.compile``)."""

from collections.abc import Mapping
from typing import Any

import torch
import torch._functorch.config  # not there until somebody imports it
from torch import nn


def compile_layers(layers: Mapping[str, nn.Module], **options: Any) -> None:
    """Compile every layer but the first, each by itself, in place.

    Backward passes are cut between layers by hooks, which stay outside of what is compiled. Layers
    that are alike share their code, so this is also quick to compile. Parameters keep their names.

    Arguments
    ---------
    layers : dict
        The encoder's layers by name, in order. The first is not called as a module: its parts run
        as they are.
    **options
        Of ``torch.compile``.

    Example
    -------
    >>> layers = {"front_end": nn.Linear(4, 4), "block_01": nn.Linear(4, 4)}
    >>> compile_layers(layers, backend="aot_eager")
    >>> layers["block_01"](torch.ones(2, 4)).shape
    torch.Size([2, 4])
    """
    # Several losses go back through a layer, so its backward must leave what forward saved.
    torch._functorch.config.donated_buffer = False
    for layer in list(layers.values())[1:]:
        layer.forward = torch.compile(layer.forward, **options)
