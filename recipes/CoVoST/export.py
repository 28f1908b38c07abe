#!/usr/bin/env python3
"""Turns a run into a model: a folder for SpeechTranslator.from_hparams, here or elsewhere.

    python recipes/CoVoST/export.py results/mini my_model

writes the best checkpoint's weights, the tokenizers, a hyperparams.yaml of what decoding needs, and
a model card with the run's results. The folder may be moved. With --push user/my_model it becomes a
repository on the Hugging Face hub too, by the account of `hf auth login`.
"""

import argparse

from vmsp_brain.use.arguments import at_least
from vmsp_brain.use.export import export_run
from vmsp_brain.use.hub import check_repository, push_model


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
    parser.add_argument("--push", metavar="USER/NAME", help="the hub's repository to put it into")
    given = parser.parse_args(words)
    try:
        if given.push is not None:
            check_repository(given.push)
        export_run(given.run_folder, given.target, given.average, given.push)
        print(f"Written to {given.target}")
        if given.push is not None:
            print(f"Pushed to {push_model(given.target, given.push)}")
    except (OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
