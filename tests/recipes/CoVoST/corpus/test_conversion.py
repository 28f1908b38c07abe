from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from corpus.clips import Clip, ClipJournal, check_clip
from corpus.conversion import converted_path, one_torch_thread, write_converted
from tests.helpers.corpus import write_clip
from vmsp_brain.audio import load_audio

STEP = 2.0**-15
"""One step of 16 bits."""


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "fr" / "clips"
    folder.mkdir(parents=True)
    write_clip(folder / "good.mp3", 1.5)
    return folder


def test_a_converted_clip_sounds_as_the_clip_does(clips: Path):
    assert not check_clip(clips, "good.mp3", convert=True).fault
    flac = converted_path(clips, "good.mp3")
    info = soundfile.info(flac)
    assert (info.format, info.subtype, info.samplerate, info.channels) == (
        "FLAC", "PCM_16", 16_000, 1,
    )  # fmt: skip
    torch.testing.assert_close(
        load_audio(str(flac)), load_audio(str(clips / "good.mp3")), rtol=0, atol=STEP
    )


def test_converting_does_not_change_what_is_found(clips: Path):
    (clips / "text.mp3").write_text("not audio " * 100)
    for name in ("good.mp3", "text.mp3", "absent.mp3"):
        assert check_clip(clips, name, convert=True) == check_clip(clips, name)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100])
def test_any_rate_and_channels_become_16_khz_mono(tmp_path: Path, rate: int):
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    stereo = np.stack([tone, np.zeros(rate)], axis=1).astype(np.float32)
    write_converted(stereo, rate, tmp_path / "x.flac")
    samples, found_rate = soundfile.read(tmp_path / "x.flac")
    assert (found_rate, samples.shape) == (16_000, (16_000,))
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert np.abs(samples - expected)[500:-500].max() < 0.01  # away from the filter's ends


def test_too_loud_samples_are_clipped_and_do_not_wrap(tmp_path: Path):
    loud = np.full((16_000, 1), 1.5, dtype=np.float32)
    write_converted(loud, 16_000, tmp_path / "x.flac")
    assert soundfile.read(tmp_path / "x.flac")[0].min() > 0.99


def test_clips_with_a_fault_are_not_converted(clips: Path):
    whole = (clips / "good.mp3").read_bytes()
    (clips / "cut.mp3").write_bytes(whole[: len(whole) // 2])
    (clips / "text.mp3").write_text("not audio " * 100)
    write_clip(clips.parent / "secret.mp3")
    for name in ("cut.mp3", "text.mp3", "absent.mp3", "../secret.mp3", "../clips/good.mp3"):
        assert check_clip(clips, name, convert=True).fault
    assert not list(clips.parent.rglob("*.flac"))


def test_names_that_differ_in_their_ending_have_copies_of_their_own(clips: Path):
    soundfile.write(clips / "good.wav", np.zeros(16_000), 16_000)
    for name in ("good.mp3", "good.wav"):
        check_clip(clips, name, convert=True)
    lengths = {soundfile.info(path).frames for path in (clips.parent / "flac").iterdir()}
    assert len(lengths) == 2


def test_what_cannot_be_written_is_an_error_that_keeps_the_old_copy(clips: Path, monkeypatch):
    check_clip(clips, "good.mp3", convert=True)
    before = converted_path(clips, "good.mp3").read_bytes()

    def full_disk(file, *_, **__):
        Path(file).write_bytes(b"fLaC, half of it")
        raise soundfile.LibsndfileError(2)

    monkeypatch.setattr("corpus.conversion.soundfile.write", full_disk)
    with pytest.raises(OSError, match=r"good.mp3.flac: cannot be written.*without convert_audio"):
        check_clip(clips, "good.mp3", convert=True)
    assert converted_path(clips, "good.mp3").read_bytes() == before
    assert len(list((clips.parent / "flac").iterdir())) == 1


def test_the_journal_converts_what_has_no_copy_and_leaves_alone_what_has(clips, tmp_path):
    asked = [("good", clips, "good.mp3")]

    def check(convert: bool) -> dict[str, Clip]:
        return ClipJournal(tmp_path / "journal").check(asked, 1, convert)

    found = check(convert=False)
    flac = converted_path(clips, "good.mp3")
    assert not flac.exists()
    assert check(convert=True) == found
    first = flac.stat().st_ino
    assert check(convert=True) == found
    assert flac.stat().st_ino == first
    flac.unlink()
    assert check(convert=True) == found
    assert flac.exists()
    frames = soundfile.info(flac).frames
    write_clip(clips / "good.mp3", 0.7)  # another clip of that name: its copy is made anew
    check(convert=True)
    assert soundfile.info(flac).frames < frames


def test_torch_gets_its_threads_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyError), one_torch_thread():
            assert torch.get_num_threads() == 1
            raise KeyError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
