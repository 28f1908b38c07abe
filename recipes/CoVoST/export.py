#!/usr/bin/env python3
"""Turns a run into a model: a folder for SpeechTranslator.from_hparams, here or elsewhere.

    python recipes/CoVoST/export.py results/mini my_model

writes the best checkpoint's weights, the tokenizers, a hyperparams.yaml of what decoding needs, and
a model card with the run's results. The folder may be moved, and uploaded to the Hugging Face hub
as it is.
"""

import argparse

from vmsp_brain.use.arguments import at_least
from vmsp_brain.use.export import export_run


def main(words: list[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_folder")
    parser.add_argument("target")
    parser.add_argument(
        "--average", type=at_least(1), help="mean of the weights of so many last epochs"
    )
    arguments = parser.parse_args(words)
    try:
        export_run(**vars(arguments))
    except (OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    print(f"Written to {arguments.target}")


if __name__ == "__main__":
    main()
