"""The page of demo.py in a real browser that reaches nothing but this machine."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.helpers.commands import COMMANDS, ROOT, call
from tests.helpers.corpus import write_clip
from tests.helpers.sounds import write_long
from tests.helpers.untrained_runs import make_untrained_run, write_manifests
from transcribe import main as transcribe

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
MISSING = [name for name in ("gradio", "playwright") if find_spec(name) is None]
if CHROMIUM is None:
    MISSING.append("Chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING), reason=f"{', '.join(MISSING)} missing: `make test-demo`, see CONTRIBUTING.md"
    ),
]

OPTIONS = [
    "--no-sandbox",  # which root would need
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--use-fake-device-for-media-stream",  # a microphone that beeps
    "--use-fake-ui-for-media-stream",  # and is allowed
]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> list[Path]:
    """Two runs that know English, and another language each; the first finds which is spoken."""
    folder = tmp_path_factory.mktemp("models")
    write_manifests(folder / "manifests", ["en", "es", "fr"])
    for name, other, lid in (("UAS", "es", True), ("USA", "fr", False)):
        options = (f"--languages=[en, {other}]", f"--pairs=[{other}-en]", f"--lid={lid}")
        make_untrained_run(folder / name, folder / "manifests", *options, "--max_duration=5")
    return [folder / "UAS", folder / "USA"]


@pytest.fixture(scope="module")
def address(models, tmp_path_factory) -> Iterator[str]:
    """Of the page, served as a user does; Ctrl-C ends it."""
    words = [sys.executable, COMMANDS / "demo.py", *models]
    log = tmp_path_factory.mktemp("log") / "stderr"
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            words,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        said = process.stdout.readline()
        assert said.startswith("Open http://127.0.0.1:"), log.read_text()
        yield said.split()[1]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """The page, freshly opened; it must not ask anything of elsewhere, nor raise an error."""
    page = browser.new_page()
    page.set_default_timeout(120_000)  # a busy machine
    requests, errors = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.get_by_role("button", name="Transcribe").wait_for()
    yield page
    own = (address, f"blob:{address}", "data:")
    assert len(requests) > 10
    assert [url for url in requests if not url.startswith(own)] == []
    assert errors == []
    page.close()


def answer(page, clip: Path | None, language: str) -> list[str]:
    """What the cards say after an upload, if there is any, one per model."""
    if clip:
        page.locator("input[type=file]").first.set_input_files(clip)
        page.get_by_label("Clear").wait_for()
    page.get_by_label(language, exact=True).check()
    page.get_by_role("button", name="Transcribe").click()
    page.locator("article").nth(1).locator(".times, .message").wait_for()
    return page.locator("article").all_inner_texts()


def test_the_page_shows_what_transcribe_prints(page, models, tmp_path):
    clip = tmp_path / "my clip.mp3"
    write_clip(clip, 0.4)
    first, second = answer(page, clip, "es")
    options = ("--language=es", "--translate=en", "--model", models[0])
    transcript, translation = call(transcribe, clip, *options).stdout.splitlines()
    shown = page.locator("article").first
    assert shown.locator("[data-objective='asr/es'][lang=es]").inner_text() == transcript
    assert shown.locator("[data-objective='st/es-en'][lang=en]").inner_text() == translation
    assert transcript
    assert "0.4 s of audio in " in first
    assert str(models[0]) in first
    assert "This model does not know es, but en, fr." in second


def test_the_language_is_found_unless_it_is_chosen(page, models, tmp_path):
    clip = tmp_path / "clip.mp3"
    write_clip(clip, 0.4)  # no longer than those of training, hence one piece
    assert page.get_by_label("found", exact=True).is_checked()
    first, second = answer(page, clip, "found")
    printed = call(transcribe, clip, "--model", models[0])
    [language] = re.findall(r"the language is (en|es)\.", printed.stderr)
    assert f"Language found: {language}" in first
    shown = page.locator(f"article [data-objective='asr/{language}']")
    assert shown.all_inner_texts() == printed.stdout.splitlines()
    assert "This model does not find the language. Choose one: en, fr." in second


def test_of_a_long_recording_each_piece_is_shown_with_its_time(page, models, tmp_path):
    write_long(tmp_path / "long.wav")
    answer(page, tmp_path / "long.wav", "es")
    options = ("--language=es", "--model", models[0])
    printed = call(transcribe, tmp_path / "long.wav", *options).stdout
    shown = page.locator("article [data-objective='asr/es']").inner_text()
    assert shown.count("\n") > 5
    assert shown.splitlines() == re.sub(r"\[(\S+) - \S+\]", r"\1", printed).splitlines()


def test_faulty_audio_is_named_on_the_page(page, tmp_path):
    damaged = tmp_path / "damaged.wav"
    damaged.write_bytes(b"not audio at all" * 100)
    for card in answer(page, damaged, "en"):
        assert "\ndamaged.wav cannot be read as audio" in card


def test_silence_is_named_on_the_page(page, tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    assert "\nsilent.wav is silent" in answer(page, tmp_path / "silent.wav", "en")[0]


def test_without_audio_it_is_asked_for(page):
    page.get_by_role("button", name="Transcribe").click()
    page.get_by_text("Record or upload speech first.").wait_for()


def test_a_recording_is_transcribed(page):
    page.context.grant_permissions(["microphone"])
    page.get_by_label("Record audio").click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(2_500)
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_label("Trim audio to selection").wait_for()
    first, second = answer(page, None, "en")
    assert "s of audio in" in first
    assert "s of audio in" in second
