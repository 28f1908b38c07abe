"""The recipe that users copy, run as they run it."""

import csv
import json
import random
import subprocess
import sys
from pathlib import Path
from string import ascii_lowercase

import pytest
import soundfile
import torch

from vmsp_brain.data.manifests import COLUMNS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
LANGUAGES = ("en", "fr")


def write_corpus(folder: Path) -> None:
    rng, letters = torch.Generator().manual_seed(0), random.Random(0)
    for language in LANGUAGES:
        with (folder / f"{language}.csv").open("w", newline="") as file:
            manifest = csv.DictWriter(file, COLUMNS, restval="")
            manifest.writeheader()
            for number in range(8):
                name = f"{language}{number}"
                text = " ".join("".join(letters.choices(ascii_lowercase, k=4)) for _ in range(6))
                audio = 0.1 * torch.randn(16_000, generator=rng)
                soundfile.write(folder / f"{name}.wav", audio.numpy(), 16_000)
                row = {"ID": name, "duration": 1.0, "wav": f"$data_root/{name}.wav"}
                manifest.writerow({**row, "language": language, "transcription": text})


def test_the_minimal_recipe_trains_and_tests(tmp_path):
    write_corpus(tmp_path)
    script = ROOT / "recipes" / "minimal" / "train.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert set(results["wer"]) == set(LANGUAGES)
    assert len((tmp_path / "out" / "test" / "asr_en.tsv").read_text().splitlines()) == 1 + 8
