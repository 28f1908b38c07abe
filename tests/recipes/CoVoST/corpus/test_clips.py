from pathlib import Path

import numpy as np
import pytest
import soundfile

from corpus.clips import ClipJournal, check_clip
from tests.helpers.corpus import write_clip


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    write_clip(folder / "good.mp3", 1.5)
    return folder


def test_duration_is_measured_in_seconds(clips: Path):
    assert check_clip(clips, "good.mp3").duration == pytest.approx(1.5, abs=0.05)
    soundfile.write(clips / "x.wav", np.zeros(8000), 16000)
    assert check_clip(clips, "x.wav").duration == 0.5


@pytest.mark.parametrize("kept", [0.95, 0.6, 0.3])
def test_truncated_mp3(clips: Path, kept: float):
    whole = (clips / "good.mp3").read_bytes()
    (clips / "cut.mp3").write_bytes(whole[: int(kept * len(whole))])
    assert check_clip(clips, "cut.mp3").fault == "truncated"


def test_tags_are_no_fault(clips: Path):
    whole = (clips / "good.mp3").read_bytes()
    tagged = b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10) + whole + b"TAG" + bytes(125)
    (clips / "tagged.mp3").write_bytes(tagged)
    assert check_clip(clips, "tagged.mp3") == check_clip(clips, "good.mp3")


def test_missing_empty_and_foreign_files(clips: Path):
    (clips / "empty.mp3").touch()
    (clips / "text.mp3").write_text("This is not audio. " * 200)
    assert check_clip(clips, "absent.mp3").fault == "missing"
    assert check_clip(clips, "empty.mp3").fault == "empty_file"
    assert check_clip(clips, "text.mp3").fault == "not_audio"
    assert check_clip(clips, "").fault  # the folder itself


def test_paths_out_of_the_folder_are_not_opened(clips: Path):
    write_clip(clips.parent / "secret.mp3")
    (clips / "link.mp3").symlink_to(clips.parent / "secret.mp3")
    inside = str(clips / "good.mp3")  # absolute: it would be another clip on another machine
    outside = str(clips.parent / "secret.mp3")
    for path in ("../secret.mp3", outside, "link.mp3", inside, "../clips/good.mp3"):
        assert check_clip(clips, path).fault == "outside_clips_folder"


def test_journal_remembers_until_a_clip_changes(clips: Path, tmp_path: Path, monkeypatch):
    asked = [("good", clips, "good.mp3")]
    found = ClipJournal(tmp_path / "journal").check(asked, 1)
    with (tmp_path / "journal").open("a") as journal:
        journal.write('["half a li')  # what a killed run leaves
    looked_at = []
    monkeypatch.setattr("corpus.clips.check_clip", lambda *_: looked_at.append(1) or found["good"])
    assert ClipJournal(tmp_path / "journal").check(asked, 1) == found
    assert not looked_at
    write_clip(clips / "good.mp3", 0.7)
    ClipJournal(tmp_path / "journal").check(asked, 1)
    ClipJournal(tmp_path / "journal").check(asked, 1)
    assert len(looked_at) == 1
