"""A recording of any length: cut in its silences, a bounded part of it at a time."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.helpers.small_translator import small_translator
from tests.helpers.sounds import SILENCE, SOUNDS, write_long
from tests.helpers.untrained_runs import make_untrained_run, write_manifests
from vmsp_brain.use import inference
from vmsp_brain.use.export import export_run
from vmsp_brain.use.inference import SpeechTranslator
from vmsp_brain.use.loading import load_model
from vmsp_brain.use.recording import Recording
from vmsp_brain.use.transcription import transcribe_files


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> SpeechTranslator:
    return small_translator(tmp_path_factory.mktemp("tokenizer"), max_duration=5.0)


@pytest.fixture(scope="module")
def identifying(tmp_path_factory) -> SpeechTranslator:
    return small_translator(tmp_path_factory.mktemp("tokenizer"), lid=True)


@pytest.fixture(scope="module")
def run_with_lid(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lid")
    write_manifests(folder / "manifests", ["en", "es"])
    options = ("--languages=[en, es]", "--pairs=[es-en]", "--lid=True")
    make_untrained_run(folder / "run", folder / "manifests", *options)
    return folder / "run"


@pytest.mark.parametrize(
    ("name", "rate", "channels"),
    [("a.wav", 16_000, 1), ("a.mp3", 48_000, 2), ("a.flac", 22_050, 1)],
)
def test_every_piece_is_one_sound_and_its_boundaries_lie_in_the_silences(
    model, tmp_path, name, rate, channels
):
    places = write_long(tmp_path / name, rate, channels)
    found = list(model.segments(Recording(tmp_path / name), ["asr/fr"]))
    assert len(found) == len(places)
    for segment, (start, end) in zip(found, places, strict=True):
        assert start - SILENCE < segment.start < start + 0.02
        assert end - 0.02 < segment.end < end + SILENCE


def test_a_files_text_is_that_of_its_pieces_in_order(model, tmp_path, monkeypatch):
    monkeypatch.setattr(inference, "TOGETHER", 1)
    write_long(tmp_path / "long.wav")
    recording, names = Recording(tmp_path / "long.wav"), ["asr/fr", "st/fr-en"]
    found = list(model.segments(recording, names))
    for segment in found:
        wav = recording.read(segment.start, segment.end).unsqueeze(0)
        alone = model.decode_batch(wav, torch.ones(1), names)
        assert segment.texts == {name: text for name, [text] in alone.items()}
    joined = " ".join(filter(None, (segment.texts["asr/fr"] for segment in found)))
    assert joined
    assert model.transcribe_file(tmp_path / "long.wav", "fr") == joined


def test_each_piece_of_a_batch_keeps_its_own_text(model, tmp_path, monkeypatch):
    def describe(wavs, lengths, names):
        sizes = (lengths * wavs.shape[1]).round().long().tolist()
        told = [
            f"{size} {wav[:size].square().sum():.3f}"
            for wav, size in zip(wavs, sizes, strict=False)
        ]
        return dict.fromkeys(names, told)

    monkeypatch.setattr(model, "decode_batch", describe)
    write_long(tmp_path / "long.wav")
    recording = Recording(tmp_path / "long.wav")
    texts = []
    for segment in model.segments(recording, ["asr/fr"]):
        wav = recording.read(segment.start, segment.end)
        texts.append(segment.texts["asr/fr"])
        assert texts[-1] == f"{len(wav)} {wav.square().sum():.3f}"
    assert len(set(texts)) == len(SOUNDS)


def test_only_a_part_of_the_recording_is_in_memory(model, tmp_path, monkeypatch):
    """A window at a time, and less than the longest file that is taken whole at once."""
    monkeypatch.setattr(inference, "WINDOW", 4.0)
    write_long(tmp_path / "long.wav")
    decode, read, decoded = model.decode_batch, [], []
    own_read = Recording.read
    monkeypatch.setattr(Recording, "read", lambda *a: read.append(a[2] - a[1]) or own_read(*a))
    monkeypatch.setattr(
        model, "decode_batch", lambda wavs, *a: decoded.append(wavs.numel()) or decode(wavs, *a)
    )
    given = []
    for segment in model.segments(Recording(tmp_path / "long.wav"), ["asr/fr"]):
        assert sum(read) - sum(given) <= 4.0 + model.max_seconds
        given.append(segment.end - segment.start)
    assert max(decoded) <= model.max_seconds * 16_000 * 1.001
    assert len(decoded) < len(given), "pieces of similar length are decoded together"


def test_a_block_at_a_time_is_measured(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "long.wav", np.tile([0.1, -0.1], 8_000 * 300), 16_000)
    sizes, read = [], soundfile.SoundFile.read
    monkeypatch.setattr(
        soundfile.SoundFile, "read", lambda *a, **k: sizes.append(a[1]) or read(*a, **k)
    )
    assert len(Recording(tmp_path / "long.wav").levels) == 300 * 100
    assert len(sizes) == 30
    assert max(sizes) == 10 * 16_000


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_where_a_long_file_is_not_finite_is_said_before_anything_is_transcribed(
    model, tmp_path, value
):
    samples = 0.1 * np.ones(16_000 * 30, dtype=np.float32)
    samples[round(16_000 * 22.25)] = value
    soundfile.write(tmp_path / "bad.wav", samples, 16_000, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"bad\.wav, at 22\.250 s: samples that are not finite"):
        next(model.segments(Recording(tmp_path / "bad.wav"), ["asr/fr"]))


def test_long_silence_and_clicks_are_not_transcribed(model, tmp_path):
    samples = np.zeros(16_000 * 30)
    soundfile.write(tmp_path / "silent.wav", samples, 16_000)
    samples[::32_000] = 0.5
    soundfile.write(tmp_path / "clicks.wav", samples, 16_000)
    for name, message in (("silent", "is silent from 0 to 30.0 s"), ("clicks", "but clicks")):
        with pytest.raises(ValueError, match=rf"{name}\.wav .*{message}"):
            model.transcribe_file(tmp_path / f"{name}.wav", "fr")


def test_without_a_language_the_one_that_is_identified_is_transcribed(identifying, tmp_path):
    write_long(tmp_path / "long.wav")
    soundfile.write(tmp_path / "short.wav", 0.1 * np.sin(np.arange(16_000)), 16_000)
    head = identifying.mods.objectives["lid"].output.w.bias
    for language, bias in (("en", (9.0, -9.0)), ("fr", (-9.0, 9.0))):
        head.data.copy_(torch.tensor(bias))
        for name in ("long.wav", "short.wav"):
            path = tmp_path / name
            assert identifying.identify(Recording(path)) == language
            expected = identifying.transcribe_file(path, language)
            assert identifying.transcribe_file(path) == expected


def test_all_of_the_first_minute_has_its_say_by_its_length(identifying, tmp_path, monkeypatch):
    """Longer pieces count more."""
    path = tmp_path / "long.wav"
    write_long(path)
    recording = Recording(path)
    lid = identifying.mods.objectives["lid"]
    votes = iter([0.9, 0.2])

    def say(frames):
        first = torch.full((len(frames.lengths), 1), next(votes))
        return torch.cat([first, 1 - first], dim=1).log()

    monkeypatch.setattr(lid, "log_probabilities", say)
    monkeypatch.setattr(recording, "pieces", lambda *_: [(0.0, 0.5), (1.0, 2.9)])
    monkeypatch.setattr(inference, "TOGETHER", 1)
    assert identifying.identify(recording) == "en"
    votes = iter([0.2, 0.9])
    assert identifying.identify(recording) == "fr"


def test_an_exported_model_keeps_language_identification(run_with_lid, tmp_path, capsys):
    export_run(run_with_lid, tmp_path / "model")
    for source in (run_with_lid, tmp_path / "model"):
        assert load_model(str(source)).identifies
    soundfile.write(tmp_path / "tone.wav", 0.1 * np.sin(np.arange(16_000)), 16_000)
    file, folder = str(tmp_path / "tone.wav"), str(tmp_path / "model")
    assert transcribe_files([file], folder, form="json")
    [found] = json.loads((said := capsys.readouterr()).out)
    assert f"{file}: the language is {found['language']}." in said.err
    assert transcribe_files([file], folder, found["language"], form="json")
    assert json.loads(capsys.readouterr().out) == [found]


def test_a_model_knows_the_longest_clip_of_its_training(untrained_run, exported, tmp_path, caplog):
    """Not what would have been let in. Without the manifests it is said."""
    for source in (untrained_run, exported):
        assert load_model(str(source)).max_seconds == 0.5
    run = shutil.copytree(untrained_run, tmp_path / "run")
    text = (run / "hyperparams.yaml").read_text()
    manifests = str(untrained_run.parent / "manifests")
    (run / "hyperparams.yaml").write_text(text.replace(manifests, "gone"))
    assert load_model(str(run)).max_seconds == 20.0
    assert "gone/en_train.csv, gone/es_train.csv are not there" in caplog.text


def test_a_model_without_it_asks_for_the_language(untrained_run, tmp_path):
    with pytest.raises(ValueError, match=r"arguments are required: --language, one of en, es\."):
        transcribe_files([str(tmp_path / "any.wav")], str(untrained_run))


TIME = r"(\d\d):(\d\d):(\d\d)[.,](\d\d\d)"


def cues(text: str) -> list[tuple[float, float, str]]:
    found = re.findall(rf"^(\d+)\n{TIME} --> {TIME}\n(.*)\n$", text, re.MULTILINE)
    assert [int(cue[0]) for cue in found] == list(range(1, len(found) + 1))
    seconds = [(*map(int, cue[1:9]), cue[9]) for cue in found]
    return [
        (h * 3600 + m * 60 + s + ms / 1000, H * 3600 + M * 60 + S + MS / 1000, text)
        for h, m, s, ms, H, M, S, MS, text in seconds
    ]


def test_all_forms_say_the_same(exported, tmp_path, capsys):
    places = write_long(tmp_path / "long.wav")
    file, printed = str(tmp_path / "long.wav"), {}
    for form in ("json", "text", "srt", "vtt"):
        assert transcribe_files([file], str(exported), "es", "en", 2.0, form)
        printed[form] = capsys.readouterr().out
    [found] = json.loads(printed["json"])
    segments = found["segments"]
    assert len(segments) == len(places)
    assert found["transcription"] == " ".join(filter(None, (s["transcription"] for s in segments)))
    lines = printed["text"].splitlines()
    said = [text for s in segments for text in (s["transcription"], s["translation"])]
    assert [re.sub(rf"^\[{TIME} - {TIME}\] ", "", line) for line in lines] == said
    assert printed["vtt"].startswith("WEBVTT\n\n1\n")
    assert cues(printed["vtt"]) == cues(printed["srt"])
    expected = [(s["start"], s["end"], s["translation"]) for s in segments]
    for found_cue, (start, end, text) in zip(cues(printed["srt"]), expected, strict=True):
        assert found_cue == (pytest.approx(start, abs=2e-3), pytest.approx(end, abs=2e-3), text)


def test_subtitles_are_of_one_file(exported):
    with pytest.raises(ValueError, match="--srt: found 2 files, expected one"):
        transcribe_files(["a.wav", "b.wav"], str(exported), "es", form="srt")
