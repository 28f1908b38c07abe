"""Efficient mode: the level's weighting on the layers where objectives conflict, and on no other.

After a warm-up, the layers whose mean pairwise cosine similarity between the objectives' expected
gradients is under a threshold are selected; every other layer gets the uniform combination of each
level (Objective Soups, efficient VM-MSP). So that noise selects no layer, the upper end of the
mean's confidence interval has to be under the threshold, unless the mean itself is to decide.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from vmsp_brain.method.conflict import Estimate

SELECT_BY = ("bound", "mean")


class LayerSelection:
    """Which layers get the level's weighting.

    Arguments
    ---------
    efficient : bool
        False: all layers, always.
    warm_up : int
        Epochs before the first selection; all layers until then.
    threshold : float
        A layer is selected if its mean pairwise cosine similarity is under it.
    select_by : str
        ``bound``: if that is established, the upper end of the mean's 95 % interval being under
        it. Where objectives do not conflict, noise then selects 2.5 % of the layers at most.
        ``mean``: by the mean itself.
    max_layers : int, optional
        Select at most so many, the most conflicting ones.
    refresh_every : int
        Epochs between two selections.

    Raises
    ------
    ValueError
        If a number of epochs or layers is not positive, or ``select_by`` is neither.

    Example
    -------
    >>> selection = LayerSelection(efficient=True, warm_up=1, max_layers=1)
    >>> selection.layers(["front_end", "block_01", "block_02"])
    ['front_end', 'block_01', 'block_02']
    >>> means = {"front_end": (0.2, 0.2), "block_01": (-0.1, 0.1), "block_02": (-0.3, 0.1)}
    >>> means = {layer: Estimate(mean, e, mean + 2 * e) for layer, (mean, e) in means.items()}
    >>> selection.update(1, means)
    ['block_02']
    >>> selection.layers(["front_end", "block_01", "block_02"])
    ['block_02']
    """

    def __init__(
        self,
        efficient: bool = False,
        warm_up: int = 20,
        threshold: float = 0.0,
        max_layers: int | None = None,
        refresh_every: int = 1,
        select_by: str = "bound",
    ) -> None:
        if select_by not in SELECT_BY:
            raise ValueError(f"select_by: found {select_by!r}, expected {' or '.join(SELECT_BY)}.")
        for key, value in (("warm_up", warm_up), ("refresh_every", refresh_every)):
            if value < 1:
                raise ValueError(f"{key}: found {value!r}, expected 1 epoch or more.")
        if max_layers is not None and max_layers < 1:
            raise ValueError(f"max_layers: found {max_layers!r}, expected 1 or more, or none.")
        self.efficient = efficient
        self.warm_up = warm_up
        self.threshold = threshold
        self.max_layers = max_layers
        self.refresh_every = refresh_every
        self.select_by = select_by
        self.selected: list[str] | None = None

    def layers(self, layers: Sequence[str]) -> list[str]:
        """The selected ones of an encoder's layers, in their order."""
        if self.selected is None:
            return list(layers)
        return [layer for layer in layers if layer in self.selected]

    def update(self, epoch: int, similarities: Mapping[str, Estimate]) -> list[str] | None:
        """Select anew, if it is time, by each layer's mean similarity in the epoch that ends.

        Arguments
        ---------
        epoch : int
            1, 2, ...
        similarities : dict
            Mean pairwise cosine similarity by layer, from `Conflicts.means`.

        Returns
        -------
        list of str
            The layers that were selected, the most conflicting first; None if it was not time.
        """
        since = epoch - self.warm_up
        if not self.efficient or since < 0 or since % self.refresh_every:
            return None
        values = {
            layer: found.upper if self.select_by == "bound" else found.value
            for layer, found in similarities.items()
        }
        conflicting = [layer for layer, value in values.items() if value < self.threshold]
        self.selected = sorted(conflicting, key=lambda layer: values[layer])[: self.max_layers]
        return self.selected

    def state_dict(self) -> dict[str, Any]:
        """The selection, for a checkpoint."""
        return {"selected": self.selected}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's selection."""
        self.selected = state["selected"]
