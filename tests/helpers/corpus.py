"""A corpus of tones in CoVoST 2's layout, made in a moment."""

from collections.abc import Mapping
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile

SENTENCES = {"fr": "L’eau est très froide, dit-il.", "en": "The water is cold.", "es": "¿Qué tal?"}
SIZES = {"train": 3, "dev": 2, "test": 2}
TRAIN, DEV, TEST = SIZES.values()


def write_clip(path: Path, seconds: float = 0.8, seed: int = 0, volume: float = 1.0) -> None:
    """A 48 kHz mono mp3 of noise and tone."""
    path.write_bytes(_mp3(seconds, seed, volume))


@cache
def _mp3(seconds: float, seed: int, volume: float) -> bytes:
    rng = np.random.default_rng(seed)
    time = np.arange(round(48_000 * seconds)) / 48_000
    tone = 0.3 * np.sin(2 * np.pi * (200 + 50 * seed) * time)
    wave = volume * (tone + 0.05 * rng.standard_normal(len(time)))
    file = BytesIO()
    soundfile.write(file, wave.astype(np.float32), 48_000, format="MP3")
    return file.getvalue()


def write_tsv(path: Path, header: str, rows: list[tuple[str, ...]]) -> None:
    """Tab-separated, nothing quoted."""
    lines = [header.replace(" ", "\t"), *("\t".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def clip_names(language: str, sizes: Mapping[str, int] = SIZES) -> list[tuple[str, str]]:
    """File name and split of every clip."""
    splits = [split for split, size in sizes.items() for _ in range(size)]
    return [(f"{language}_{number}.mp3", split) for number, split in enumerate(splits)]


def make_corpus(
    folder: Path,
    pairs: tuple[str, ...] = ("fr-en",),
    alone: tuple[str, ...] = (),
    sizes: Mapping[str, int] = SIZES,
):
    """Languages of these pairs, and languages alone with Common Voice's own splits."""
    languages = {pair.split("-")[0] for pair in pairs} | set(alone)
    for language in sorted(languages):
        clips = folder / language / "clips"
        clips.mkdir(parents=True)
        rows = []
        for number, (name, _) in enumerate(clip_names(language, sizes)):
            write_clip(clips / name, 0.6 + 0.1 * number, number)
            rows.append((f"speaker{number}", name, SENTENCES.get(language, "Bon dia"), "2", "0"))
        header = "client_id path sentence up_votes down_votes"
        write_tsv(folder / language / "validated.tsv", header, rows)
        if language in alone:
            for split in ("train", "dev", "test"):
                chosen = [row for row in rows if (row[1], split) in clip_names(language, sizes)]
                write_tsv(folder / language / f"{split}.tsv", header, chosen)
    for pair in pairs:
        source, target = pair.split("-")
        rows = [(name, f"In {target}: cold.", split) for name, split in clip_names(source, sizes)]
        path = folder / source / f"covost_v2.{source}_{target}.tsv"
        write_tsv(path, "path translation split", rows)
    return folder


def edit_line(path: Path, number: int, change) -> None:
    """Change one line of a text file (1 is the first)."""
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[number - 1] = change(lines[number - 1])
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
