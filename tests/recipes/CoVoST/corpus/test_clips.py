from pathlib import Path

import numpy as np
import pytest
import soundfile

from corpus.clips import Clip, ClipJournal, check_clip
from tests.helpers.corpus import write_clip


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    write_clip(folder / "good.mp3", 1.5)
    return folder


def test_duration_is_measured_in_seconds(clips: Path):
    assert check_clip(clips, "good.mp3").duration == pytest.approx(1.5, abs=0.05)
    soundfile.write(clips / "x.wav", np.sin(np.arange(8000)), 16000)
    assert check_clip(clips, "x.wav") == Clip(0.5)


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


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_finite_numbers(clips: Path, value: float):
    samples = np.sin(np.arange(8000))
    samples[4000] = value
    soundfile.write(clips / "x.wav", samples, 16000, "FLOAT")
    assert check_clip(clips, "x.wav") == Clip(0.0, "not_finite")


def test_silence_has_a_duration(clips: Path):
    for number, samples in enumerate((np.zeros(8000), np.full(8000, 0.3), 1e-6 * np.ones(8000))):
        soundfile.write(clips / f"{number}.wav", samples, 16000, "FLOAT")
        assert check_clip(clips, f"{number}.wav") == Clip(0.5, "silent")
    write_clip(clips / "silence.mp3", 0.5, volume=0.0)
    assert check_clip(clips, "silence.mp3").fault == "silent"
    write_clip(clips / "faint.mp3", 0.5, volume=1e-3)
    assert check_clip(clips, "faint.mp3").fault == ""


def test_a_length_that_no_memory_holds_is_not_believed(clips: Path):
    soundfile.write(clips / "x.flac", np.sin(np.arange(8000)), 16000)
    damaged = bytearray((clips / "x.flac").read_bytes())
    damaged[21] |= 0x0F  # the upper bits of STREAMINFO's 36 of the number of samples
    damaged[22] = 0xFF
    (clips / "x.flac").write_bytes(damaged)
    assert soundfile.info(clips / "x.flac").frames > 2**35
    assert check_clip(clips, "x.flac").fault in ("not_audio", "truncated")


def test_clips_of_several_blocks_are_read_whole(clips: Path, monkeypatch):
    whole = check_clip(clips, "good.mp3")
    for block in (10_000, 24_000, 72_000):  # the clip has 72,000 samples
        monkeypatch.setattr("corpus.clips.BLOCK", block)
        assert check_clip(clips, "good.mp3") == whole
    (clips / "cut.mp3").write_bytes((clips / "good.mp3").read_bytes()[:8000])
    assert check_clip(clips, "cut.mp3").fault == "truncated"


@pytest.mark.parametrize("rate", [1, 7999, 48_001, 96_007])
def test_rates_whose_filters_take_gigabytes(clips: Path, rate: int):
    soundfile.write(clips / "x.wav", np.sin(np.arange(8000)), rate)
    assert check_clip(clips, "x.wav", convert=True) == Clip(0.0, "sampling_rate")


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 32_000, 37_800, 44_100, 96_000, 192_000])
def test_rates_in_use(clips: Path, rate: int):
    soundfile.write(clips / "x.wav", np.sin(np.arange(8000)), rate)
    assert check_clip(clips, "x.wav", convert=True).fault == ""


@pytest.mark.parametrize("path", ["a" * 300, "a\0b", "good.mp3/x", "."])
def test_names_that_no_file_has(clips: Path, path: str):
    assert check_clip(clips, path).fault in ("missing", "link_outside")
    found = ClipJournal(clips.parent / "journal").check([("key", clips, path)], 1)
    assert found["key"].fault in ("missing", "link_outside")


def test_links(clips: Path, tmp_path: Path):
    (clips / "inner.mp3").symlink_to("good.mp3")
    assert check_clip(clips, "inner.mp3").fault == ""
    (clips / "gone.mp3").symlink_to("nothing.mp3")
    assert check_clip(clips, "gone.mp3").fault == "missing"
    write_clip(clips.parent / "elsewhere.mp3")
    (clips / "link.mp3").symlink_to(clips.parent / "elsewhere.mp3")
    assert check_clip(clips, "link.mp3").fault == "link_outside"
    (tmp_path / "linked").symlink_to(clips)  # the folder itself may be a link
    assert check_clip(tmp_path / "linked", "good.mp3") == check_clip(clips, "good.mp3")


def test_paths_out_of_the_folder_are_not_opened(clips: Path):
    write_clip(clips.parent / "secret.mp3")
    inside = str(clips / "good.mp3")  # absolute: it would be another clip on another machine
    outside = str(clips.parent / "secret.mp3")
    for path in ("../secret.mp3", outside, inside, "../clips/good.mp3"):
        assert check_clip(clips, path).fault == "outside_clips_folder"


def test_journal_remembers_until_a_clip_changes(clips: Path, tmp_path: Path, monkeypatch):
    asked = [("good", clips, "good.mp3")]
    found = ClipJournal(tmp_path / "journal").check(asked, 1)
    with (tmp_path / "journal").open("a") as journal:
        journal.write('5\n[1, [], "x", 2]\n["half a li')  # the last is what a killed run leaves
    looked_at = []
    monkeypatch.setattr("corpus.clips.check_clip", lambda *_: looked_at.append(1) or found["good"])
    assert ClipJournal(tmp_path / "journal").check(asked, 1) == found
    assert not looked_at
    write_clip(clips / "good.mp3", 0.7)
    ClipJournal(tmp_path / "journal").check(asked, 1)
    ClipJournal(tmp_path / "journal").check(asked, 1)
    assert len(looked_at) == 1
