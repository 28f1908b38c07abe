"""What the Brain needs of an objective, whichever it is."""

from collections.abc import Iterable, Sequence
from typing import Any

from speechbrain.dataio.batch import PaddedBatch
from torch import Tensor, nn

from vmsp_brain.encoders import Encoder, Frames


class Objective(nn.Module):
    """A head on the shared encoder, with its loss.

    Attributes
    ----------
    name : str
        ``asr/<language>``, ``st/<source>-<target>``, ``lid`` or ``ssl``.
    source : str
        Which part of a batch it reads: a language, or ``ssl``; unless `sources` says more.
    inner_layers : list of str
        The encoder's layers whose outputs its loss reads beside the encoder's.
    """

    name: str
    source: str
    inner_layers: Sequence[str] = ()

    @property
    def sources(self) -> list[str]:
        """All parts of a batch that it reads; of several, its loss is the mean of theirs."""
        return [self.source]

    def begin_step(self, step: int) -> None:
        """Called before every training step, with the number of optimizer steps taken so far."""

    def encode(self, encoder: Encoder, batch: PaddedBatch) -> Any:
        """What the loss is computed from, the same for all objectives of a source.

        Unless said otherwise, the shared encoder's hidden states of the batch's waveforms.
        """
        return encoder(*batch.sig)

    def loss(self, frames: Any, batch: PaddedBatch) -> Tensor:
        """The loss, a scalar, from what `encode` gave."""
        raise NotImplementedError

    def search(self, frames: Frames, *arguments: Any, **options: Any) -> list[list[int]]:
        """The tokens of every utterance; asked only of objectives that have a tokenizer."""
        raise NotImplementedError


def by_source(objectives: Iterable[Objective]) -> dict[str, list[Objective]]:
    """The objectives that read each part of a batch."""
    found: dict[str, list[Objective]] = {}
    for objective in objectives:
        for source in objective.sources:
            found.setdefault(source, []).append(objective)
    return found
