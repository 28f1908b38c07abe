"""Which utterances every batch holds: in training two independent draws of every source, in an
evaluation every utterance once.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from torch.utils.data import Sampler

from vmsp_brain.data.batches import Key
from vmsp_brain.data.passes import Batching

DRAWS = 2
"""Independent draws in a step, as MoDo needs them."""


class MultilingualSampler(Sampler):
    """Keys of training batches: for every source, two disjoint random draws.

    A source is read in passes, each a new random order of its dataset, cut into steps (see
    `vmsp_brain.data.passes`); a step has a batch for each draw of each process. So the draws of a
    step never share an utterance, no utterance is seen twice in a pass, and a small source simply
    starts its passes more often. What is left at the end of a pass and is too little to give every
    draw of every process one utterance waits for the next pass.

    The order is a function of (seed, epoch, source) alone: resuming needs only the epoch and the
    number of batches already taken, and no audio is read to get there.

    Arguments
    ---------
    sources : dict
        How each source is cut into batches.
    steps : int
        Steps in an epoch, see `steps_of_one_pass`.
    seed : int
        Of the order.
    rank, world_size : int
        This process and their number; the processes' shares are disjoint.
    curriculum_epochs : int
        In so many epochs at the beginning, passes are ascending.

    Raises
    ------
    ValueError
        If a source is too small for two draws.

    Example
    -------
    >>> from vmsp_brain.data.passes import FixedBatches
    >>> sampler = MultilingualSampler({"fr": FixedBatches(5, batch_size=1)}, steps=2, seed=0)
    >>> [len(batch) for batch in sampler]
    [2, 2]
    """

    def __init__(
        self,
        sources: Mapping[str, Batching],
        steps: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        curriculum_epochs: int = 0,
    ) -> None:
        self.sources = dict(sources)
        self.steps = steps
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.curriculum_epochs = curriculum_epochs
        self.epoch = 1
        for source, batching in self.sources.items():
            if len(batching) < DRAWS * world_size:
                raise ValueError(
                    f"{source}: {len(batching)} training utterances are too few; two independent "
                    f"draws on {world_size} process(es) need at least {DRAWS * world_size}."
                )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (1, 2, ...) whose batches come next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[Key]]:
        streams = [self._stream(number, source) for number, source in enumerate(self.sources)]
        for _ in range(self.steps):
            yield [key for stream in streams for key in next(stream)]

    def _stream(self, number: int, source: str) -> Iterator[list[Key]]:
        """This process's keys of one source, step after step, without end."""
        rng = np.random.default_rng([self.seed, self.epoch, number])
        share = slice(self.rank * DRAWS, (self.rank + 1) * DRAWS)
        parts, ascending = DRAWS * self.world_size, self.epoch <= self.curriculum_epochs
        while True:
            for step in self.sources[source].one_pass(rng, parts, ascending):
                yield [
                    (draw, source, int(index))
                    for draw, batch in enumerate(step[share])
                    for index in batch
                ]


class EvaluationSampler(Sampler):
    """Keys of evaluation batches: every utterance once, one source per batch, longest first.

    Arguments
    ---------
    durations : dict
        For each source, the duration of each of its utterances in seconds.
    batch_size : int
        Utterances in a batch.
    rank, world_size : int
        This process among those that share the batches: each batch is read by one of them.
    """

    def __init__(
        self,
        durations: Mapping[str, Sequence[float]],
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.batches: list[list[Key]] = []
        for source, seconds in durations.items():
            order = np.argsort([-duration for duration in seconds], kind="stable")
            for start in range(0, len(order), batch_size):
                indices = order[start : start + batch_size]
                self.batches.append([(0, source, int(index)) for index in indices])
        self.batches = self.batches[rank::world_size]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[Key]]:
        return iter(self.batches)


def steps_of_one_pass(sources: Iterable[Batching], world_size: int = 1) -> int:
    """Steps in which the source that needs most is read once."""
    return max(batching.steps(DRAWS * world_size) for batching in sources)
