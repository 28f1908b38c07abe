import json
from pathlib import Path

import pytest

from tests.helpers.commands import call
from tests.helpers.corpus import write_clip
from transcribe import main


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    write_clip(tmp_path / "clip.mp3")
    return tmp_path / "clip.mp3"


def transcribe(*arguments, check: bool = True):
    return call(main, *arguments, check=check)


def test_text_and_json_say_the_same(uas_run, clip: Path):
    arguments = (clip, "--language=es", "--translate=en", "--model", uas_run[0])
    lines = transcribe(*arguments).stdout.split("\n")
    [found] = json.loads(transcribe(*arguments, "--json").stdout)
    assert lines == [found["transcription"], found["translation"], ""]
    assert (found["language"], found["target_language"]) == ("es", "en")


def test_a_damaged_file_is_named_and_the_others_are_transcribed(uas_run, clip: Path):
    damaged = clip.with_name("damaged.mp3")
    damaged.write_bytes(b"not audio at all" * 100)
    done = transcribe(
        damaged, clip, clip.with_name("none.mp3"), "--language=en", "--json", "--model", uas_run[0],
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert [item["file"] for item in json.loads(done.stdout)] == [str(clip)]
    assert "damaged.mp3 cannot be read as audio" in done.stderr
    assert "none.mp3: there is no such file" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--language=fr"], "language: found 'fr', expected one of en, es, it"),
        (["--language=en", "--translate=es"], "pair: found 'en-es', expected one of es-en, it-en"),
        ([], "the following arguments are required: --language"),
        (["--language=en", "--model=/nowhere/at/all"], "/nowhere/at/all"),
    ],
)
def test_what_the_model_cannot_do_is_said(uas_run, clip: Path, options, message):
    done = transcribe(clip, f"--model={uas_run[0]}", *options, check=False)
    assert done.returncode != 0
    assert message in done.stderr
    assert not done.stdout
