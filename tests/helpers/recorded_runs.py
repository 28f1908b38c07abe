"""Run folders such as training leaves them, made in a moment."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from vmsp_brain.method.conflict import ALL_LAYERS, VERDICTS, Similarity, Strength
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.scores import Hypothesis, results

WORDS = ["the", "a", "cat", "dog", "house", "sees", "runs", "to", "from", "green"]
OBJECTIVES = ["asr/en", "asr/fr", "st/fr-en"]
PAIRS = ("asr/en ~ asr/fr", "asr/en ~ st/fr-en", "asr/fr ~ st/fr-en")


def similarities_of(*values: tuple[float, str]) -> dict[str, Similarity]:
    """Of `PAIRS`: values, and verdicts by their first letter; 0.1 is every standard error."""
    words = {word[0]: word for word in VERDICTS}
    found = [Similarity(value, 0.1, words[letter]) for value, letter in values]
    return dict(zip(PAIRS, found, strict=True))


SIMILARITIES = {
    "front_end": similarities_of((0.5, "a"), (-0.2, "u"), (0.4, "a")),
    "block_01": similarities_of((0.1, "u"), (-0.4, "c"), (0.0, "u")),
    ALL_LAYERS: similarities_of((0.3, "a"), (-0.3, "c"), (0.2, "u")),
}
STRENGTHS = {
    layer: {name: Strength(0.5, 0.1, 0.05, 0.01) for name in OBJECTIVES} for layer in SIMILARITIES
}


def make_hypotheses(seed: int, error_rate: float, utterances: int = 100) -> list[Hypothesis]:
    """The same references for every seed, and another share of wrong and missing words."""
    of_references = np.random.default_rng(0)
    rng = np.random.default_rng(seed)
    made = []
    for number in range(utterances):
        words = list(of_references.choice(WORDS, of_references.integers(4, 9)))
        heard = [rng.choice(WORDS) if rng.random() < error_rate else word for word in words]
        heard = heard[: len(heard) - int(rng.random() < error_rate)]
        made.append(Hypothesis(f"utterance_{number}", " ".join(words), " ".join(heard)))
    return made


def make_run(
    folder: Path, order: str, seed: int, error_rates: Mapping[str, float], minutes: float | None
) -> Path:
    """A run of two epochs, tested; ``minutes`` each, or without a record of its cost."""
    made = {
        name: make_hypotheses(100 * seed + number, error_rates[name])
        for number, name in enumerate(OBJECTIVES)
    }
    recorded = RunFolder(folder)
    recorded.write_results(results(made), made)
    recorded.configuration.write_text(f"order: {order}\n")
    with SummaryWriter(str(recorded.tensorboard)) as writer:
        for epoch in (1, 2):
            writer.add_scalar("WER_valid/mean", 50.0 / epoch, epoch)
            for name in OBJECTIVES:
                writer.add_scalar(f"loss_valid/{name}", 3.0 / epoch, epoch)
                writer.add_scalar(f"lambda/{name}", 1 / 3, 10 * epoch)
            if minutes is not None:
                writer.add_scalar("cost/minutes", minutes, epoch)
                writer.add_scalar("cost/cpu_minutes", 2 * minutes, epoch)
                writer.add_scalar("cost/memory_gib", 1 + epoch / 4, epoch)
            recorded.write_conflicts(epoch, SIMILARITIES, STRENGTHS)
    return folder


def make_uas_and_usa(folder: Path) -> tuple[Path, Path]:
    """A run that recognizes clearly better, and one that translates a little better."""
    uas = {"asr/en": 0.1, "asr/fr": 0.1, "st/fr-en": 0.22}
    usa = {"asr/en": 0.5, "asr/fr": 0.4, "st/fr-en": 0.2}
    return (
        make_run(folder / "uas", "UAS", 1, uas, minutes=1.5),
        make_run(folder / "usa", "USA", 2, usa, minutes=None),
    )
