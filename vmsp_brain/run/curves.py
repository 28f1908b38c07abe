"""Curves of a run in TensorBoard's files: how they are named, and how they are read again."""

import re
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Curve = list[tuple[int, float]]
"""Points (step or epoch, value)."""

GROUPS = (
    "WER_valid",
    "BLEU_valid",
    "loss_valid",
    "loss_train",
    "lambda",
    "penalty",
    "conflict",
    "conflict_by_task",
    "conflict_by_layer",
    "signal_share",
    "selected_layer",
    "gradient_norm",
    "learning_rate",
    "cost",
    "test",
    "sample",
    "LID_valid",
    "WER_normalized_valid",
)
"""The groups of TensorBoard's page from top to bottom; it sorts by name, hence the numbers."""


def numbered_tag(group: str, name: str) -> str:
    """What a curve is called in TensorBoard.

    Example
    -------
    >>> numbered_tag("loss_valid", "st/fr-en")
    '03_loss_valid/st/fr-en'
    >>> plain_tag("03_loss_valid/st/fr-en")
    'loss_valid/st/fr-en'
    """
    return f"{GROUPS.index(group) + 1:02d}_{group}/{name}"


def plain_tag(tag: str) -> str:
    """The tag without the number that orders TensorBoard's page."""
    return re.sub(r"^\d\d_", "", tag)


def read_events(folder: Path) -> dict[str, Curve]:
    """All scalars in a folder of TensorBoard's; of steps that a resumed run repeated, the later.

    Arguments
    ---------
    folder : Path
        With event files, or none.

    Returns
    -------
    dict
        `Curve` by plain tag, such as ``WER_valid/fr``.
    """
    points: dict[str, dict[int, float]] = {}
    for file in sorted(folder.glob("events.*"), key=lambda file: file.stat().st_mtime):
        events = EventAccumulator(str(file), size_guidance={"scalars": 0}).Reload()
        for tag in events.Tags()["scalars"]:
            curve = points.setdefault(plain_tag(tag), {})
            curve.update({event.step: event.value for event in events.Scalars(tag)})
    return {tag: sorted(curve.items()) for tag, curve in points.items()}
