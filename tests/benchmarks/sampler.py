#!/usr/bin/env python3
"""CPU time and memory from manifests of CoVoST's size to the batches of an epoch.

    python tests/benchmarks/sampler.py

Manifests are generated with CoVoST 2's proportions of the five languages and durations as of its
clips; no audio exists, and none is looked for. Measured is what every run does before its first
step (reading the manifests, building datasets and samplers), then all batches of an epoch, then
coming back to the middle of it. Memory is the process's peak, with PyTorch and SpeechBrain in it.
"""

import argparse
import csv
import json
import math
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from speechbrain.dataio.dataset import DynamicItemDataset

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes" / "CoVoST"))

from vmsp_brain.data.batches import Key
from vmsp_brain.data.loading import load_data
from vmsp_brain.data.manifests import COLUMNS, manifest_path
from vmsp_brain.data.samplers import DRAWS
from vmsp_brain.run.experiment_file import ExperimentFile

UAS = Path(__file__).parents[2] / "hparams" / "uas.yaml"

HOURS = {"en": 430, "fr": 264, "de": 184, "ca": 136, "es": 113}
"""Of CoVoST 2's training sets."""

EVALUATION_ROWS = 500
"""Per language, in dev and in test."""


def main() -> None:
    """Read the command line, measure, print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000, help="of all training manifests")
    parser.add_argument("--dynamic_batching", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_manifests(Path(folder), arguments.rows)
        measured = measure(Path(folder), arguments.dynamic_batching)
    print(json.dumps({**vars(arguments), **measured}, indent=1))


def make_manifests(folder: Path, rows: int) -> None:
    """Manifests of all splits, with this many training rows."""
    rng = np.random.default_rng(0)
    for language, hours in HOURS.items():
        share = round(rows * hours / sum(HOURS.values()))
        for split, size in {
            "train": share,
            "dev": EVALUATION_ROWS,
            "test": EVALUATION_ROWS,
        }.items():
            write_manifest(manifest_path(folder, language, split), language, size, rng)


def write_manifest(path: Path, language: str, size: int, rng: np.random.Generator) -> None:
    """Rows that look as CoVoST's do, in the lengths of their texts too."""
    durations = rng.gamma(9.0, 0.6, size).clip(0.7, 20.0)  # s; mean 5.4
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number, duration in enumerate(durations):
            name = f"common_voice_{language}_{17_000_000 + number}"
            text = f"sentence {number} of {path.stem} " + "says this and that " * 2
            wav = f"$data_root/{language}/clips/{name}.mp3"
            target = "" if language == "en" else "en"
            speaker = f"{number % 4000:0128x}"
            row = (name, round(duration, 4), wav, language, text, target, target and text, speaker)
            writer.writerow(row)


def settings(data_folder: Path, manifests: Path, languages: Sequence[str]) -> dict[str, Any]:
    """What a run of `uas.yaml` declares of its data; no model is built."""
    given = {"data_folder": str(data_folder), "manifest_folder": str(manifests)}
    declared = ExperimentFile(UAS, {**given, "languages": list(languages), "pairs": []}).document()
    return {
        **declared,
        "num_workers": 0,
        "encoder": SimpleNamespace(max_seconds=math.inf),
        "objectives": {source: SimpleNamespace(sources=[source]) for source in [*languages, "ssl"]},
    }


def measure(folder: Path, dynamic_batching: bool) -> dict[str, Any]:
    """CPU seconds and megabytes."""
    hparams = settings(Path("/nowhere"), folder, list(HOURS))
    hparams["dynamic_batching"] = dynamic_batching
    start = time.process_time()
    train = load_data(hparams, tokenizers={})["train"]
    sampler = train.loader_kwargs["batch_sampler"]
    loaded = time.process_time()
    batches = sum(1 for _ in sampler)
    built = time.process_time()
    next(islice(sampler, batches // 2, None))
    resumed = time.process_time()
    return {
        "batches": batches,
        "cpu_seconds_to_load": loaded - start,
        "cpu_seconds_for_an_epochs_batches": built - loaded,
        "cpu_seconds_to_resume_in_mid_epoch": resumed - built,
        "padding_of_english": padding(train.dataset.sources["en"], "en", sampler),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def padding(dataset: DynamicItemDataset, source: str, sampler: Iterable[list[Key]]) -> float:
    """Seconds of padding in the batches of a source, per second of speech."""
    speech, padded = 0.0, 0.0
    for keys in sampler:
        for draw in range(DRAWS):
            chosen = [index for number, name, index in keys if (number, name) == (draw, source)]
            seconds = [dataset.data[dataset.data_ids[index]]["duration"] for index in chosen]
            speech += sum(seconds)
            padded += len(seconds) * max(seconds)
    return padded / speech - 1


if __name__ == "__main__":
    main()
