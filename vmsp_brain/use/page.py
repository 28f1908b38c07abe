"""A page to try models: recorded or uploaded speech, and what each makes of it, side by side.

Gradio serves it to this machine alone. Nothing on it comes from elsewhere, nothing is sent there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from vmsp_brain import threads
from vmsp_brain.names import source_of, split_pair
from vmsp_brain.use.inference import Segment, SpeechTranslator
from vmsp_brain.use.recording import Recording
from vmsp_brain.use.subtitles import clock

if TYPE_CHECKING:  # it is no dependency of the library: who opens a page installs it
    import gradio

TITLE = "Speech recognition and translation"
STYLE = Path(__file__).with_name("page.css")
BUSY = "<p class='busy'>…</p>"
KEPT = 3600  # s that a recording is kept, if the page is not closed before
FOUND = "found"
"""What stands among the languages for the one that a model finds."""

Models = Mapping[str, SpeechTranslator]
"""By the names that the page shows."""


def make_page(models: Models) -> gradio.Blocks:
    """The page, to be launched with `serve`.

    Arguments
    ---------
    models : dict
        At least one.
    """
    import gradio

    languages = choices(models)
    blocks = gradio.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(KEPT, KEPT))
    with blocks as page:
        gradio.HTML(f"<h1>{TITLE}</h1>")
        with gradio.Row():
            audio = gradio.Audio(
                sources=["upload", "microphone"],
                type="filepath",
                label="Speech",
                buttons=["download"],  # and none that shares it
                min_width=280,
            )
            with gradio.Column(min_width=280):
                language = gradio.Radio(languages, value=languages[0], label="Language spoken")
                button = gradio.Button("Transcribe", variant="primary")
        results = gradio.HTML()
        button.click(partial(answers, models), [audio, language], results, show_progress="hidden")
    return page


def serve(page: gradio.Blocks) -> None:
    """Show the page to browsers of this machine until Ctrl-C, and print where.

    Raises
    ------
    OSError
        If there is no free port, or that of ``GRADIO_SERVER_PORT`` is not free.
    """
    import gradio

    system = ["system-ui", "sans-serif"]  # others would be loaded
    _, address, _ = page.launch(
        theme=gradio.themes.Default(
            primary_hue="blue", font=system, font_mono=["ui-monospace", "monospace"]
        ),
        css_paths=STYLE,
        footer_links=[],
        server_name="127.0.0.1",
        share=False,
        ssr_mode=False,
        quiet=True,
        prevent_thread_lock=True,
    )
    print(f"Open {address} in a browser of this machine. Ctrl-C ends it.", flush=True)
    page.block_thread()


def known(model: SpeechTranslator) -> list[str]:
    """Languages that a model recognizes or translates from."""
    return list(dict.fromkeys(_sources(model).values()))


def _sources(model: SpeechTranslator) -> dict[str, str]:
    """The language that each objective hears; ``lid``, which hears all, is left out."""
    return {name: source_of(name) for name in model.hparams.tokenizers if name != "lid"}


def choices(models: Models) -> list[str]:
    """Languages to choose from; before them ``found``, where a model finds the language itself.

    Arguments
    ---------
    models : dict
        At least one.
    """
    found = [FOUND] if any(model.identifies for model in models.values()) else []
    return list(dict.fromkeys([*found, *(each for m in models.values() for each in known(m))]))


def answers(models: Models, path: str | None, language: str) -> Iterator[str]:
    """What the page shows, after each piece of the recording that a model is done with.

    Arguments
    ---------
    models : dict
        At least one.
    path : str, optional
        Of the audio, if there is any.
    language : str
        Which is spoken, one of `choices`.
    """
    if path is None:
        yield _message("Record or upload speech first.")
        return
    cards = {name: _card(name, BUSY) for name in models}
    yield _side_by_side(cards)
    for name, model in models.items():
        for content in _answer(model, path, language):
            cards[name] = _card(name, content)
            yield _side_by_side(cards)


def _answer(model: SpeechTranslator, path: str, language: str) -> Iterator[str]:
    """What a model makes of a file, piece by piece, or why it does not."""
    try:
        yield from _texts(model, Recording(path), language)
    except (FileNotFoundError, ValueError) as error:
        yield _message(str(error).replace(path, Path(path).name))


def _texts(model: SpeechTranslator, recording: Recording, language: str) -> Iterator[str]:
    threads.set_number(model.mods)  # each request has a thread of its own
    started, duration = time.perf_counter(), recording.seconds
    spoken = _spoken(model, recording, language)
    head = f"<p class='found'>Language found: {spoken}</p>" if language == FOUND else ""
    names = sorted(name for name, source in _sources(model).items() if source == spoken)
    is_long = duration > model.max_seconds
    found: list[Segment] = []
    for segment in model.segments(recording, names):
        found.append(segment)
        texts = head + "".join(_text(name, found, is_long) for name in names)
        yield texts + BUSY
    seconds = time.perf_counter() - started
    times = f"{duration:.1f} s of audio in {seconds:.2f} s, {duration / seconds:.1f} × real time"
    yield f"{texts}<p class='times'>{times}</p>"


def _spoken(model: SpeechTranslator, recording: Recording, language: str) -> str:
    """The language, chosen or found; an error for whom the model cannot serve."""
    languages = ", ".join(known(model))
    if language == FOUND and not model.identifies:
        raise ValueError(f"This model does not find the language. Choose one: {languages}.")
    spoken = model.identify(recording) if language == FOUND else language
    if spoken not in known(model):
        raise ValueError(f"This model does not know {spoken}, but {languages}.")
    return spoken


def _text(name: str, segments: list[Segment], is_long: bool) -> str:
    """What an objective made of the segments; those of a long recording each with its time."""
    task, _, languages = name.partition("/")
    title = "Transcript" if task == "asr" else "Translation"
    written = languages if task == "asr" else split_pair(languages)[1]
    times = [f"<time>{clock(each.start)}</time> " if is_long else "" for each in segments]
    lines = [time + escape(each.texts[name]) for time, each in zip(times, segments, strict=True)]
    return (
        f"<h3>{title} <span>{written}</span></h3>"
        f"<p class='text' lang='{written}' data-objective='{name}'>{'<br>'.join(lines)}</p>"
    )


def _message(text: str) -> str:
    return f"<p class='message'>{escape(text)}</p>"


def _card(name: str, content: str) -> str:
    return f"<article><h2>{escape(name)}</h2>{content}</article>"


def _side_by_side(cards: Mapping[str, str]) -> str:
    return f"<div class='models' aria-live='polite'>{''.join(cards.values())}</div>"
