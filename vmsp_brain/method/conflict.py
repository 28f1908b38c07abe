"""Where objectives conflict: similarities of their *expected* gradients, layer by layer.

Two objectives conflict on a layer when the cosine of their gradients with respect to that layer is
negative (Objective Soups, §2). The gradients of one step are mostly noise: cosines of them shrink
towards zero, by the share of a squared norm that is signal. But the two draws of a step are
independent, so C = J(ξ1) J(ξ2)^T, averaged over steps and made symmetric, estimates the inner
products and, on its diagonal, the squared norms of the expected gradients without bias, whatever
the noise:

    similarity_ij = mean C_ij / sqrt(mean C_ii · mean C_jj)

Sketched rows serve as well: E[(J1 S)(J2 S)^T] = J1 J2^T. It is assumed that the expectation changes
little within the window of steps, an epoch; where it does change, what is estimated are the means
of inner products and squared norms over the window.
"""

import itertools
import math
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import stdtr, stdtrit
from scipy.stats import false_discovery_control
from torch import Tensor

from vmsp_brain.method.jackknife import GroupedSums

BETWEEN = " ~ "
ALL_LAYERS = "all layers"
"""In place of a layer's name: the gradients of the whole encoder."""

AGREE, CONFLICT, UNDECIDED = "agree", "conflict", "undecided"
VERDICTS = (AGREE, UNDECIDED, CONFLICT)

LEVEL = 0.05
"""Intervals cover with 1 - LEVEL. In expectation, at most LEVEL / 2 of the conflicts found are
false, and of the agreements as well."""

CLEAR = 3.0
"""Standard errors by which a squared norm is above zero, or nothing is said of its direction."""


class Similarity(NamedTuple):
    """Of two objectives' expected gradients; not a number where one of them is lost in noise."""

    value: float
    standard_error: float
    verdict: str


class Strength(NamedTuple):
    """Of an objective's expected gradient: its norm, and the share of a row that is signal.

    The signal share is E<g(ξ1), g(ξ2)> / E|g|², of the squared norm of a row of one draw. A norm
    that is lost in noise is not a number.
    """

    norm: float
    norm_error: float
    signal_share: float
    signal_share_error: float


class Estimate(NamedTuple):
    """A value, its standard error, and the upper end of its interval of confidence."""

    value: float
    standard_error: float
    upper: float


Similarities = Mapping[str, Mapping[str, Similarity]]
"""By layer, then by pair of objectives such as ``asr/fr ~ st/fr-en``."""

Strengths = Mapping[str, Mapping[str, Strength]]
"""By layer, then by objective."""


