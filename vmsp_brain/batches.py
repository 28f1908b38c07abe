"""Batches for the multilevel step: two independent draws of every language and of the SSL audio.

A batch of training is ``draws x sources``: for each of two draws, and for each source (a language,
or ``ssl``), a SpeechBrain ``PaddedBatch``. It travels through the ordinary DataLoader: the sampler
yields keys (draw, source, index), the dataset looks each key up, the collate function sorts the
items back into draws and sources.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.utils.data_utils import batch_pad_right
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from vmsp_brain.batching import Batching
from vmsp_brain.gradients import DRAWS

Key = tuple[int, str, int]
"""Draw, source, index in the source's dataset."""


class MultilingualDataset(Dataset):
    """Several sources' datasets as one, looked up by `Key`.

    Arguments
    ---------
    sources : dict
        A dataset per source (a language, or ``ssl``); items are dicts for ``PaddedBatch``.
    serves : dict, optional
        Sources whose items join another source's batch, such as ``{"unlabelled": "ssl"}``: each is
        drawn in passes and numbers of its own, so their share of the batch is fixed.
    """

    def __init__(
        self, sources: Mapping[str, Dataset], serves: Mapping[str, str] | None = None
    ) -> None:
        self.sources = dict(sources)
        self.serves = dict(serves or {})

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.sources.values())

    def __getitem__(self, key: Key) -> tuple[int, str, dict]:
        draw, source, index = key
        return draw, self.serves.get(source, source), self.sources[source][index]


class MultilingualBatch:
    """The batches of one step, by draw and source.

    Arguments
    ---------
    items : list of tuple
        (draw, source, item), as `MultilingualDataset` gives them; this class is the collate
        function of the DataLoader.

    Example
    -------
    >>> import torch
    >>> batch = MultilingualBatch(
    ...     [(0, "fr", {"x": torch.ones(3)}), (1, "fr", {"x": torch.ones(2)}),
    ...      (0, "fr", {"x": torch.ones(1)})]
    ... )
    >>> batch.draws[0]["fr"].x.data
    tensor([[1., 1., 1.],
            [1., 0., 0.]])
    """

    def __init__(self, items: Sequence[tuple[int, str, dict]]) -> None:
        grouped: list[dict[str, list[dict]]] = [{} for _ in range(1 + max(i[0] for i in items))]
        for draw, source, item in items:
            grouped[draw].setdefault(source, []).append(item)
        self.draws = [
            {source: PaddedBatch(examples, padding_func=_pad) for source, examples in draw.items()}
            for draw in grouped
        ]

    def to(self, *args, **kwargs) -> "MultilingualBatch":
        """Move all parts, in place; the arguments are those of ``torch.Tensor.to``."""
        for part in self._parts():
            part.to(*args, **kwargs)
        return self

    def pin_memory(self) -> "MultilingualBatch":
        """Pin all parts, in place."""
        for part in self._parts():
            part.pin_memory()
        return self

    def _parts(self) -> Iterator[PaddedBatch]:
        return (part for draw in self.draws for part in draw.values())


def _pad(tensors: list[Tensor], **options) -> tuple[Tensor, Tensor]:
    """SpeechBrain's padding, which divides by the longest length: all may be empty here."""
    if all(len(tensor) == 0 for tensor in tensors):
        return torch.stack(tensors), torch.zeros(len(tensors))
    return batch_pad_right(tensors, **options)


class MultilingualSampler(Sampler):
    """Keys of training batches: for every source, two disjoint random draws.

    A source is read in passes, each a new random order of its dataset, cut into steps (see
    `vmsp_brain.batching`); a step has a batch for each draw of each process. So the draws of a step
    never share an utterance, no utterance is seen twice in a pass, and a small source simply starts
    its passes more often. What is left at the end of a pass and is too little to give every draw of
    every process one utterance waits for the next pass.

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

    Raises
    ------
    ValueError
        If a source is too small for two draws.

    Example
    -------
    >>> from vmsp_brain.batching import FixedBatches
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
    ) -> None:
        self.sources = dict(sources)
        self.steps = steps
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
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
        own = slice(self.rank * DRAWS, (self.rank + 1) * DRAWS)
        while True:
            for step in self.sources[source].one_pass(rng, DRAWS * self.world_size):
                yield [
                    (draw, source, int(index))
                    for draw, batch in enumerate(step[own])
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
