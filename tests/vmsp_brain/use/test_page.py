"""What the page shows of several models; the page itself is tested with its command, demo.py."""

import re
from pathlib import Path

import pytest

from tests.helpers.commands import call
from tests.helpers.corpus import write_clip
from tests.helpers.small_translator import small_translator
from tests.helpers.sounds import write_long
from vmsp_brain.commands.transcribe import main as transcribe
from vmsp_brain.use.inference import SpeechTranslator
from vmsp_brain.use.loading import load_model
from vmsp_brain.use.page import FOUND, answers, choices


@pytest.fixture(scope="module")
def model(exported):
    """It knows en and es, and translates es into en; clips are no longer than it is used to."""
    return load_model(str(exported), overrides={"max_duration": 5.0})


@pytest.fixture(scope="module")
def identifying(tmp_path_factory) -> SpeechTranslator:
    """It knows en and fr, and finds which is spoken."""
    return small_translator(tmp_path_factory.mktemp("tokenizer"), lid=True)


def test_each_model_is_shown_as_soon_as_it_is_done(model, tmp_path):
    write_clip(tmp_path / "clip.mp3")
    shown = list(answers({"a": model, "b": model}, str(tmp_path / "clip.mp3"), "es"))
    assert [page.count("class='times'") for page in shown] == [0, 0, 1, 1, 2]
    assert [page.count("class='busy'") for page in shown] == [2, 2, 1, 1, 0]
    assert all(re.findall("<h2>(.)</h2>", page) == ["a", "b"] for page in shown)
    objectives = re.findall("data-objective='([^']+)'", shown[-1])
    assert objectives == ["asr/es", "st/es-en"] * 2


def test_texts_are_the_models(model, tmp_path):
    clip = str(tmp_path / "clip.mp3")
    write_clip(Path(clip))
    *_, shown = answers({"a": model}, clip, "en")
    assert f"data-objective='asr/en'>{model.transcribe_file(clip, 'en')}</p>" in shown


def test_what_a_model_writes_is_text_and_no_html(model, tmp_path, monkeypatch):
    write_clip(tmp_path / "clip.mp3")
    monkeypatch.setattr(model, "decode_batch", lambda *_: {"asr/en": ["<b>&"]})
    *_, shown = answers({"<i>": model}, str(tmp_path / "clip.mp3"), "en")
    assert "&lt;b&gt;&amp;" in shown
    assert "<h2>&lt;i&gt;</h2>" in shown


def test_a_file_that_cannot_be_read_is_named_as_its_owner_names_it(model, tmp_path):
    (tmp_path / "<b>.wav").write_bytes(b"not audio")
    *_, shown = answers({"a": model}, str(tmp_path / "<b>.wav"), "en")
    assert "<p class='message'>&lt;b&gt;.wav cannot be read as audio" in shown
    assert str(tmp_path) not in shown


def test_a_model_that_does_not_know_the_language_says_so(model, tmp_path):
    write_clip(tmp_path / "clip.mp3")
    *_, shown = answers({"a": model}, str(tmp_path / "clip.mp3"), "fr")
    assert "This model does not know fr, but en, es." in shown


def test_without_audio_it_is_asked_for(model):
    assert list(answers({"a": model}, None, "en")) == [
        "<p class='message'>Record or upload speech first.</p>"
    ]


def test_the_language_is_to_be_chosen_where_no_model_finds_it(model):
    assert choices({"a": model}) == ["en", "es"]


def test_found_is_the_first_choice_where_a_model_finds_it(model, identifying):
    assert choices({"a": model, "b": identifying}) == [FOUND, "en", "es", "fr"]


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_language_that_is_found_is_shown_and_transcribed(
    model, identifying, tmp_path, monkeypatch, language
):
    clip = str(tmp_path / "clip.mp3")
    write_clip(Path(clip))
    monkeypatch.setattr(identifying, "identify", lambda recording: language)
    *_, shown = answers({"a": identifying, "b": model}, clip, FOUND)
    assert f"Language found: {language}" in shown
    text = identifying.transcribe_file(clip, language)
    assert f"data-objective='asr/{language}'>{text}</p>" in shown
    assert shown.count("data-objective='asr/") == 1
    assert "This model does not find the language. Choose one: en, es." in shown


def test_of_a_chosen_language_nothing_is_said(identifying, tmp_path):
    write_clip(tmp_path / "clip.mp3")
    *_, shown = answers({"a": identifying}, str(tmp_path / "clip.mp3"), "fr")
    assert "Language found" not in shown


def test_a_long_recording_is_shown_piece_by_piece_as_transcribe_prints_it(exported, tmp_path):
    model = load_model(str(exported), overrides={"max_duration": 5.0})
    write_long(tmp_path / "long.wav")
    *parts, shown = answers({"a": model}, str(tmp_path / "long.wav"), "es")
    options = ("--language=es", "--translate=en", "--model", exported, "--max_duration=5")
    printed = call(transcribe, tmp_path / "long.wav", *options).stdout.splitlines()
    lines = re.findall(r"\[([\d:.]+) - [\d:.]+\] (.*)", "\n".join(printed))
    assert len(lines) == len(printed) > 10
    for objective, expected in (("asr/es", lines[::2]), ("st/es-en", lines[1::2])):
        [text] = re.findall(f"data-objective='{objective}'>(.*?)</p>", shown)
        assert re.findall(r"<time>(.*?)</time> (.*?)(?:<br>|$)", text) == expected
    assert [page.count("<time>") for page in parts] == list(range(0, len(printed) + 1, 2))
