import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.helpers.commands import call
from tests.helpers.corpus import write_clip
from transcribe import main
from vmsp_brain.encoders import ConformerEncoder

pytestmark = pytest.mark.slow


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


def test_silent_and_broken_files_are_named_and_the_others_are_transcribed(uas_run, clip: Path):
    samples = {
        "silent": np.zeros(16_000),
        "nan": np.full(16_000, np.nan),
    }
    for name, wave in samples.items():
        soundfile.write(clip.with_name(f"{name}.wav"), wave, 16_000, subtype="FLOAT")
    files = [clip.with_name(f"{name}.wav") for name in samples]
    done = transcribe(
        *files, clip, "--language=es", "--translate=en", "--json", "--model", uas_run[0],
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert [item["file"] for item in json.loads(done.stdout)] == [str(clip)]
    messages = done.stderr.splitlines()
    assert messages[0].startswith(f"{files[0]} is silent from 0 to 1.0 s")
    assert messages[1].startswith(f"{files[1]}, at 0.000 s: samples that are not finite")


def test_how_long_a_piece_may_be_is_an_option(uas_run, clip: Path):
    arguments = (clip, "--language=es", "--json", "--model", uas_run[0])
    for seconds, pieces in (("0.5", 2), ("1", 1)):
        [found] = json.loads(transcribe(*arguments, f"--max_duration={seconds}").stdout)
        assert len(found["segments"]) == pieces


def test_a_file_goes_through_the_encoder_once(uas_run, clip: Path, monkeypatch):
    calls = []
    own = ConformerEncoder.forward
    monkeypatch.setattr(ConformerEncoder, "forward", lambda *a: calls.append(1) or own(*a))
    transcribe(clip, "--language=es", "--translate=en", "--model", uas_run[0])
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--language=fr"], "language: found 'fr', expected one of en, es, it"),
        (["--language=en", "--translate=es"], "pair: found 'en-es', expected one of es-en, it-en"),
        ([], "the following arguments are required: --language"),
        (["--language=en", "--max_duration=-1"], "max_duration: found -1, expected seconds above"),
        (["--language=en", "--model=/nowhere/at/all"], "/nowhere/at/all"),
    ],
)
def test_what_the_model_cannot_do_is_said(uas_run, clip: Path, options, message):
    done = transcribe(clip, f"--model={uas_run[0]}", *options, check=False)
    assert done.returncode != 0
    assert message in done.stderr
    assert not done.stdout
