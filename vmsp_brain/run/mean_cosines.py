"""Similarities of gradients, as means over the measuring steps of an epoch."""

import torch
from speechbrain.utils.checkpoints import register_checkpoint_hooks

from vmsp_brain import processes
from vmsp_brain.method.conflict import Cosines
from vmsp_brain.run.running_means import RunningMeans


@register_checkpoint_hooks
class MeanCosines(RunningMeans):
    """Running means of `Cosines`, kept in checkpoints."""

    def add_cosines(self, cosines: Cosines) -> None:
        """Count one more measurement."""
        for layer, pairs in cosines.items():
            self.add({f"{layer} {pair}": value for pair, value in pairs.items()})

    def over_processes(self, device: torch.device) -> Cosines:
        """The means so far, averaged over the processes: all of them select the same layers."""
        flat = self.summary()
        values = torch.tensor(list(flat.values()), dtype=torch.float64)
        [values] = processes.mean([values], device)
        cosines: Cosines = {}
        for key, value in zip(flat, values.tolist(), strict=True):
            layer, _, pair = key.partition(" ")
            cosines.setdefault(layer, {})[pair] = value
        return cosines
