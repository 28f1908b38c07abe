#!/usr/bin/env python3
"""Prints what is spoken in audio files, and its translation.

python recipes/CoVoST/transcribe.py speech.mp3 --language fr --translate en --model results/mini
"""

import argparse
import json
import sys

from vmsp_brain.use.export import load_model
from vmsp_brain.use.inference import SpeechTranslator


def transcribe(
    model: SpeechTranslator, path: str, language: str, target: str | None
) -> dict[str, str]:
    """What the model makes of a file, from one encoder forward.

    Raises
    ------
    FileNotFoundError, ValueError
        As `SpeechTranslator.transcribe_file` does.
    """
    found = {"file": path, "language": language}
    found["transcription"] = model.transcribe_file(path, language)
    if target:
        found["target_language"] = target
        found["translation"] = model.translate_file(path, f"{language}-{target}")
    return found


def main(words: list[str] | None = None) -> None:
    """Read the command line; files that cannot be read do not stop the others."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+")
    parser.add_argument("--language", required=True, help="which is spoken, such as fr")
    parser.add_argument("--translate", metavar="LANGUAGE", help="also translate, into this one")
    parser.add_argument("--model", default="results/mini", help="run, exported folder or hub name")
    parser.add_argument("--json", action="store_true", help="a JSON list in place of text")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args(words)
    found, failed = [], False
    try:
        model = load_model(arguments.model, device=arguments.device)
    except (FileNotFoundError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    for path in arguments.files:
        try:
            found.append(transcribe(model, path, arguments.language, arguments.translate))
        except (FileNotFoundError, ValueError) as error:
            failed = True
            print(error, file=sys.stderr)
    if arguments.json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
    else:
        for item in found:
            label = f"{item['file']}: " if len(arguments.files) > 1 else ""
            print(f"{label}{item['transcription']}")
            if "translation" in item:
                print(f"{label}{item['translation']}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
