"""What is spoken in files, printed for people, for programs or as subtitles."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from tqdm import tqdm

from vmsp_brain import threads
from vmsp_brain.use.inference import Segment, SpeechTranslator
from vmsp_brain.use.loading import load_model
from vmsp_brain.use.recording import Recording
from vmsp_brain.use.subtitles import CUES, HEADS, clock


def transcribe_files(
    files: Sequence[str],
    model: str,
    language: str | None = None,
    translate: str | None = None,
    max_duration: float | None = None,
    form: str = "text",
    device: str = "cpu",
) -> bool:
    """Print what is spoken in every file; one that cannot be transcribed does not stop the others.

    Arguments
    ---------
    files : list of str
        Of audio, of any length.
    model : str
        As for `vmsp_brain.use.loading.load_model`.
    language : str, optional
        Which is spoken, such as fr. A model that was trained with ``lid`` finds it out, file by
        file.
    translate : str, optional
        Also translate, into this language. Subtitles are the translation then.
    max_duration : float, optional
        Seconds that a file, or a piece of a longer one, may last, in place of the longest clip that
        the model was trained on.
    form : str
        ``text``, ``json`` (a list), or ``srt`` or ``vtt``: subtitles, of a single file.
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
    if form in CUES and len(files) > 1:
        raise ValueError(f"--{form}: found {len(files)} files, expected one, whose times it has.")
    overrides = {} if max_duration is None else {"max_duration": max_duration}
    translator = load_model(model, overrides=overrides, device=device)
    threads.set_number(translator.mods)
    if language is not None:
        translator.objectives_for(language, translate)  # or an error
    elif not translator.identifies:
        raise ValueError(
            "the following arguments are required: --language, one of "
            f"{', '.join(translator.languages)}. (A model that was trained with --lid=True finds "
            "it out.)"
        )
    found = []
    for path in files:
        try:
            label = f"{path}: " if len(files) > 1 else ""
            found.append(_transcribe(translator, path, language, translate, form, label))
        except (FileNotFoundError, ValueError) as error:
            print(error, file=sys.stderr)
    if form == "json":
        print(json.dumps(found, ensure_ascii=False, indent=1))
    return len(found) == len(files)


def _transcribe(
    translator: SpeechTranslator,
    path: str,
    language: str | None,
    translate: str | None,
    form: str,
    label: str,
) -> dict[str, Any]:
    """One file: printed segment by segment, but as JSON, whose entry this gives."""
    recording = Recording(path)
    is_long = recording.seconds > translator.max_seconds
    spoken = language or translator.identify(recording)
    if language is None:
        print(f"{path}: the language is {spoken}.", file=sys.stderr)
    names = translator.objectives_for(spoken, translate)
    found: list[Segment] = []
    for segment in _with_progress(translator.segments(recording, names), recording, is_long):
        if form in CUES:
            head = "" if found else HEADS[form]
            cue = CUES[form](len(found) + 1, segment.start, segment.end, segment.texts[names[-1]])
            _print(*filter(None, (head, cue)))
        elif form == "text":
            times = f"[{clock(segment.start)} - {clock(segment.end)}] " if is_long else ""
            _print(*(f"{label}{times}{segment.texts[name]}" for name in names))
        found.append(segment)
    return _entry(path, spoken, translate, names, found)


def _with_progress(
    segments: Iterator[Segment], recording: Recording, is_long: bool
) -> Iterator[Segment]:
    """The segments; of a long recording with a bar in seconds, where stderr is a terminal."""
    with tqdm(
        total=round(recording.seconds), unit="s", leave=False, disable=None if is_long else True
    ) as bar:
        for segment in segments:
            yield segment
            bar.update(round(segment.end) - bar.n)


def _print(*lines: str) -> None:
    for line in lines:
        tqdm.write(line, file=sys.stdout)  # above the bar
    sys.stdout.flush()


def _entry(
    path: str, language: str, translate: str | None, names: Sequence[str], found: list[Segment]
) -> dict[str, Any]:
    keys = dict(zip(("transcription", "translation"), names, strict=False))
    whole = {
        key: " ".join(filter(None, (segment.texts[name] for segment in found)))
        for key, name in keys.items()
    }
    if translate:
        whole = {"target_language": translate} | whole
    segments = [
        {"start": round(segment.start, 3), "end": round(segment.end, 3)}
        | {key: segment.texts[name] for key, name in keys.items()}
        for segment in found
    ]
    return {"file": path, "language": language} | whole | {"segments": segments}
