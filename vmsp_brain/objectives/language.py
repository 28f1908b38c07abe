"""Language identification: which of the languages is spoken, from the mean hidden state."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.nnet.linear import Linear
from torch import Tensor

from vmsp_brain.encoders import Frames
from vmsp_brain.objectives.interface import Objective


class LanguageObjective(Objective):
    """A linear layer over the mean of an utterance's hidden states (``lid``).

    It hears every language's batch, from the forward that serves recognition and translation; its
    loss is the mean over the languages, so that each counts the same however many utterances of it
    are in a step.

    Arguments
    ---------
    languages : list of str
        Two or more; a batch's target is the number of its language in this list.
    d_model : int
        Width of the encoder.

    Raises
    ------
    ValueError
        If there are not two languages to tell apart.

    Example
    -------
    >>> objective = LanguageObjective(["en", "fr"], d_model=16)
    >>> frames = Frames(torch.rand(2, 30, 16), torch.tensor([30, 20]))
    >>> objective.loss(frames, PaddedBatch([{"lid": torch.tensor([1])}] * 2)).shape
    torch.Size([])
    >>> [len(found) for found in objective.search(frames)]
    [1, 1]
    """

    name = "lid"

    def __init__(self, languages: Sequence[str], d_model: int) -> None:
        super().__init__()
        if len(languages) < 2:
            raise ValueError(
                f"lid: found the languages {list(languages)}, expected two or more to tell apart. "
                "Give lid=False."
            )
        self.languages = list(languages)
        self.output = Linear(len(self.languages), input_size=d_model)

    @property
    def sources(self) -> list[str]:
        """All languages."""
        return self.languages

    def log_probabilities(self, frames: Frames) -> Tensor:
        """Of every language for every utterance, (B, languages)."""
        # By hand: StatisticsPooling of SpeechBrain adds noise, so that no two answers were alike.
        total = (frames.data.float() * frames.mask.unsqueeze(2)).sum(1)
        return self.output(total / frames.lengths.unsqueeze(1)).float().log_softmax(-1)

    def loss(self, frames: Frames, batch: PaddedBatch) -> Tensor:
        """Cross-entropy, mean over utterances, a scalar."""
        numbers, _ = batch[self.name]
        return F.nll_loss(self.log_probabilities(frames), numbers.squeeze(1))

    @torch.no_grad()
    def search(self, frames: Frames, *arguments: Any, **options: Any) -> list[list[int]]:
        """The number of every utterance's most likely language, a list of one; no option counts."""
        return self.log_probabilities(frames).argmax(1, keepdim=True).tolist()
