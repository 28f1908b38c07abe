"""Optimizers for encoders that are pretrained."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.nn import Parameter

from vmsp_brain.encoders import Encoder


class LayerwiseAdamW(torch.optim.AdamW):
    """AdamW whose learning rate is smaller the further a layer is from the encoder's output.

    The last layer has the whole rate, each one below ``layer_decay`` times that of the one above
    (as in ULMFiT, Howard and Ruder, 2018). Outside of a step there is a single parameter group, so
    that schedulers and SpeechBrain's gradient clipping see one rate and all parameters.

    Arguments
    ---------
    params : list of Parameter
        Trainable parameters of the encoder.
    encoder : Encoder
        Whose layers they are in.
    layer_decay : float
        Above 0, at most 1.
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
    >>> LayerwiseAdamW(encoder.parameters(), encoder, layer_decay=0.5, lr=0.1).rates()
    {'below': 0.05, 'above': 0.1}
    """

    def __init__(
        self, params: Iterable[Parameter], encoder: Encoder, layer_decay: float, **options: Any
    ) -> None:
        super().__init__(params, **options)
        if not 0 < layer_decay <= 1:
            raise ValueError(
                f"layer_decay: found {layer_decay!r}, expected more than 0 and at most 1."
            )
        [group] = self.param_groups
        in_group = {id(parameter) for parameter in group["params"]}
        layers = encoder.layers()
        self._layers: dict[str, tuple[float, list[Parameter]]] = {}
        for depth, (name, layer) in enumerate(reversed(layers.items())):
            trained = [parameter for parameter in layer.parameters() if id(parameter) in in_group]
            if trained:
                self._layers = {name: (layer_decay**depth, trained), **self._layers}

    def rates(self) -> dict[str, float]:
        """The learning rate of each layer now."""
        rate = self.param_groups[0]["lr"]
        return {name: factor * rate for name, (factor, _) in self._layers.items()}

    def step(self, closure: Any = None) -> Any:
        """One step, each layer at its own rate."""
        whole = self.param_groups
        rates = self.rates()
        self.param_groups = [
            {**whole[0], "params": parameters, "lr": rates[name]}
            for name, (_, parameters) in self._layers.items()
        ]
        try:
            return super().step(closure)
        finally:
            self.param_groups = whole
