#!/usr/bin/env python3
"""Prepares CoVoST 2: from clips and TSV files to SpeechBrain manifests.

    python covost_prepare.py DATA_FOLDER SAVE_FOLDER --languages fr en --pairs fr-en

writes SAVE_FOLDER/<language>_<split>.csv for the splits train, dev and test, with the columns ID,
duration (s), wav, language, transcription, target_language, translation, speaker, sentence (the
transcription with case and punctuation). A clip without a requested translation has one row without
target; a clip with several has one row for each. Training rows with faults are counted and left
out; dev and test rows with faults stop the run, since leaving them out would change the score. With
--source hf, clips and TSV files are first made in DATA_FOLDER from the copy of CoVoST 2 on the
Hugging Face hub; with --source shards, TSV files whose clips stay in parquet shards.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from corpus.hf import HUB_NAME, unpack_hf_copy
from corpus.hf_shards import index_hf_copy
from corpus.prepare import prepare_covost

FROM_COPY = {"hf": unpack_hf_copy, "shards": index_hf_copy}
"""What makes TSV files of the Hugging Face copy."""


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_folder", type=Path)
    parser.add_argument("save_folder", type=Path)
    parser.add_argument("--languages", nargs="+", required=True)
    parser.add_argument("--pairs", nargs="*", default=[])
    parser.add_argument("--min_duration", type=float, default=0.5, help="seconds")
    parser.add_argument("--max_duration", type=float, default=30.0, help="seconds")
    parser.add_argument("--drop_faulty_evaluation_rows", action="store_true")
    parser.add_argument("--convert_audio", action="store_true", help="to 16 kHz FLAC")
    parser.add_argument("--workers", type=int)
    parser.add_argument(
        "--source",
        choices=("clips", *FROM_COPY),
        default="clips",
        help="clips: DATA_FOLDER holds the corpus; hf: first unpack the Hugging Face copy into it; "
        "shards: train from the copy's shards",
    )
    parser.add_argument(
        "--hf_dataset", default=HUB_NAME, help="the copy's name on the hub, or a local folder"
    )
    arguments = vars(parser.parse_args(words))
    source, copy = arguments.pop("source"), arguments.pop("hf_dataset")
    try:
        if source != "clips":
            corpus = [arguments[name] for name in ("data_folder", "languages", "pairs")]
            FROM_COPY[source](copy, *corpus)
        prepare_covost(**arguments)
    except (ValueError, OSError) as error:
        parser.exit(1, f"{error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "Stopped. The same command goes on with the clips that are left.\n")


if __name__ == "__main__":
    main()
