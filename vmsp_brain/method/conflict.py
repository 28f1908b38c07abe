"""Where objectives conflict: cosine similarities of their gradients, layer by layer.

Two objectives conflict on a layer when the cosine of their gradients with respect to that layer is
negative (Objective Soups, §2). The gradients are the rows that a step has anyway, averaged over its
two draws.
"""

import itertools
from collections.abc import Container, Mapping, Sequence

from torch import Tensor

Cosines = dict[str, dict[str, float]]
"""By layer, then by pair of objectives such as ``asr/fr ~ st/fr-en``."""

BETWEEN = " ~ "
TINY = 1e-300
"""A product of norms that is taken for zero (float64)."""


def layer_cosines(
    gramians: Mapping[str, Tensor], names: Sequence[str], chosen: Container[str]
) -> Cosines:
    """Cosine similarities of each two objectives' gradients on each layer.

    A pair with a zero gradient (a layer that an objective does not reach) has similarity 0.

    Arguments
    ---------
    gramians : dict
        By layer, the Gramian of all objectives' gradients, (M, M).
    names : list of str
        The objectives in the order of the Gramians.
    chosen : container of str
        Those to compare.
    """
    indices = [row for row, name in enumerate(names) if name in chosen]
    pairs = list(itertools.combinations(indices, 2))
    cosines: Cosines = {}
    for layer, gramian in gramians.items():
        norms = gramian.diagonal().sqrt()
        similarity = gramian / (norms.outer(norms)).clamp(min=TINY)
        cosines[layer] = {
            f"{names[i]}{BETWEEN}{names[j]}": float(similarity[i, j]) for i, j in pairs
        }
    return cosines


def mean_per_layer(cosines: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Mean similarity on each layer, over all pairs of objectives."""
    return {layer: _mean(list(pairs.values())) for layer, pairs in cosines.items()}


def mean_per_tasks(cosines: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Mean similarity for each pair of tasks such as ``asr-st``, over layers and languages."""
    values: dict[str, list[float]] = {}
    for pairs in cosines.values():
        for pair, value in pairs.items():
            tasks = sorted(name.partition("/")[0] for name in pair.split(BETWEEN))
            values.setdefault("-".join(tasks), []).append(value)
    return {tasks: _mean(cosines_of_tasks) for tasks, cosines_of_tasks in values.items()}


def share_of_conflicts(cosines: Mapping[str, Mapping[str, float]]) -> float:
    """Share of (layer, pair) with a negative similarity, 0 to 1."""
    values = [value for pairs in cosines.values() for value in pairs.values()]
    return sum(value < 0 for value in values) / len(values)


def mean_over_layers(cosines: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Mean similarity of each pair of objectives over the layers."""
    pairs = next(iter(cosines.values()))
    return {pair: _mean([layer[pair] for layer in cosines.values()]) for pair in pairs}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
