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

from speechbrain.dataio import audio_io

from vmsp_brain import threads
from vmsp_brain.names import source_of, split_pair
from vmsp_brain.use.inference import SpeechTranslator

if TYPE_CHECKING:  # it is no dependency of the library: who opens a page installs it
    import gradio

TITLE = "Speech recognition and translation"
STYLE = Path(__file__).with_name("page.css")
KEPT = 3600  # s that a recording is kept, if the page is not closed before

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

    languages = list(dict.fromkeys(each for model in models.values() for each in known(model)))
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
    return list(dict.fromkeys(map(source_of, model.hparams.tokenizers)))


def answers(models: Models, path: str | None, language: str) -> Iterator[str]:
    """What the page shows, after each model that is done.

    Arguments
    ---------
    models : dict
        At least one.
    path : str, optional
        Of the audio, if there is any.
    language : str
        Which is spoken.
    """
    if path is None:
        yield _message("Record or upload speech first.")
        return
    cards = {name: _card(name, "<p class='busy'>…</p>") for name in models}
    yield _side_by_side(cards)
    for name, model in models.items():
        cards[name] = _card(name, _answer(model, path, language))
        yield _side_by_side(cards)


def _answer(model: SpeechTranslator, path: str, language: str) -> str:
    """What a model makes of a file, or why it does not."""
    if language not in known(model):
        return _message(f"This model does not know {language}, but {', '.join(known(model))}.")
    try:
        return _texts(model, path, language)
    except (FileNotFoundError, ValueError) as error:
        return _message(str(error).replace(path, Path(path).name))


def _texts(model: SpeechTranslator, path: str, language: str) -> str:
    names = sorted(name for name in model.hparams.tokenizers if source_of(name) == language)
    threads.set_number(model.mods)  # each request has a thread of its own
    started = time.perf_counter()
    texts = model.decode_file(path, names)
    seconds, duration = time.perf_counter() - started, audio_io.info(path).duration
    times = f"{duration:.1f} s of audio in {seconds:.2f} s, {duration / seconds:.1f} × real time"
    parts = [_text(name, text) for name, text in texts.items()]
    return "".join([*parts, f"<p class='times'>{times}</p>"])


def _text(name: str, text: str) -> str:
    task, _, languages = name.partition("/")
    title = "Transcript" if task == "asr" else "Translation"
    written = languages if task == "asr" else split_pair(languages)[1]
    return (
        f"<h3>{title} <span>{written}</span></h3>"
        f"<p class='text' lang='{written}' data-objective='{name}'>{escape(text)}</p>"
    )


def _message(text: str) -> str:
    return f"<p class='message'>{escape(text)}</p>"


def _card(name: str, content: str) -> str:
    return f"<article><h2>{escape(name)}</h2>{content}</article>"


def _side_by_side(cards: Mapping[str, str]) -> str:
    return f"<div class='models' aria-live='polite'>{''.join(cards.values())}</div>"
