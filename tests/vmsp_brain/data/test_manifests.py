"""A manifest's rows become utterances, their audio 16 kHz mono, their text tokens."""

import csv
import math
from pathlib import Path

import pytest
import soundfile
import torch

from vmsp_brain.audio import SAMPLE_RATE, load_audio
from vmsp_brain.data.manifests import labelled_dataset, merged, read_manifest, unlabelled_dataset
from vmsp_brain.data.tokenizers import load_tokenizer, train_tokenizer
from vmsp_brain.names import target_text, text_key

COLUMNS = [
    "ID",
    "duration",
    "wav",
    "language",
    "transcription",
    "target_language",
    "translation",
    "speaker",
]
ROWS = [
    ("b", "1.5", "$data_root/b.wav", "fr", "ça coûte cent", "en", 'It costs "$100", yes', "s1"),
    ("b_de", "1.5", "$data_root/b.wav", "fr", "ça coûte cent", "de", "Es kostet $100", "s1"),
    ("a", "2.0", "$data_root/a.wav", "fr", "bonjour", "", "", "s2"),
    ("c", "2.5", "/elsewhere/c.wav", "fr", "salut, toi", "en", "$data_root is\tno path", "s1"),
]


def tone(frequency: float, rate: int, seconds: float = 1.0) -> torch.Tensor:
    time = torch.arange(round(rate * seconds), dtype=torch.float64) / rate
    return 0.5 * torch.sin(2 * math.pi * frequency * time)


@pytest.fixture
def manifest(tmp_path) -> Path:
    path = tmp_path / "train.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([COLUMNS, *ROWS])
    return path


@pytest.fixture
def utterances(manifest, tmp_path) -> dict[str, dict]:
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", tone(440, 16_000).numpy(), 16_000)
    return read_manifest(manifest, tmp_path)


@pytest.fixture
def tokenizer(tmp_path):
    train_tokenizer(tmp_path / "text.model", [row[i] for row in ROWS for i in (4, 6)], 34, "bpe")
    return load_tokenizer(tmp_path / "text.model")


def test_rows_of_a_clip_are_one_utterance_in_the_manifests_order(utterances):
    assert list(utterances) == ["b", "a", "c"]
    assert utterances["b"]["translations"] == {
        "en": 'It costs "$100", yes',
        "de": "Es kostet $100",
    }
    assert utterances["a"]["translations"] == {}


def test_the_sentence_is_the_transcription_of_cased_recognition(manifest, tmp_path):
    text = manifest.read_text(encoding="utf-8").splitlines()
    sentences = ["sentence", *(['"Ça coûte cent."'] * 2), "Bonjour !", '"Salut, toi."']
    rows = [f"{row},{sentence}" for row, sentence in zip(text, sentences, strict=True)]
    manifest.write_text("\n".join(rows) + "\n", encoding="utf-8")
    found = {
        kind: [utterance["transcription"] for utterance in read.values()]
        for kind in ("normalized", "cased")
        if (read := read_manifest(manifest, tmp_path, kind))
    }
    assert found["normalized"] == ["ça coûte cent", "bonjour", "salut, toi"]
    assert found["cased"] == ["Ça coûte cent.", "Bonjour !", "Salut, toi."]


def test_a_manifest_without_sentences_serves_normalized_recognition_alone(manifest, tmp_path):
    with pytest.raises(ValueError, match=r"no column sentence\. Prepare the corpus again"):
        read_manifest(manifest, tmp_path, "cased")


def test_columns_become_items(utterances, tmp_path):
    assert utterances["b"] == {
        "wav": f"{tmp_path}/b.wav",
        "duration": 1.5,
        "language": "fr",
        "speaker": "s1",
        "transcription": "ça coûte cent",
        "translations": utterances["b"]["translations"],
    }


def test_data_root_is_replaced_in_paths_alone(utterances):
    assert utterances["c"]["wav"] == "/elsewhere/c.wav"
    assert utterances["c"]["translations"]["en"] == "$data_root is\tno path"


