"""One source's utterances cut into batches: of a fixed number, or of a fixed duration.

A source is read in passes, each a new random order of its utterances. A pass comes in steps, and a
step in as many batches as it has parts (the draws of all processes). No utterance is in two batches
of a pass; those that are too few at its end to give every part one wait for the next pass.

An ascending pass comes in the order of durations, shortest first (SortaGrad: Amodei et al., Deep
Speech 2, 2016). Random in it are the order of equal durations, and which part of a step has which
batch, so that its draws are as alike as those of another pass.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

import numpy as np
from speechbrain.dataio.sampler import DynamicBatchSampler


class Batching(Protocol):
    """How a source is cut."""

    def __len__(self) -> int:
        """Utterances."""

    def steps(self, parts: int) -> int:
        """Steps in which all utterances are read once."""

    def one_pass(
        self, rng: np.random.Generator, parts: int, ascending: bool = False
    ) -> Iterator[list[Sequence[int]]]:
        """The steps of a pass, each a batch of indices for every part."""


class FixedBatches:
    """Batches of a number of utterances.

    Arguments
    ---------
    size : int
        Utterances of the source.
    batch_size : int
        Utterances in a batch.
    durations : list of float, optional
        Of the utterances, in seconds, for ascending passes; if not given, all are alike.

    Raises
    ------
    ValueError
        If the batch size is not positive.

    Example
    -------
    >>> passes = FixedBatches(5, batch_size=2).one_pass(np.random.default_rng(0), parts=2)
    >>> [[len(batch) for batch in step] for step in passes]
    [[2, 2]]
    """

    def __init__(
        self, size: int, batch_size: int, durations: Sequence[float] | None = None
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size: found {batch_size}, expected 1 or more.")
        self.size = size
        self.batch_size = batch_size
        self.durations = np.zeros(size) if durations is None else np.asarray(durations)

    def __len__(self) -> int:
        return self.size

    def steps(self, parts: int) -> int:
        """Steps in which all utterances are read once."""
        return math.ceil(self.size / (parts * self.batch_size))

    def one_pass(
        self, rng: np.random.Generator, parts: int, ascending: bool = False
    ) -> Iterator[list[Sequence[int]]]:
        """The steps of a pass; what the last one has is dealt evenly."""
        order = rng.permutation(self.size)
        if ascending:
            order = order[np.argsort(self.durations[order], kind="stable")]
        step_size = parts * self.batch_size
        for start in range(0, self.size, step_size):
            chosen = order[start : start + step_size]
            if len(chosen) >= parts:
                chosen = rng.permutation(chosen) if ascending else chosen
                yield [part.tolist() for part in np.array_split(chosen, parts)]


class DynamicBatches:
    """Batches of a duration, of utterances of similar durations, by SpeechBrain's
    ``DynamicBatchSampler``.

    Its batches come in random order, so those of a step's parts are exchangeable: two independent
    draws. At the end of a pass the largest batches are halved until every part has one.

    Arguments
    ---------
    durations : list of float
        Of the source's utterances, in seconds.
    max_batch_length : float
        Seconds in a batch, padding included. A longer utterance is a batch of its own.
    num_buckets : int
        Utterances of the same bucket of durations are batched together: many buckets for little
        padding, few for more randomness.
    max_batch_ex : int
        Utterances in a batch at most.

    Raises
    ------
    ValueError
        If an argument is not positive.

    Example
    -------
    >>> batching = DynamicBatches([1.0, 9.0, 1.1, 9.2], 10.0, num_buckets=5, max_batch_ex=8)
    >>> sorted(sorted(step[0]) for step in batching.one_pass(np.random.default_rng(0), parts=1))
    [[0, 2], [1], [3]]
    """

    def __init__(
        self,
        durations: Sequence[float],
        max_batch_length: float,
        num_buckets: int,
        max_batch_ex: int,
    ) -> None:
        if not (max_batch_length > 0 and num_buckets >= 1 and max_batch_ex >= 1):
            raise ValueError(
                f"max_batch_length, num_buckets, max_batch_ex: found {max_batch_length}, "
                f"{num_buckets}, {max_batch_ex}; expected seconds above 0, then 1 or more."
            )
        self.size = len(durations)
        self.durations = durations
        self.sampler = DynamicBatchSampler(
            range(self.size),
            max_batch_length,
            num_buckets=num_buckets,
            max_batch_ex=max_batch_ex,
            lengths_list=list(durations),
            seed=0,  # the rest of the seed is in set_epoch's argument
        )

    def __len__(self) -> int:
        return self.size

    def steps(self, parts: int) -> int:
        """Steps in which all utterances are read once; the same for every pass."""
        return math.ceil(len(self.sampler) / parts)

    def one_pass(
        self, rng: np.random.Generator, parts: int, ascending: bool = False
    ) -> Iterator[list[Sequence[int]]]:
        """The steps of a pass."""
        self.sampler.set_epoch(int(rng.integers(2**62)))
        # Without islice it would shuffle once more at its end, for nothing.
        batches = list(islice(self.sampler, len(self.sampler)))
        if ascending:
            batches.sort(key=lambda batch: max(self.durations[index] for index in batch))
        whole = len(batches) // parts * parts
        for start in range(0, whole, parts):
            step = batches[start : start + parts]
            yield [step[number] for number in rng.permutation(parts)] if ascending else step
        rest = _halved(batches[whole:], parts)
        if rest:
            yield [rest[number] for number in rng.permutation(parts)]


def _halved(batches: list[list[int]], parts: int) -> list[list[int]]:
    """Halve the largest batch until there is one for every part; nothing if that cannot be."""
    while batches and len(batches) < parts:
        largest = max(batches, key=len)
        if len(largest) == 1:
            return []
        middle = len(largest) // 2
        batches.remove(largest)
        batches += [largest[:middle], largest[middle:]]
    return batches


def tempered(amounts: Mapping[str, float], largest: float, temperature: float) -> dict[str, float]:
    """Batch sizes by language, the largest for the language with most data.

    Every step needs every language, so how often a language is read again follows from the size of
    its batches: they are in proportion to (amount of data) ** (1 / temperature).

    Arguments
    ---------
    amounts : dict
        Data of each language, such as its hours.
    largest : float
        Batch size of the language with most data, in utterances or seconds.
    temperature : float
        1: in an epoch every language is read once. Infinity: all batches are equal, so a language
        with a tenth of the data is read ten times.

    Raises
    ------
    ValueError
        If the batch size or the temperature is not positive.

    Example
    -------
    >>> tempered({"en": 400.0, "es": 100.0}, largest=32, temperature=1)
    {'en': 32.0, 'es': 8.0}
    >>> tempered({"en": 400.0, "es": 100.0}, largest=32, temperature=2)
    {'en': 32.0, 'es': 16.0}
    """
    if not largest > 0:
        raise ValueError(f"batch_size or max_batch_length: found {largest}, expected more than 0.")
    if not temperature > 0:
        raise ValueError(
            f"sampling_temperature: found {temperature}, expected a number above 0, such as 1, 5 "
            "or .inf."
        )
    most = max(amounts.values())
    return {
        language: largest * (amount / most) ** (1 / temperature)
        for language, amount in amounts.items()
    }
