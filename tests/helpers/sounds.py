"""A long recording that nobody speaks in: sounds, and silence between them."""

from pathlib import Path

import numpy as np
import soundfile

SOUNDS = [1.0, 0.6, 1.6, 0.8, 1.2, 1.65, 0.7, 1.5, 0.3, 1.3]
"""Seconds."""
SILENCE = 0.9
"""Seconds before, between and after them."""


def write_long(path: Path, rate: int = 16_000, channels: int = 1) -> list[tuple[float, float]]:
    """Sounds of different pitch between soft noise; where the sounds are."""
    rng = np.random.default_rng(0)
    parts, places, now = [], [], 0.0
    for number, seconds in enumerate(SOUNDS):
        time = np.arange(round(seconds * rate)) / rate
        parts += [np.zeros(round(SILENCE * rate)), 0.3 * np.sin((700 + 300 * number) * time)]
        places.append((now + SILENCE, now + SILENCE + seconds))
        now += SILENCE + seconds
    wave = np.concatenate([*parts, np.zeros(round(SILENCE * rate))])
    wave += 0.0005 * rng.standard_normal(len(wave))
    soundfile.write(path, np.repeat(wave[:, None], channels, axis=1), rate)
    return places
