#!/usr/bin/env python3
"""Makes mini-CoVoST: a small synthetic corpus in the on-disk layout of CoVoST 2.

Sentences come from a parallel grammar in five languages (``mini_covost/grammar.py``), speech from
eSpeak NG (``mini_covost/espeak.py``). It is a demonstration and a test bed: it lets everything from
preparation to BLEU run on a laptop, and says nothing about real speech.

    python make_mini_covost.py DATA_FOLDER

eSpeak NG comes with ``pip install espeakng-loader``, which is GPL-3.0: a requirement of this
corpus alone.

What is said in train, dev and test never overlaps, in any language, so neither a test sentence
nor its translation is in any training set; nor does a speaker (a voice at a rate and a pitch).
Equal arguments give equal bytes. A killed run is finished by running it again.
"""

import argparse
import sys
from collections.abc import Sequence

from mini_covost.espeak import EspeakError
from mini_covost.grammar import LANGUAGES
from mini_covost.make import make_mini_covost


def main(argv: Sequence[str] | None = None) -> None:
    """Reads the command line and makes the corpus.

    Arguments
    ---------
    argv : Sequence[str] | None
        The arguments; None for those of the command line.
    """
    parser = argparse.ArgumentParser(
        description="Make mini-CoVoST, a small synthetic corpus in the layout of CoVoST 2."
    )
    parser.add_argument("data_folder", help="where to make it: a new or empty folder")
    for split, size in {"train": 500, "dev": 40, "test": 60}.items():
        parser.add_argument(
            f"--{split}", type=int, default=size, help=f"utterances per language ({size})"
        )
    parser.add_argument("--languages", nargs="+", default=LANGUAGES, help="default: all five")
    parser.add_argument("--seed", type=int, default=1234, help="of all choices (1234)")
    parser.add_argument("--workers", type=int, help="processes (one per core)")
    try:
        make_mini_covost(**vars(parser.parse_args(argv)))
    except (ValueError, OSError, EspeakError) as error:
        sys.exit(f"make_mini_covost: {error}")


if __name__ == "__main__":
    main()