def test_manifest_without_a_column_names_it_and_the_file(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("ID,duration,wav\na,1.0,a.wav\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"train.csv: this manifest has no column language"):
        read_manifest(path, tmp_path)


def test_audio_is_resampled_from_48_khz(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(440, 48_000).numpy(), 48_000)
    audio = load_audio(str(tmp_path / "a.wav"))
    assert audio.shape == (SAMPLE_RATE,)
    inner = slice(200, -200)  # away from the ends, where the filter sees silence
    torch.testing.assert_close(audio.double()[inner], tone(440, 16_000)[inner], rtol=0, atol=2e-3)


def test_frequencies_above_8_khz_are_filtered_out_not_folded_back(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(12_000, 48_000).numpy(), 48_000)
    audio = load_audio(str(tmp_path / "a.wav"))[200:-200]
    assert audio.square().mean().sqrt() < 0.01


def test_stereo_becomes_the_mean_of_its_channels(tmp_path):
    left, right = tone(440, 16_000), 0.2 * tone(700, 16_000)
    soundfile.write(tmp_path / "a.wav", torch.stack([left, right], 1).numpy(), 16_000, "FLOAT")
    audio = load_audio(str(tmp_path / "a.wav"))
    torch.testing.assert_close(audio.double(), (left + right) / 2, rtol=0, atol=1e-6)


def test_text_items_are_the_objectives_tokens_and_texts(utterances, tokenizer):
    names = ["asr/fr", "st/fr-en", "st/fr-de"]
    dataset = labelled_dataset(utterances, dict.fromkeys(names, tokenizer))
    item = dataset[0]
    assert set(item) == {"id", "sig", *names, *map(text_key, names)}
    assert item["id"] == "b"
    texts = ["ça coûte cent", 'It costs "$100", yes', "Es kostet $100"]
    for name, text in zip(names, texts, strict=True):
        assert item[text_key(name)] == text
        assert item[name].dtype == torch.long
        assert item[name].tolist() == tokenizer.encode(text)


def test_tokens_are_empty_where_there_is_no_translation(utterances, tokenizer):
    dataset = labelled_dataset(utterances, {"asr/fr": tokenizer, "st/fr-en": tokenizer})
    item = dataset[1]
    assert item["id"] == "a"
    assert item["st/fr-en"].shape == (0,)
    assert item["st/fr-en"].dtype == torch.long
    assert item[text_key("st/fr-en")] == ""
    assert len(item["asr/fr"]) > 0


def test_target_text_takes_targets_with_a_region():
    utterance = {"transcription": "hello", "translations": {"zh-CN": "你好"}}
    assert target_text("asr/en", utterance) == "hello"
    assert target_text("st/en-zh-CN", utterance) == "你好"
    assert target_text("st/en-de", utterance) == ""


def test_unlabelled_items_are_audio_alone(utterances):
    item = unlabelled_dataset(utterances)[0]
    assert set(item) == {"id", "sig"}
    assert item["sig"].shape == (SAMPLE_RATE,)


@pytest.mark.parametrize("cache_audio", [False, True])
def test_cached_audio_is_read_once(utterances, cache_audio, tmp_path):
    dataset = unlabelled_dataset(utterances, cache_audio)
    first = dataset[0]["sig"]
    soundfile.write(tmp_path / "b.wav", 0.1 * tone(440, 16_000).numpy(), 16_000)
    assert torch.equal(dataset[0]["sig"], first) == cache_audio


@pytest.mark.parametrize("content", [None, b"", b"not audio at all"])
def test_a_clip_that_vanished_or_was_damaged_is_named(tmp_path, content):
    path = tmp_path / "clip.mp3"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"clip\.mp3 cannot be read, .*Put the file back"):
        load_audio(str(path))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_clip_of_samples_that_are_no_numbers_is_named(tmp_path, value):
    samples = tone(440, 48_000)
    samples[100] = value
    soundfile.write(tmp_path / "clip.wav", samples.numpy(), 48_000, "FLOAT")
    with pytest.raises(ValueError, match=r"clip\.wav has samples that are infinite or no numbers"):
        load_audio(str(tmp_path / "clip.wav"))


AGAIN = r"line 3: a\.wav has such a row already"
DAMAGED = {
    "two clips of one ID": (
        "a,1.0,a.wav,fr,un,,,s\nb,1.0,b.wav,fr,deux,,,s\na,1.0,c.wav,fr,trois,,,s\n",
        r"m\.csv, line 4: the ID a is already that of a\.wav",
    ),
    "a clip twice": (
        "a,1,a.wav,fr,un,,,s\nb,1,a.wav,fr,un,,,s\n",
        AGAIN,
    ),
    "a translation twice": (
        "a,1,a.wav,fr,un,en,one,s\nb,1,a.wav,fr,un,en,a,s\n",
        AGAIN,
    ),
    "a clip of two transcriptions": (
        "a,1,a.wav,fr,un,en,one,s\nb,1,a.wav,fr,deux,de,zwei,s\n",
        r"m\.csv, line 3: a\.wav has the transcription 'deux', but 'un' in its first row",
    ),
    "a clip of two durations": (
        "a,1,a.wav,fr,un,en,one,s\nb,2,a.wav,fr,un,de,eins,s\n",
        r"line 3: a\.wav has the duration 2\.0, but 1\.0",
    ),
    "cut within a row": ("a,1.0,a.wav,fr,un,,,s\nb,1.0,b.w", r"line 3: this row has fewer values"),
    "cut within quotes": ('a,1.0,a.wav,fr,"un, de', r"after line 1: unexpected end of data"),
    "a comma without quotes": (
        "a,1.0,a.wav,fr,un, deux,,,s\n",
        r"line 2: this row has more",
    ),
    "no number": (
        "a,1.0 s,a.wav,fr,un,,,s\n",
        r"line 2: duration: found '1.0 s', exp",
    ),
    "not finite": ("a,nan,a.wav,fr,un,,,s\n", r"line 2: duration: found 'nan'"),
    "nothing": ("", r"m\.csv has no rows"),
}


@pytest.mark.parametrize(("rows", "message"), DAMAGED.values(), ids=list(DAMAGED))
def test_a_damaged_manifest_is_refused_by_its_line(tmp_path, rows, message):
    (tmp_path / "m.csv").write_text(",".join(COLUMNS) + "\n" + rows, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_manifest(tmp_path / "m.csv", tmp_path)


def test_a_manifest_that_is_not_utf_8_is_refused_by_its_name(tmp_path):
    (tmp_path / "m.csv").write_bytes(f"{','.join(COLUMNS)}\na,1,a.wav,fr,été,,,s".encode("latin1"))
    with pytest.raises(ValueError, match=r"m\.csv, after line \d: .*Expected CSV in UTF-8"):
        read_manifest(tmp_path / "m.csv", tmp_path)


def test_a_manifest_saved_by_a_spreadsheet_is_read(tmp_path):
    text = ",".join(COLUMNS) + "\r\na,1,a.wav,fr,été,,,s\r\n"
    (tmp_path / "m.csv").write_text(text, encoding="utf-8-sig")
    assert read_manifest(tmp_path / "m.csv", tmp_path)["a"]["transcription"] == "été"


def test_manifests_are_merged_unless_two_clips_share_an_id():
    one, other = {"a": {"wav": "a.wav"}}, {"b": {"wav": "b.wav"}}
    assert merged({"one": one, "other": other}) == one | other
    with pytest.raises(ValueError, match=r"again: 1 IDs are also in one, such as a\."):
        merged({"one": one, "other": other, "again": {"a": {"wav": "c.wav"}}})
