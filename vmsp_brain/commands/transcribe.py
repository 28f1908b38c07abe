"""Prints what is spoken in audio files of any length, and its translation.

vmsp-transcribe speech.mp3 --language fr --translate en --model results/mini
"""

import argparse
import sys

from vmsp_brain import threads

threads.set_wait_policy()  # before PyTorch is loaded

from vmsp_brain.use.transcription import transcribe_files


def main(words: list[str] | None = None) -> None:
    """Read the command line; files that cannot be transcribed do not stop the others."""
    parser = argparse.ArgumentParser(
        prog="vmsp-transcribe",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+")
    parser.add_argument(
        "--language", help="which is spoken, such as fr; a model trained with lid needs none"
    )
    parser.add_argument("--translate", metavar="LANGUAGE", help="also translate, into this one")
    parser.add_argument("--model", default="results/mini", help="run, exported folder or hub name")
    parser.add_argument(
        "--max_duration",
        type=float,
        metavar="SECONDS",
        help="of a file, or of a piece of a longer one, in place of the longest clip that the "
        "model was trained on",
    )
    forms = parser.add_mutually_exclusive_group()
    for form, help_text in (
        ("json", "a JSON list in place of text"),
        ("srt", "subtitles (SubRip) of a file; with --translate, translated"),
        ("vtt", "the same as WebVTT"),
    ):
        forms.add_argument(
            f"--{form}", action="store_const", const=form, dest="form", help=help_text
        )
    parser.set_defaults(form="text")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args(words)
    try:
        all_done = transcribe_files(**vars(arguments))
    except (OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    sys.exit(not all_done)
