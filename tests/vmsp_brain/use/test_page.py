"""What the page shows of several models; the page itself is tested with its command, demo.py."""

import re
from pathlib import Path

import pytest

from tests.helpers.corpus import write_clip
from vmsp_brain.use.loading import load_model
from vmsp_brain.use.page import answers


@pytest.fixture(scope="module")
def model(exported):
    """It knows en and es, and translates es into en."""
    return load_model(str(exported))


def test_each_model_is_shown_as_soon_as_it_is_done(model, tmp_path):
    write_clip(tmp_path / "clip.mp3")
    shown = list(answers({"a": model, "b": model}, str(tmp_path / "clip.mp3"), "es"))
    assert [page.count("class='times'") for page in shown] == [0, 1, 2]
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
    monkeypatch.setattr(model, "decode_file", lambda *_: {"asr/en": "<b>&"})
    *_, shown = answers({"<i>": model}, str(tmp_path / "clip.mp3"), "en")
    assert "&lt;b&gt;&amp;" in shown
    assert "<h2>&lt;i&gt;</h2>" in shown


def test_a_file_that_cannot_be_read_is_named_as_its_owner_names_it(model, tmp_path):
    (tmp_path / "<b>.wav").write_bytes(b"not audio")
    *_, shown = answers({"a": model}, str(tmp_path / "<b>.wav"), "en")
    assert "<p class='message'>&lt;b&gt;.wav cannot be read as audio" in shown
    assert str(tmp_path) not in shown


def test_a_model_that_does_not_know_the_language_says_so(model, tmp_path):
    *_, shown = answers({"a": model}, "clip.mp3", "fr")
    assert "This model does not know fr, but en, es." in shown


def test_without_audio_it_is_asked_for(model):
    assert list(answers({"a": model}, None, "en")) == [
        "<p class='message'>Record or upload speech first.</p>"
    ]
