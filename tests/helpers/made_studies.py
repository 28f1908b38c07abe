"""Studies such as study.py leaves them, made in a moment, with known answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vmsp_brain.method.conflict import VERDICTS

LANGUAGES = ("en", "fr")
EPOCHS = 8


def make_record(
    experiment: str, seed: int, wer: float, bleu: float, still_falling: bool = False
) -> dict[str, Any]:
    """A run whose languages score ``wer`` -1 and +1, and whose only pair scores ``bleu``.

    It aligns in epoch 3. Its validation WER rests from epoch 5 on, or halves in the last epoch.
    """
    of_epochs = [100.0, 80.0, 40.0, 1.5 * wer, *[wer] * (EPOCHS - 4)]
    if still_falling:
        of_epochs[4:-1] = [2 * wer] * (EPOCHS - 5)
    lambdas = np.linspace(0.5, 0.5 + 0.01 * (seed % 10), EPOCHS).round(3).tolist()
    return {
        "experiment": experiment,
        "seed": seed,
        "commits": ["abc1234"],
        "command": f"OMP_NUM_THREADS=1 python train.py mini.yaml --seed={seed}",
        "results": {
            "wer": {"en": wer - 1, "fr": wer + 1},
            "wer_mean": wer,
            "bleu": {"fr-en": bleu},
            "bleu_mean": bleu,
        },
        "epochs": EPOCHS,
        "validation": {
            "WER": {"en": of_epochs, "fr": of_epochs, "mean": of_epochs},
            "BLEU": {"fr-en": [bleu] * EPOCHS, "mean": [bleu] * EPOCHS},
            "loss": {},
        },
        "primary": {
            "measure": "WER",
            "scores": of_epochs,
            "late_improvement": 0.5 if still_falling else 0.0,
        },
        "aligned": 3,
        "lambda": {
            "asr/en": lambdas,
            "asr/fr": [round(1 - value, 3) for value in lambdas],
            "st/fr-en": [1.0] * EPOCHS,
        },
        "conflict": dict(
            zip(VERDICTS, [[0.5] * EPOCHS, [0.25] * EPOCHS, [0.25] * EPOCHS], strict=True)
        ),
    }


def make_study(
    scores: Mapping[str, Mapping[int, tuple[float, float]]],
    reference: Mapping[str, str] | None = None,
    falling: Sequence[str] = (),
) -> dict[str, Any]:
    """A study of mean WER and BLEU by experiment and seed."""
    return {
        "experiments": list(scores),
        "seeds": list(dict.fromkeys(seed for of in scores.values() for seed in of)),
        "reference": reference or {},
        "runs": [
            make_record(name, seed, wer, bleu, name in falling)
            for name, of_seeds in scores.items()
            for seed, (wer, bleu) in of_seeds.items()
        ],
    }