class Conflicts:
    """What the products of many steps' gradients tell of the expected gradients.

    Arguments
    ---------
    sample : GroupedSums
        Of the products of a step, (layers, M, M + 1), see `GradientStep.products`.
    layers : list of str
        The layers in their order.
    names : list of str
        The objectives in the order of the rows.
    chosen : container of str
        Those to compare.

    Example
    -------
    Two objectives, one layer; a product of -1 in every step, beside squared norms of 1 and 4.

    >>> sample = GroupedSums()
    >>> for _ in range(2):
    ...     sample.add(torch.tensor([[[1.0, -1.0, 5.0], [-1.0, 4.0, 8.0]]]))
    >>> conflicts = Conflicts(sample, ["block"], ["a", "b"], ["a", "b"])
    >>> conflicts.similarities()["block"]
    {'a ~ b': Similarity(value=-0.5, standard_error=0.0, verdict='conflict')}
    >>> conflicts.strengths()["block"]["b"]
    Strength(norm=2.0, norm_error=0.0, signal_share=0.5, signal_share_error=0.0)
    """

    def __init__(
        self,
        sample: GroupedSums,
        layers: Iterable[str],
        names: Sequence[str],
        chosen: Container[str],
    ) -> None:
        rows = [row for row, name in enumerate(names) if name in chosen]
        self.names = [names[row] for row in rows]
        self.layers = list(layers)
        self.pairs = list(itertools.combinations(range(len(rows)), 2))
        first, second = zip(*self.pairs, strict=True) if self.pairs else ((), ())
        self._first, self._second = list(first), list(second)
        self._sample = sample.map(lambda sums: sums[..., rows, :][..., [*rows, -1]])

    def similarities(self) -> Similarities:
        """Of each pair on each layer, and on all layers together, with a verdict.

        A verdict tells the sign of the inner product, by a t-test. The tests are corrected for
        their number by Benjamini and Hochberg's method (JRSS B 1995), which bounds the expected
        share of false ones among the verdicts. It is applied to conflicts and to agreements by
        themselves, two families of one-sided tests: in one family, many true agreements would let a
        few false conflicts pass. Where there is neither, no verdict is the rule (1 - `LEVEL`).
        """
        sample = self._with_all_layers()
        similarity, error = self._similarity(sample)
        products, product_error = sample.estimate(self._of_pairs)
        t = (products / product_error).where(~similarity.isnan(), torch.nan).numpy()
        agree, conflict = (_established(stdtr(sample.degrees, side)) for side in (-t, t))
        verdicts = np.where(agree, AGREE, np.where(conflict, CONFLICT, UNDECIDED)).tolist()
        names = [f"{self.names[i]}{BETWEEN}{self.names[j]}" for i, j in self.pairs]
        return {
            layer: dict(zip(names, map(Similarity, *columns), strict=True))
            for layer, *columns in zip(
                [*self.layers, ALL_LAYERS],
                similarity.tolist(),
                error.tolist(),
                verdicts,
                strict=True,
            )
        }

    def strengths(self) -> Strengths:
        """Of each objective on each layer, and on all layers together."""
        sample = self._with_all_layers()
        norm, norm_error = sample.estimate(lambda mean: _squares(mean).sqrt())
        clear = self._clear(sample)
        share = sample.estimate(lambda mean: _squares(mean) / mean[..., -1])
        columns = norm.where(clear, torch.nan), norm_error.where(clear, torch.nan), *share
        values = torch.stack(columns, -1).tolist()
        return {
            layer: {name: Strength(*found) for name, found in zip(self.names, rows, strict=True)}
            for layer, rows in zip([*self.layers, ALL_LAYERS], values, strict=True)
        }

    def means(self) -> dict[str, Estimate]:
        """Each layer's mean similarity over the pairs of which something can be said."""
        known = ~self._similarity(self._sample)[0].isnan()
        value, error = self._sample.estimate(
            lambda mean: self._cosines(mean).where(known, 0.0).sum(-1) / known.sum(-1)
        )
        upper = value + error * float(stdtrit(self._sample.degrees, 1 - LEVEL / 2))
        columns = zip(value.tolist(), error.tolist(), upper.tolist(), strict=True)
        return dict(zip(self.layers, itertools.starmap(Estimate, columns), strict=True))

    def _with_all_layers(self) -> GroupedSums:
        """The products, (layers + 1, M, M + 1): those of all layers are sums over layers."""
        return self._sample.map(lambda sums: torch.cat([sums, sums.sum(1, keepdim=True)], dim=1))

    def _of_pairs(self, products: Tensor) -> Tensor:
        """The inner products, (..., pairs), of (..., M, M + 1)."""
        return products[..., self._first, self._second]

    def _cosines(self, products: Tensor) -> Tensor:
        squares = _squares(products)
        return (
            self._of_pairs(products)
            / (squares[..., self._first] * squares[..., self._second]).sqrt()
        )

    def _clear(self, sample: GroupedSums) -> Tensor:
        """Which objectives' squared norms are clearly above zero, (..., M)."""
        squares, error = sample.estimate(_squares)
        return squares > CLEAR * error

    def _similarity(self, sample: GroupedSums) -> tuple[Tensor, Tensor]:
        clear = self._clear(sample)
        both = clear[..., self._first] & clear[..., self._second]
        value, error = sample.estimate(self._cosines)
        return value.where(both, torch.nan), error.where(both, torch.nan)


def _squares(products: Tensor) -> Tensor:
    """The squared norms, (..., M), of (..., M, M + 1)."""
    return products[..., :-1].diagonal(dim1=-2, dim2=-1)


def _established(probabilities: np.ndarray) -> np.ndarray:
    """Which of a family of tests are significant; what is not a number is not."""
    known = np.nan_to_num(probabilities, nan=1.0)
    return false_discovery_control(known.ravel()).reshape(known.shape) <= LEVEL / 2


def of_single_layers(similarities: Similarities) -> Similarities:
    """Without those on all layers together."""
    return {layer: pairs for layer, pairs in similarities.items() if layer != ALL_LAYERS}


def by_tasks(similarities: Similarities) -> dict[str, list[Similarity]]:
    """Those of all layers and languages for each pair of tasks such as ``asr-st``."""
    found: dict[str, list[Similarity]] = {}
    for pairs in of_single_layers(similarities).values():
        for pair, similarity in pairs.items():
            tasks = sorted(name.partition("/")[0] for name in pair.split(BETWEEN))
            found.setdefault("-".join(tasks), []).append(similarity)
    return found


def mean_per_tasks(similarities: Similarities) -> dict[str, float]:
    """Mean similarity for each pair of tasks such as ``asr-st``, over layers and languages."""
    return {tasks: mean_of(found) for tasks, found in by_tasks(similarities).items()}


def mean_per_layer(similarities: Similarities) -> dict[str, float]:
    """Mean similarity on each layer, over all pairs of objectives."""
    layers = of_single_layers(similarities)
    return {layer: mean_of(pairs.values()) for layer, pairs in layers.items()}


def mean_of(similarities: Iterable[Similarity]) -> float:
    """The mean of those that are numbers; not a number if there are none."""
    known = [found.value for found in similarities if not math.isnan(found.value)]
    return sum(known) / len(known) if known else math.nan


def shares(similarities: Similarities) -> dict[str, float]:
    """Which share of (layer, pair) has which verdict, 0 to 1."""
    layers = of_single_layers(similarities)
    counts = Counter(found.verdict for pairs in layers.values() for found in pairs.values())
    return {verdict: counts[verdict] / counts.total() for verdict in VERDICTS}
