"""The way in from a Hugging Face copy: the same manifests as from the clips layout."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from corpus import hf
from corpus.hf import unpack_hf_copy
from corpus.prepare import prepare_covost
from corpus.tsv import CorpusError, read_tsv
from covost_prepare import main
from tests.helpers.corpus import DEV, TEST, TRAIN, edit_line, make_corpus
from tests.helpers.hf_copy import WHERE_IT_WAS_MADE, make_hf_copy, write_split

pytestmark = pytest.mark.usefixtures("no_network")


@pytest.fixture
def no_network(monkeypatch, tmp_path: Path) -> None:
    """The hub is out of reach, at once and not after many attempts."""
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf_home"))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = make_corpus(tmp_path / "corpus")
    awkward = r'Say "no"\\, for $5 \	now, «ça»…'
    edit_line(folder / "fr" / "covost_v2.fr_en.tsv", 2, lambda _: f"fr_0.mp3\t{awkward}\ttrain")
    return folder


@pytest.fixture
def copy(corpus: Path, tmp_path: Path) -> Path:
    return make_hf_copy(corpus, tmp_path / "copy", "fr-en")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def unpack(copy: Path | str, data: Path) -> None:
    unpack_hf_copy(str(copy), data, ["fr"], ["fr-en"])


def manifests(data: Path, out: Path, languages=("fr",), pairs=("fr-en",)) -> dict[str, bytes]:
    prepare_covost(data, out, languages, pairs)
    return {path.name: path.read_bytes() for path in out.glob("*.csv")}


def rows_of(copy: Path, split: str = "train") -> list[dict]:
    stream = hf._stream(str(copy), "fr_en", split)
    return list(stream)


def test_the_same_manifests_and_clips_as_from_the_clips_layout(corpus, copy, data, tmp_path):
    unpack(copy, data)
    found, expected = manifests(data, tmp_path / "a"), manifests(corpus, tmp_path / "b")
    assert found == expected
    assert len(found) == 3
    for clip in (corpus / "fr" / "clips").iterdir():
        assert (data / "fr" / "clips" / clip.name).read_bytes() == clip.read_bytes()
    assert len(list((data / "fr").iterdir())) == 4  # clips and a TSV file per split


def test_the_layout_of_the_hubs_own_parquet_files(corpus, copy, data, tmp_path):
    for file in (copy / "fr_en").glob("*.parquet"):
        split, _, number = file.stem.partition("-")
        (copy / "fr_en" / split).mkdir(exist_ok=True)
        file.rename(copy / "fr_en" / split / f"{number[1:5]}.parquet")
    unpack(copy, data)
    assert manifests(data, tmp_path / "a") == manifests(corpus, tmp_path / "b")


def test_a_language_without_a_pair_comes_from_any_of_its_pairs(tmp_path, data):
    corpus = make_corpus(tmp_path / "two", pairs=("fr-en", "en-de"))
    copy = tmp_path / "copy"
    for pair in ("fr-en", "en-de"):
        make_hf_copy(corpus, copy, pair)
    unpack_hf_copy(str(copy), data, ["fr", "en"], ["fr-en"])
    asked = ("fr", "en"), ("fr-en",)
    assert manifests(data, tmp_path / "a", *asked) == manifests(corpus, tmp_path / "b", *asked)


def test_pairs_of_one_source_share_its_clips(tmp_path, data):
    corpus = make_corpus(tmp_path / "two", pairs=("en-de", "en-ca"))
    copy = tmp_path / "copy"
    for pair in ("en-de", "en-ca"):
        make_hf_copy(corpus, copy, pair)
    unpack_hf_copy(str(copy), data, ["en"], ["en-de", "en-ca"])
    asked = ("en",), ("en-de", "en-ca")
    assert manifests(data, tmp_path / "a", *asked) == manifests(corpus, tmp_path / "b", *asked)
    assert len(list((data / "en" / "clips").iterdir())) == TRAIN + DEV + TEST


def test_any_text_survives(copy, data):
    rows = rows_of(copy)
    texts = [
        "tab\there",
        "line\nbreak",
        'quote " and \\ and \\t',
        "  spaces  ",
        "",
        "\\",
        "é\u2028ж",
    ]
    for number, text in enumerate(texts):
        rows[0] = {**rows[0], "sentence": text, "translation": text}
        write_split(copy / "fr_en", "train", rows)
        unpack(copy, data / str(number))
        tsv = data / str(number) / "fr" / "covost_v2.fr_en.train.tsv"
        first = next(read_tsv(tsv, ["path"]))[1]
        assert (first["sentence"], first["translation"]) == (text, text)


def test_a_second_run_reads_nothing(copy, data, capsys, monkeypatch):
    unpack(copy, data)
    monkeypatch.setattr("corpus.hf._stream", None)
    unpack(copy, data)
    assert capsys.readouterr().out.count("unpacked already, kept") == 3


@pytest.mark.slow
@pytest.mark.parametrize("save_every", [2, 1000])
def test_a_killed_run_is_finished_by_the_next(copy, data, corpus, tmp_path, save_every):
    slow = (
        "import time\nfrom corpus import hf\n"
        f"hf.SAVE_EVERY = {save_every}\n"
        "write = hf._write_clip\n"
        "hf._write_clip = lambda *a: (write(*a), time.sleep(0.2))\n"
        f"hf.unpack_hf_copy({str(copy)!r}, {str(data)!r}, ['fr'], ['fr-en'])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", slow], env=environment)
    clips = data / "fr" / "clips"
    while not clips.is_dir() or len(list(clips.glob("*.mp3"))) < TRAIN:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (data / "fr" / "covost_v2.fr_en.train.tsv.partial").exists()
    assert not (data / "fr" / "covost_v2.fr_en.train.tsv").exists()
    unpack(copy, data)
    assert manifests(data, tmp_path / "a") == manifests(corpus, tmp_path / "b")
    assert len(list((data / "fr").iterdir())) == 4


def test_what_was_saved_is_not_read_again(copy, data, monkeypatch):
    monkeypatch.setattr(hf, "SAVE_EVERY", 2)
    written = []

    def write_clip(clip: Path, *_) -> None:
        written.append(clip.name)
        if len(written) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(hf, "_write_clip", write_clip)
    with pytest.raises(KeyboardInterrupt):
        unpack(copy, data)
    unpack(copy, data)
    assert written[:4] == ["fr_0.mp3", "fr_1.mp3", "fr_2.mp3", "fr_2.mp3"]
    assert len(written) == TRAIN + DEV + TEST + 1


def test_rows_of_another_copy_are_not_gone_on_with(copy, data, tmp_path):
    (data / "fr").mkdir(parents=True)
    tsv = data / "fr" / "covost_v2.fr_en.train.tsv"
    tsv.with_name(f"{tsv.name}.partial").write_text("half a row")
    state = {"origin": "other/copy", "rows": 7, "bytes": 4, "position": {"a": 1}}
    tsv.with_name(f"{tsv.name}.position").write_text(json.dumps(state))
    unpack(copy, data)
    assert len(list(read_tsv(tsv, ["path"]))) == TRAIN


# ------------------------------------------------------------------ what a copy can do wrong


EVIL = ["../fr_9.mp3", "/a/../../fr_9.mp3", "..", "", "/", "a/.hidden", "..\\fr_9.mp3", "C:\\x.mp3"]


@pytest.mark.parametrize("name", EVIL)
def test_names_that_lead_out_of_the_clips_folder_are_refused(copy, data, name):
    rows = rows_of(copy)
    rows[1]["file"] = name
    write_split(copy / "fr_en", "train", rows)
    with pytest.raises(CorpusError, match=r"fr_en, train, row 2: the file name .*Do not trust"):
        unpack(copy, data)
    assert [path.name for path in (data / "fr" / "clips").iterdir()] == ["fr_0.mp3"]
    assert {path.name for path in data.iterdir()} == {"fr"}


def test_only_the_last_part_of_a_foreign_path_counts(copy, data):
    assert rows_of(copy)[0]["file"].startswith(WHERE_IT_WAS_MADE)
    unpack(copy, data)
    assert (data / "fr" / "clips" / "fr_0.mp3").exists()


def test_a_row_without_audio_is_named_by_the_preparation(copy, data, tmp_path, capsys):
    rows = rows_of(copy)
    rows[1]["audio"] = None
    write_split(copy / "fr_en", "train", rows)
    unpack(copy, data)
    manifests(data, tmp_path / "a")
    assert "fr: train: 1 left out: missing" in capsys.readouterr().out


def test_other_audio_under_the_same_name_is_never_replaced(copy, data):
    clip = data / "fr" / "clips" / "fr_1.mp3"
    clip.parent.mkdir(parents=True)
    clip.write_bytes(b"mine")
    with pytest.raises(CorpusError, match=r"row 2: .*fr_1.mp3 is there with other audio"):
        unpack(copy, data)
    assert clip.read_bytes() == b"mine"


def test_a_missing_column_split_or_pair_is_named(copy, data):
    with pytest.raises(CorpusError, match="has no configuration fr_de; it has fr_en"):
        unpack_hf_copy(str(copy), data, ["fr"], ["fr-de"])
    with pytest.raises(CorpusError, match=r"has no configuration es_\*; it has fr_en"):
        unpack_hf_copy(str(copy), data, ["fr", "es"], ["fr-en"])
    for file in (copy / "fr_en").glob("validation*"):
        file.unlink()
    with pytest.raises(CorpusError, match="cannot read validation of fr_en"):
        unpack(copy, data)
    for file in (copy / "fr_en").glob("*.parquet"):
        table = hf.import_datasets().Dataset.from_parquet(str(file))
        table.remove_columns(["translation"]).to_parquet(file)
    with pytest.raises(CorpusError, match="has no column translation; it has client_id, file"):
        unpack(copy, data / "other")


def test_a_damaged_parquet_file_is_named_and_what_came_before_is_kept(copy, data, monkeypatch):
    monkeypatch.setattr(hf, "SAVE_EVERY", 1)
    rows = rows_of(copy)
    write_split(copy / "fr_en", "train", rows * 2, files=3)
    damaged = copy / "fr_en" / "train-00001-of-00003.parquet"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorpusError, match=r"copy: cannot be read on: .*run the same command again"):
        unpack(copy, data)
    assert (data / "fr" / "clips" / "fr_0.mp3").exists()
    damaged.write_bytes(whole)
    unpack(copy, data)
    lines = [record for _, record in read_tsv(data / "fr" / "covost_v2.fr_en.train.tsv", ["path"])]
    assert [line["path"] for line in lines] == 2 * [f"fr_{number}.mp3" for number in range(TRAIN)]


def test_a_pair_whose_source_is_no_language_is_refused_before_anything_is_read(copy, data):
    with pytest.raises(ValueError, match="fr-en translates from fr, which is not among"):
        unpack_hf_copy(str(copy), data, ["en"], ["fr-en"])


def test_a_name_that_is_neither_a_folder_nor_on_the_hub(data):
    for name in ("nowhere/covost", "/not/a/folder"):
        with pytest.raises(CorpusError, match=f"{name} is no folder here, and no dataset"):
            unpack(name, data)


def test_translations_downloaded_before_are_not_shadowed(corpus, copy):
    shutil.rmtree(corpus / "fr" / "clips")
    with pytest.raises(
        CorpusError, match=r"covost_v2.fr_en.tsv is there already and would be read"
    ):
        unpack(copy, corpus)


def test_without_the_package_the_message_says_what_to_install(copy, data, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(CorpusError, match=r"pip install -r requirements-hf.txt"):
        unpack(copy, data)


def test_the_command(copy, data, corpus, tmp_path, monkeypatch):
    arguments = [str(data), str(tmp_path / "a"), "--languages", "fr", "--pairs", "fr-en"]
    options = ["--source", "hf", "--hf_dataset", str(copy), "--convert_audio"]
    monkeypatch.setattr(sys, "argv", ["covost_prepare.py", *arguments, *options])
    main()
    assert len(list((data / "fr" / "flac").iterdir())) == TRAIN + DEV + TEST
    assert (tmp_path / "a" / "fr_test.csv").exists()
