"""Serves a page to try models: record or upload speech, and see what each makes of it.

    vmsp-demo results/mini results/mini_usa

Several models are shown side by side. It is for this machine alone, and works without network;
recordings are kept for an hour at most. GRADIO_SERVER_PORT sets the port.
"""

import argparse
from importlib.util import find_spec

from vmsp_brain import threads

threads.set_wait_policy()  # before PyTorch is loaded

from vmsp_brain.use.loading import load_model
from vmsp_brain.use.page import make_page, serve

MISSING = (
    "The page is Gradio's, which is not installed: pip install gradio (requirements-demo.txt has "
    "the version that is tested).\n"
)


def main(words: list[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="vmsp-demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "models", nargs="+", metavar="model", help="run, exported folder or hub name"
    )
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args(words)
    if find_spec("gradio") is None:
        parser.exit(1, MISSING)
    try:
        models = {name: load_model(name, device=arguments.device) for name in arguments.models}
        serve(make_page(models))
    except (OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")
