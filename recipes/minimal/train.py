#!/usr/bin/env python3
"""VMSPBrain in a recipe of your own: recognition of any languages, above self-supervision.

    python recipes/minimal/train.py recipes/minimal/minimal.yaml --data_folder=DATA \\
        --languages=[en,fr] --output_folder=results/mine

needs DATA/<language>.csv, a manifest with the columns ID, duration (s), wav, language,
transcription, target_language, translation, speaker (the last three may be empty; $data_root in wav
is DATA), and sentence for --asr_text=cased. Of every ten clips one is for validation and one for
the test. The output folder is a run as any other: give the same command to go on with it, and
evaluate.py, export.py, transcribe.py and compare_orders.py take it.

Copy this folder and change what you like: levels and sizes are in minimal.yaml, the data here. It
is for one process; recipes/CoVoST/train.py shows what several need.
"""

import csv
import sys
from pathlib import Path

from vmsp_brain import threads

threads.set_wait_policy()  # before PyTorch is loaded

import speechbrain as sb

from vmsp_brain import (
    ExperimentFile,
    RunFolder,
    VMSPBrain,
    check_run_folder,
    load_data,
    load_tokenizers,
    manifest_path,
    one_message,
    open_experiment,
    read_manifest,
    save_configuration,
    train_tokenizers,
)

SPLIT_OF = ["dev", "test", *["train"] * 8]
"""Of ten clips in a row."""


def split_manifest(path: Path, language: str, folder: str) -> None:
    """Write a language's manifests of the splits; all rows of a clip are in the same one."""
    clips = [clip["wav"] for clip in read_manifest(path, "$data_root").values()]
    split_of = {wav: SPLIT_OF[number % len(SPLIT_OF)] for number, wav in enumerate(clips)}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for split in set(SPLIT_OF):
        own = manifest_path(folder, language, split)
        own.parent.mkdir(parents=True, exist_ok=True)
        with own.open("w", newline="", encoding="utf-8") as file:
            manifest = csv.DictWriter(file, rows[0])
            manifest.writeheader()
            manifest.writerows(row for row in rows if split_of[row["wav"]] == split)


def main(words: list[str]) -> None:
    """Train and test what the command line says."""
    experiment, run_opts = open_experiment(words)
    run = RunFolder(experiment.document()["output_folder"])
    with run.locked():
        train_and_test(run, experiment, run_opts)


def train_and_test(run: RunFolder, experiment: ExperimentFile, run_opts: dict) -> None:
    """Go on with the run, or begin it, and test its best checkpoint."""
    check_run_folder(run, experiment)
    hparams = experiment.load()
    sb.create_experiment_directory(run.folder, save_env_desc=False)
    save_configuration(run, experiment)
    for language in hparams["languages"]:
        path = Path(hparams["data_folder"]) / f"{language}.csv"
        split_manifest(path, language, hparams["manifest_folder"])
    train_tokenizers(hparams)

    tokenizers = load_tokenizers(hparams)
    data = load_data(hparams, tokenizers)
    train, dev, test = (data[split] for split in ("train", "dev", "test"))
    modules, hierarchy = hparams["modules"], hparams["hierarchy"]
    brain = VMSPBrain(
        modules, hierarchy, tokenizers, hparams, run_opts, checkpointer=hparams["checkpointer"]
    )
    print(threads.set_number(brain.modules))
    loader_kwargs = {
        "train_loader_kwargs": train.loader_kwargs,
        "valid_loader_kwargs": dev.loader_kwargs,
    }
    brain.fit(hparams["epoch_counter"], train.dataset, dev.dataset, **loader_kwargs)
    best = brain.primary_metric()
    brain.evaluate(test.dataset, **best, test_loader_kwargs=test.loader_kwargs)


if __name__ == "__main__":
    with one_message():
        main(sys.argv[1:])
