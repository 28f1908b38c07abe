"""Tests a run or an exported model: scores, hypotheses beside references, a table of speakers.

    vmsp-evaluate results/UAS/1234                 # its test set, into the run
    vmsp-evaluate results/UAS/1234 --split dev --beam_size 10 --output dev_10
    vmsp-evaluate my_model --manifest mine.csv --output mine

Writes results.json, test/<objective>.tsv and speakers.csv.
"""

import argparse
from pathlib import Path

from vmsp_brain import threads

threads.set_wait_policy()  # before PyTorch is loaded

from vmsp_brain.data.manifests import SPLITS
from vmsp_brain.run.normalization import NORMALIZERS
from vmsp_brain.run.results import results_table
from vmsp_brain.use.arguments import at_least
from vmsp_brain.use.evaluation import ModelTest


def main(words: list[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="vmsp-evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="output folder of a run, or exported model")
    parser.add_argument("--split", choices=SPLITS, default="test", help="of the run's corpus")
    parser.add_argument("--manifest", nargs="+", type=Path, help="CSV files in place of a split")
    parser.add_argument("--data_folder", help="in place of $data_root in the manifests")
    parser.add_argument("--output", type=Path, help="folder for the results")
    parser.add_argument(
        "--average", type=at_least(1), help="mean of the weights of so many last epochs"
    )
    parser.add_argument("--beam_size", type=at_least(1))
    parser.add_argument("--ctc_weight", type=float, help="of recognition in decoding, 0 to 1")
    parser.add_argument(
        "--wer_normalizer",
        choices=NORMALIZERS,
        help="adds the WER of texts that are normalized so, such as Whisper's are",
    )
    parser.add_argument(
        "--comet_model", metavar="CKPT", help="score translations by COMET too, with this model"
    )
    parser.add_argument("--batch_size", type=at_least(1), default=32)
    parser.add_argument(
        "--num_workers", type=at_least(0), default=0, help="processes that read audio"
    )
    parser.add_argument("--device", default="cpu")
    try:
        report = ModelTest(**vars(parser.parse_args(words))).run()
    except (OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    print(results_table(report), flush=True)
