"""What is spoken in files, printed for people or for programs."""

import json
import sys
from collections.abc import Sequence

from vmsp_brain import threads
from vmsp_brain.use.loading import load_model


def transcribe_files(
    files: Sequence[str],
    language: str,
    model: str,
    translate: str | None = None,
    max_duration: float | None = None,
    as_json: bool = False,
    device: str = "cpu",
) -> bool:
    """Print what is spoken in every file; one that cannot be transcribed does not stop the others.

    Arguments
    ---------
    files : list of str
        Of audio.
    language : str
        Which is spoken, such as fr.
    model : str
        As for `vmsp_brain.use.loading.load_model`.
    translate : str, optional
        Also translate, into this language.
    max_duration : float, optional
        Seconds that a file may last, in place of the longest clip that the model was trained on.
    as_json : bool
        Print a JSON list in place of text.
    device : str
        Such as cpu or cuda.

    Returns
    -------
    bool
        Whether all files were transcribed; messages about the others are on stderr.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, or it cannot do this.
    """
    if max_duration is not None and not max_duration > 0:
        raise ValueError(f"max_duration: found {max_duration:g}, expected seconds above 0.")
    overrides = {} if max_duration is None else {"max_duration": max_duration}
    translator = load_model(model, overrides=overrides, device=device)
    threads.set_number(translator.mods)
    names = translator.objectives_for(language, translate)
    found = []
    for path in files:
        try:
            texts = translator.decode_file(path, names)
        except (FileNotFoundError, ValueError) as error:
            print(error, file=sys.stderr)
            continue
        found.append({"file": path, "language": language, "transcription": texts[names[0]]})
        if translate:
            found[-1] |= {"target_language": translate, "translation": texts[names[1]]}
        if not as_json:
            label = f"{path}: " if len(files) > 1 else ""
            print(*(f"{label}{text}" for text in texts.values()), sep="\n", flush=True)
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
    return len(found) == len(files)
