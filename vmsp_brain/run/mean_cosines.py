"""Similarities of gradients, as means over the measuring steps of an epoch."""

from vmsp_brain.method.conflict import Cosines
from vmsp_brain.run.running_means import RunningMeans


class MeanCosines(RunningMeans):
    """Running means of `Cosines`, kept in checkpoints."""

    def add_cosines(self, cosines: Cosines) -> None:
        """Count one more measurement."""
        for layer, pairs in cosines.items():
            self.add({f"{layer} {pair}": value for pair, value in pairs.items()})

    def over_processes(self) -> Cosines:
        """The means so far of all processes' measurements: all of them select the same layers."""
        cosines: Cosines = {}
        for key, value in self.joined().summary().items():
            layer, _, pair = key.partition(" ")
            cosines.setdefault(layer, {})[pair] = value
        return cosines
