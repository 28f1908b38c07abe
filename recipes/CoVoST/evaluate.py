#!/usr/bin/env python3
"""Tests a run or an exported model: scores, hypotheses beside references, a table of speakers.

    python recipes/CoVoST/evaluate.py results/UAS/1234                 # its test set, into the run
    python recipes/CoVoST/evaluate.py results/UAS/1234 --split dev --beam_size 10 --output dev_10
    python recipes/CoVoST/evaluate.py my_model --manifest mine.csv --output mine

Writes results.json, test/<objective>.tsv and speakers.csv.
"""

import argparse
from pathlib import Path

from vmsp_brain.data.manifests import SPLITS, manifest_path, read_manifest
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.results import results_table
from vmsp_brain.run.scores import results
from vmsp_brain.use.evaluation import decode, write_speakers
from vmsp_brain.use.export import load_model


def evaluate(arguments: argparse.Namespace) -> None:
    """Test the model as the command line says.

    Raises
    ------
    FileNotFoundError, ValueError
        If something is missing or does not fit; the message says what.
    """
    output = _output(arguments)
    utterances = _utterances(arguments)
    model = load_model(arguments.model, arguments.average, _overrides(arguments), arguments.device)
    hypotheses = decode(model, utterances, arguments.batch_size, arguments.num_workers)
    report = results(hypotheses)
    written = RunFolder(output)
    written.write_results(report, hypotheses)
    speakers = {key: u["speaker"] for spoken in utterances.values() for key, u in spoken.items()}
    write_speakers(written.speakers, hypotheses, speakers)
    print(results_table(report), flush=True)


def _output(arguments: argparse.Namespace) -> Path:
    """The run itself for its own test, so that other results never take its place."""
    if arguments.output:
        return arguments.output
    others = ("manifest", "average", "beam_size", "ctc_weight")
    own = arguments.split == "test" and all(getattr(arguments, name) is None for name in others)
    if own and RunFolder.is_run(arguments.model):
        return Path(arguments.model)
    raise ValueError(
        "--output: expected a folder for the results. A run's own is for its best checkpoint "
        "on its test set, decoded as its configuration says."
    )


def _utterances(arguments: argparse.Namespace) -> dict[str, dict[str, dict]]:
    """By language, then by ID."""
    data_folder = arguments.data_folder
    if arguments.manifest:
        paths = arguments.manifest
    elif RunFolder.is_run(arguments.model):
        run = RunFolder(arguments.model)
        folder = run.path("manifest_folder")
        paths = [manifest_path(folder, lang, arguments.split) for lang in run.settings["languages"]]
        data_folder = data_folder or run.settings["data_folder"]
    else:
        raise ValueError(f"--manifest: expected CSV files, since {arguments.model} is not a run.")
    utterances: dict[str, dict[str, dict]] = {}
    for path in paths:
        for key, utterance in read_manifest(path, data_folder or "$data_root").items():
            if utterance["wav"].startswith("$data_root"):
                raise ValueError(f"--data_folder: expected a folder, for {path} has $data_root.")
            utterances.setdefault(utterance["language"], {})[key] = utterance
    return utterances


def _overrides(arguments: argparse.Namespace) -> dict:
    overrides: dict = {}
    if arguments.beam_size is not None:
        overrides["search"] = {"beam_size": arguments.beam_size}
    if arguments.ctc_weight is not None:
        overrides["objectives"] = {"recognition": {"ctc_weight_decode": arguments.ctc_weight}}
    return overrides


def main(words: list[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="output folder of a run, or exported model")
    parser.add_argument("--split", choices=SPLITS, default="test", help="of the run's corpus")
    parser.add_argument("--manifest", nargs="+", type=Path, help="CSV files in place of a split")
    parser.add_argument("--data_folder", help="in place of $data_root in the manifests")
    parser.add_argument("--output", type=Path, help="folder for the results")
    parser.add_argument("--average", type=int, help="mean of the weights of so many last epochs")
    parser.add_argument("--beam_size", type=int)
    parser.add_argument("--ctc_weight", type=float, help="of recognition in decoding, 0 to 1")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--num_workers", type=int, default=0, help="processes that read audio")
    parser.add_argument("--device", default="cpu")
    try:
        evaluate(parser.parse_args(words))
    except (FileNotFoundError, ValueError) as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
