#!/usr/bin/env python3
"""Downloads CoVoST 2's translations and says how to get the clips that belong to them.

    python download_covost.py DATA_FOLDER --pairs fr-en de-en

puts the translations where covost_prepare.py reads them, DATA_FOLDER/<source>/covost_v2.<source>_
<target>.tsv, and keeps the archives in DATA_FOLDER/archives with their SHA-256 beside them. Run it
again to go on with a transfer that was interrupted, and to verify what is there.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from corpus.download import BASE_URL, download_covost, next_steps


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_folder", type=Path)
    parser.add_argument("--pairs", nargs="+", required=True, help="such as fr-en de-en")
    parser.add_argument("--base_url", default=BASE_URL, help="folder of the archives on a server")
    arguments = parser.parse_args(argv)
    try:
        download_covost(**vars(arguments))
    except (ValueError, OSError) as error:
        sys.exit(f"download_covost: {error}")
    print(next_steps(arguments.data_folder, arguments.pairs))


if __name__ == "__main__":
    main()
