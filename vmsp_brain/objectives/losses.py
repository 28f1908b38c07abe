"""The losses of a batch, all from one encoder forward."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from speechbrain.dataio.batch import PaddedBatch
from torch import Tensor

from vmsp_brain.encoders import Encoder, Frames
from vmsp_brain.encoders.inner import inner_outputs
from vmsp_brain.names import text_key
from vmsp_brain.objectives.interface import Objective


def compute_losses(
    encoder: Encoder, objectives: Sequence[Objective], part: PaddedBatch
) -> tuple[Any, dict[str, Tensor]]:
    """The encoder's hidden states, and from them the loss of every objective with targets.

    Arguments
    ---------
    encoder : Encoder
        The shared encoder.
    objectives : list of Objective
        Of the source that the batch is of, one or more.
    part : PaddedBatch
        The batch.

    Returns
    -------
    tuple
        What the objectives' ``encode`` gives, and scalars by objective.
    """
    frames = encode(encoder, objectives, part)
    return frames, {
        objective.name: objective.loss(frames, part)
        for objective in objectives
        if has_targets(objective, part)
    }


def encode(encoder: Encoder, objectives: Sequence[Objective], part: PaddedBatch) -> Any:
    """What objectives of one source compute their losses from, by one forward of the encoder."""
    names = inner_layers(objectives)
    if not names:
        return objectives[0].encode(encoder, part)
    with inner_outputs(encoder, names) as inner:
        frames = objectives[0].encode(encoder, part)
    length = frames.data.shape[1]  # Whisper hears more than an utterance
    return Frames(
        frames.data, frames.lengths, {name: data[:, :length] for name, data in inner.items()}
    )


def inner_layers(objectives: Sequence[Objective]) -> list[str]:
    """The layers that these objectives read beside the encoder's output, each once."""
    return list(dict.fromkeys(layer for each in objectives for layer in each.inner_layers))


def has_targets(objective: Objective, part: PaddedBatch) -> bool:
    """Whether a batch holds anything to learn from, such as one clip with this translation: else
    the loss, zero, would count in the means."""
    texts = getattr(part, text_key(objective.name), None)  # self-supervision has none
    return texts is None or any(texts)


def read_losses(draws: Sequence[Mapping[str, Tensor]]) -> list[dict[str, float]]:
    """The values of several draws' losses, scalars by objective; waits for the device, once.

    Example
    -------
    >>> import torch
    >>> read_losses([{"asr/fr": torch.tensor(2.0)}, {"ssl": torch.tensor(0.5)}])
    [{'asr/fr': 2.0}, {'ssl': 0.5}]
    """
    losses = [loss for draw in draws for loss in draw.values()]
    values = iter(torch.stack(losses).tolist() if losses else [])
    return [{name: next(values) for name in draw} for draw in draws]
