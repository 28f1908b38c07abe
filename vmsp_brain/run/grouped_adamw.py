"""AdamW whose rates depend on the layer, and whose decay on the kind of parameter."""

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import nn
from torch.nn import Parameter
from torch.nn.modules.batchnorm import _NormBase

from vmsp_brain.encoders import Encoder

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


class GroupedAdamW(torch.optim.AdamW):
    """AdamW with a learning rate for each layer, and a choice of what decays.

    The encoder's last layer has the whole rate, each one below ``layer_decay`` times that of the
    one above (as in ULMFiT, Howard and Ruder, 2018). Outside of a step there is a single parameter
    group, so that schedulers and SpeechBrain's gradient clipping see one rate and all parameters.

    Arguments
    ---------
    params : list of Parameter
        Trainable parameters, of an encoder or of heads.
    module : Module
        Whose parameters they are: an encoder, or the objectives. A ``layer_decay`` below 1 asks for
        its ``layers()``.
    layer_decay : float
        Above 0, at most 1, which is one rate for all.
    decay_norms_and_biases : bool
        Whether weight decay is for all parameters, or for none of norms and no bias.
    **options
        AdamW's.

    Raises
    ------
    ValueError
        If the decay is out of its range.

    Example
    -------
    >>> encoder = torch.nn.Module()
    >>> encoder.below, encoder.above = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    >>> encoder.layers = lambda: {"below": encoder.below, "above": encoder.above}
    >>> GroupedAdamW(encoder.parameters(), encoder, layer_decay=0.5, lr=0.1).rates()
    {'below': 0.05, 'above': 0.1}
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        module: nn.Module,
        layer_decay: float = 1.0,
        decay_norms_and_biases: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(params, **options)
        if not 0 < layer_decay <= 1:
            raise ValueError(
                f"layer_decay: found {layer_decay!r}, expected more than 0 and at most 1."
            )
        [group] = self.param_groups
        kept = set() if decay_norms_and_biases else norms_and_biases(module)
        factors = dict.fromkeys(group["params"], 1.0)
        self._factors: dict[str, float] = {}
        layers = cast(Encoder, module).layers() if layer_decay < 1 else {}
        for depth, (name, layer) in enumerate(reversed(layers.items())):
            own = factors.keys() & set(layer.parameters())
            factors |= dict.fromkeys(own, layer_decay**depth)
            if own:
                self._factors = {name: layer_decay**depth, **self._factors}
        self._parts: dict[tuple[float, bool], list[Parameter]] = {}
        for parameter, factor in factors.items():
            self._parts.setdefault((factor, parameter not in kept), []).append(parameter)

    def rates(self) -> dict[str, float]:
        """The learning rate of each layer now, with a ``layer_decay`` below 1."""
        rate = self.param_groups[0]["lr"]
        return {name: factor * rate for name, factor in self._factors.items()}

    def step(self, closure: Any = None) -> Any:
        """One step, each part at its own rate and decay."""
        [group] = whole = self.param_groups
        self.param_groups = [
            {
                **group,
                "params": parameters,
                "lr": factor * group["lr"],
                "weight_decay": group["weight_decay"] if decays else 0.0,
            }
            for (factor, decays), parameters in self._parts.items()
        ]
        try:
            return super().step(closure)
        finally:
            self.param_groups = whole


def norms_and_biases(module: nn.Module) -> set[Parameter]:
    """The parameters of a module's norms, and its biases."""
    return {
        parameter
        for part in module.modules()
        for name, parameter in part.named_parameters(recurse=False)
        if isinstance(part, NORMS) or name.endswith("bias")
    }
