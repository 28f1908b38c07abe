"""Run folders whose model was never trained, made in a moment: what it writes is not words."""

import csv
import random
from collections.abc import Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import soundfile
from speechbrain import parse_arguments

from tests.helpers.commands import command
from vmsp_brain.data.manifests import COLUMNS, SENTENCE, SPLITS, manifest_path
from vmsp_brain.data.vocabularies import train_tokenizers
from vmsp_brain.run.configuration import save_configuration
from vmsp_brain.run.experiment_file import ExperimentFile
from vmsp_brain.run.folder import RunFolder

LETTERS = {"de": ascii_lowercase + "äöüß", "it": ascii_lowercase + "àèìòù"}
"""Of the languages that have more than the English ones."""
SIZES = {"train": 20, "dev": 3, "test": 3}
VOCABULARY = 60


def write_manifests(folder: Path, languages: Sequence[str], targets: Sequence[str] = ("en",)):
    """Manifests of all splits: half a second of noise, random words, translated into targets."""
    folder.mkdir(parents=True, exist_ok=True)
    wave = np.random.default_rng(0).uniform(-0.1, 0.1, 8_000)
    for language in languages:
        for split in SPLITS:
            letters = random.Random(f"{language} {split}")
            path = manifest_path(folder, language, split)
            with path.open("w", newline="", encoding="utf-8") as file:
                manifest = csv.writer(file)
                manifest.writerow((*COLUMNS, SENTENCE))
                for number in range(SIZES[split]):
                    wav = path.with_name(f"{path.stem}_{number}.wav")
                    soundfile.write(wav, wave, 16_000)
                    words = _words(letters, language)
                    clip = [wav.stem, 0.5, wav, language, words]
                    for target in targets:
                        row = [*clip, target, _words(letters, target), "ann"]
                        manifest.writerow([*row, f"{words.capitalize()}."])


def experiment_of(
    folder: Path, manifests: Path, *options: str, file: str = "uas.yaml"
) -> tuple[ExperimentFile, dict]:
    """A tiny experiment whose output folder this is, and what it declares, built."""
    sizes = [f"--asr_vocab_size={VOCABULARY}", f"--st_vocab_size={VOCABULARY}"]
    sizes.append(f"--manifest_folder={manifests}")
    words = command("train.py", file, manifests, folder, *sizes, *options)[2:]
    path, _, overrides = parse_arguments(words)
    experiment = ExperimentFile(path, overrides)
    return experiment, experiment.load()


def make_untrained_run(
    folder: Path,
    manifests: Path,
    *options: str,
    scores: Sequence[dict[str, Any]] = ({"primary_WER": 90.0},),
    file: str = "uas.yaml",
) -> dict:
    """A run of as many epochs as there are scores; what it declared, its model the last epoch's."""
    experiment, hparams = experiment_of(folder, manifests, *options, file=file)
    run = RunFolder(folder)
    save_configuration(run, experiment)
    run.log.touch()
    train_tokenizers(hparams)
    for epoch, score in enumerate(scores, start=1):
        for parameter in hparams["encoder"].parameters():
            parameter.data += 0.01
        hparams["checkpointer"].save_checkpoint({"epoch": epoch, **score}, name=f"epoch_{epoch}")
    return hparams


def _words(letters: random.Random, language: str) -> str:
    alphabet = LETTERS.get(language, ascii_lowercase)
    return " ".join("".join(letters.choices(alphabet, k=4)) for _ in range(5))
