"""Batches for the multilevel step: two independent draws of every language and of the SSL audio.

A batch of training is ``draws x sources``: for each of two draws, and for each source (a language,
or ``ssl``), a SpeechBrain ``PaddedBatch``. It travels through the ordinary DataLoader: the sampler
yields keys (draw, source, index), the dataset looks each key up, the collate function sorts the
items back into draws and sources.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.data_utils import batch_pad_right
from torch import Tensor
from torch.utils.data import Dataset

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
        self, sources: Mapping[str, DynamicItemDataset], serves: Mapping[str, str] | None = None
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
    twice : list of str
        Sources whose utterances a batch holds twice, one copy after the other: the encoder augments
        each copy by itself.

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

    def __init__(self, items: Sequence[tuple[int, str, dict]], twice: Collection[str] = ()) -> None:
        grouped: list[dict[str, list[dict]]] = [{} for _ in range(1 + max(i[0] for i in items))]
        for draw, source, item in items:
            grouped[draw].setdefault(source, []).append(item)
        self.draws = [
            {
                source: PaddedBatch(examples * (1 + (source in twice)), padding_func=_pad)
                for source, examples in draw.items()
            }
            for draw in grouped
        ]

    def to(self, *args: Any, **kwargs: Any) -> "MultilingualBatch":
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


def _pad(tensors: list[Tensor], **options: Any) -> tuple[Tensor, Tensor]:
    """SpeechBrain's padding, which divides by the longest length: all may be empty here."""
    if all(len(tensor) == 0 for tensor in tensors):
        return torch.stack(tensors), torch.zeros(len(tensors))
    return batch_pad_right(tensors, **options)
