"""Any folder of audio as material for self-supervision."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from corpus.unlabelled import prepare_unlabelled
from tests.helpers.commands import train
from vmsp_brain.data.batches import MultilingualBatch, MultilingualDataset
from vmsp_brain.data.loading import _batching
from vmsp_brain.data.manifests import read_manifest, unlabelled_dataset, unlabelled_manifest
from vmsp_brain.data.samplers import MultilingualSampler


def write(path: Path, seconds: float, rate: int = 16_000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(0).normal(0, 0.1, (round(rate * seconds), channels))
    soundfile.write(path, samples.astype(np.float32), rate)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Audio of every kind, at several depths and rates, and files that are none."""
    write(tmp_path / "audio" / "a.wav", 1.0)
    write(tmp_path / "audio" / "deep" / "er" / "b.flac", 2.0, rate=44_100, channels=2)
    write(tmp_path / "audio" / "deep" / "C.MP3", 1.5, rate=48_000)
    write(tmp_path / "audio" / "short.wav", 0.1)
    write(tmp_path / "audio" / "long.wav", 9.0)
    soundfile.write(tmp_path / "audio" / "nan.wav", np.full(16_000, np.nan), 16_000, "FLOAT")
    soundfile.write(tmp_path / "audio" / "zero.wav", np.zeros(16_000), 16_000)
    (tmp_path / "audio" / "empty.wav").touch()
    (tmp_path / "audio" / "text.mp3").write_text("no audio")
    (tmp_path / "audio" / "notes.txt").write_text("not asked for")
    return tmp_path / "audio"


def test_all_audio_is_found_and_all_else_counted(folder, tmp_path, capsys):
    prepare_unlabelled([str(folder)], tmp_path, 0.5, 5.0)
    found = read_manifest(unlabelled_manifest(tmp_path), "")
    assert {Path(item["wav"]).name for item in found.values()} == {"a.wav", "b.flac", "C.MP3"}
    rejected = json.loads((tmp_path / "unlabelled_rejected.json").read_text())
    assert {Path(name).name: fault for name, fault in rejected.items()} == {
        "short.wav": "too_short",
        "long.wav": "too_long",
        "empty.wav": "empty_file",
        "text.mp3": "not_audio",
        "nan.wav": "not_finite",
        "zero.wav": "silent",
    }
    printed = capsys.readouterr().out
    assert "3 files" in printed and "too_long 1" in printed
    dataset = unlabelled_dataset(found)
    lengths = {Path(item["id"]).name: len(item["sig"]) for item in dataset}
    assert lengths["a.wav"] == 16_000 and lengths["b.flac"] == 32_000  # mono, 16 kHz
    assert lengths["C.MP3"] == pytest.approx(24_000, abs=3_000)  # MPEG frames


def test_a_run_that_goes_on_reads_what_it_read_before(folder, tmp_path):
    prepare_unlabelled([str(folder)], tmp_path, 0.5, 5.0)
    before = unlabelled_manifest(tmp_path).read_text()
    write(folder / "new.wav", 1.0)
    prepare_unlabelled([str(folder)], tmp_path, 0.5, 5.0)
    assert unlabelled_manifest(tmp_path).read_text() == before


def test_useless_folders_are_refused_by_name(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a folder"):
        prepare_unlabelled([str(folder), "nowhere"], tmp_path, 0.5, 5.0)
    (tmp_path / "bare").mkdir()
    with pytest.raises(FileNotFoundError, match=r"found no \.wav, \.flac, \.mp3 in .*bare"):
        prepare_unlabelled([str(tmp_path / "bare")], tmp_path, 0.5, 5.0)
    with pytest.raises(FileNotFoundError, match=r"none of the 9 files .*too_short"):
        prepare_unlabelled([str(folder)], tmp_path, 20.0, 30.0)
    assert not unlabelled_manifest(tmp_path).exists()


def test_a_text_is_no_list_of_folders(folder, tmp_path):
    message = r"unlabelled_folders: found the text '/.*audio', expected a list such as \[/.*audio\]"
    with pytest.raises(ValueError, match=message):
        prepare_unlabelled(str(folder), tmp_path, 0.5, 5.0)


@pytest.mark.parametrize(
    ("size", "ratio", "expected"),
    [
        (8, 0.25, {"ssl": 6, "unlabelled": 2}),
        (2, 0.5, {"ssl": 1, "unlabelled": 1}),
        (3, 1.0, {"unlabelled": 3}),
    ],
)
def test_every_draw_has_the_stated_share(size, ratio, expected):
    batching = ssl_batching(size, ratio)
    assert set(batching) == set(expected)
    sources = {name: [{"id": name}] * 480 for name in ("ssl", "unlabelled")}
    dataset = MultilingualDataset(sources, {"unlabelled": "ssl"})
    for keys in MultilingualSampler(batching, steps=5, seed=0):
        for draw in MultilingualBatch([dataset[key] for key in keys]).draws:
            assert set(draw) == {"ssl"}
            assert {name: draw["ssl"].id.count(name) for name in expected} == expected


@pytest.mark.parametrize(("size", "ratio"), [(8, 0.0), (8, 1.5), (2, 0.1)])
def test_impossible_shares_are_refused(size, ratio):
    with pytest.raises(ValueError, match=rf"unlabelled_ratio: found {ratio}"):
        ssl_batching(size, ratio)


def ssl_batching(size: int, ratio: float) -> dict:
    """Batches for SSL alone, of corpus and unlabelled audio."""
    hparams = {
        "languages": ["en"],
        "dynamic_batching": False,
        "batch_size": 1,
        "ssl_batch_size": size,
        "sampling_temperature": float("inf"),
        "unlabelled_ratio": ratio,
    }
    batching = _batching(hparams, dict.fromkeys(("en", "ssl", "unlabelled"), [1.0] * 480))
    del batching["en"]
    return batching


@pytest.mark.slow
def test_a_run_reads_it(mini_covost, folder, tmp_path):
    done = train(
        "uas.yaml", mini_covost, tmp_path / "run", "--languages=[en, fr]",
        "--pairs=[fr-en]", f"--unlabelled_folders=[{folder}]", "--number_of_epochs=1",
    )  # fmt: skip
    assert "Unlabelled audio: 4 files" in done.stdout  # long.wav is under max_duration
    assert "train loss ssl" in (tmp_path / "run" / "train_log.txt").read_text()
