"""Training from a Hugging Face copy's shards: the manifests, batches and promises of its clips."""

import csv
import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from pyarrow import parquet
from speechbrain.dataio.dataloader import SaveableDataLoader, make_dataloader

from corpus import hf, hf_shards
from corpus.hf import unpack_hf_copy
from corpus.hf_shards import index_hf_copy
from corpus.prepare import prepare_covost
from corpus.tsv import CorpusError
from covost_prepare import main
from tests.helpers.corpus import DEV, TEST, TRAIN, make_corpus
from tests.helpers.hf_copy import make_hf_copy, write_split
from tests.helpers.untrained_runs import experiment_of
from vmsp_brain.audio import load_audio
from vmsp_brain.data.loading import load_data
from vmsp_brain.data.manifests import read_manifest
from vmsp_brain.shards import ClipInShard, file_of

SPLITS = ("train", "dev", "test")
LANGUAGES, PAIRS = ("fr", "en"), ("fr-en", "en-de", "en-ca")


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf_home"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"), pairs=PAIRS)


@pytest.fixture(scope="module")
def made_copy(corpus: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for pair in PAIRS:
        make_hf_copy(corpus, folder, pair)
    return folder


@pytest.fixture
def copy(made_copy: Path, tmp_path: Path) -> Path:
    """As ``datasets`` writes it now: audio lies as it is."""
    return shutil.copytree(made_copy, tmp_path / "copy")


@pytest.fixture
def compressed(copy: Path) -> Path:
    """The same as ``datasets`` wrote it before 2026, in pages with dictionaries, compressed."""
    for file in copy.rglob("*.parquet"):
        parquet.write_table(parquet.read_table(file), file, row_group_size=2)
    return copy


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def index(copy: Path, data: Path, languages=("fr",), pairs=("fr-en",)) -> None:
    index_hf_copy(str(copy), data, languages, pairs)


def manifests(data: Path, out: Path, languages=("fr",), pairs=("fr-en",)) -> dict[str, list[dict]]:
    """The rows of each, with their audio in place of its path."""
    prepare_covost(data, out, languages, pairs)
    found = {}
    for path in out.glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            row["wav"] = load_audio(row["wav"].replace("$data_root", str(data))).numpy().tobytes()
        found[path.name] = rows
    return found


def first_shard(copy: Path) -> Path:
    return copy / "fr_en" / "train-00000-of-00002.parquet"


def test_the_manifests_are_those_of_the_clips_and_lead_into_the_copy(copy, corpus, data, tmp_path):
    before = {file: file.read_bytes() for file in copy.rglob("*") if file.is_file()}
    index(copy, data, LANGUAGES, PAIRS)
    found = manifests(data, tmp_path / "a", LANGUAGES, PAIRS)
    assert found == manifests(corpus, tmp_path / "b", LANGUAGES, PAIRS)
    assert len(found) == 6
    assert before == {file: file.read_bytes() for file in copy.rglob("*") if file.is_file()}
    for utterance in read_manifest(tmp_path / "a" / "en_train.csv", data).values():
        assert file_of(utterance["wav"]).resolve().is_relative_to(copy)
        assert set(utterance["translations"]) == {"de", "ca"}  # of clips that two pairs share
    for language in LANGUAGES:  # no clip was unpacked
        assert {path.suffix for path in (data / language).iterdir()} == {"", ".tsv"}


def test_a_compressed_copy_is_written_anew_shard_by_shard(compressed, corpus, data, tmp_path):
    index(compressed, data, LANGUAGES, PAIRS)
    expected = manifests(corpus, tmp_path / "b", LANGUAGES, PAIRS)
    assert manifests(data, tmp_path / "a", LANGUAGES, PAIRS) == expected
    shutil.rmtree(compressed)  # it is no longer needed
    for utterance in read_manifest(tmp_path / "a" / "fr_train.csv", data).values():
        load_audio(utterance["wav"])
    files = [file for file in (data / "fr" / "clips").rglob("*") if file.is_file()]
    assert len(files) == 2 * len(SPLITS)


def test_shards_that_are_written_anew_are_a_copy_as_well(compressed, data, tmp_path):
    index(compressed, data)
    index(data / "fr" / "clips", tmp_path / "again")
    again = tmp_path / "again" / "fr" / "clips"
    assert again.is_symlink()
    texts = [path.read_text() for path in sorted((data / "fr").glob("*.tsv"))]
    assert texts == [path.read_text() for path in sorted((tmp_path / "again" / "fr").glob("*.tsv"))]


def test_the_hubs_shards_are_written_as_they_are_read(
    made_copy, corpus, data, tmp_path, monkeypatch
):
    """Addresses of a file system that is none of this machine's, as the hub's are."""
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(made_copy / "fr_en"), "/fr_en", recursive=True)
    shards = {
        ("fr", "en", split): [
            f"memory://{path}" for path in sorted(memory.glob(f"/fr_en/{name}-*"))
        ]
        for split, name in hf.SPLIT_NAMES.items()
    }
    monkeypatch.setattr(hf, "_configurations", lambda _: ["fr_en"])
    monkeypatch.setattr(hf_shards, "_shards_of", lambda *_: shards)
    index_hf_copy("someone/covost2", data, ["fr"], ["fr-en"])
    assert not (data / "fr" / "clips").is_symlink()
    asked = ("fr",), ("fr-en",)
    assert manifests(data, tmp_path / "a", *asked) == manifests(corpus, tmp_path / "b", *asked)


def test_a_stopped_run_goes_on_after_the_shards_that_are_written(compressed, data, monkeypatch):
    whole, written = hf_shards._write_plain, []

    def write(file: str, plain: Path) -> None:
        written.append(plain.name)
        if len(written) == 3:
            raise KeyboardInterrupt
        whole(file, plain)

    monkeypatch.setattr(hf_shards, "_write_plain", write)
    with pytest.raises(KeyboardInterrupt):
        index(compressed, data)
    index(compressed, data)
    assert written[2:4] == [written[2]] * 2
    assert len(written) == 2 * len(SPLITS) + 1


def test_a_second_run_keeps_all_and_a_pair_more_shares_the_clips(copy, data, capsys, tmp_path):
    index(copy, data, ["en"], ["en-de"])
    index(copy, data, ["en"], ["en-de", "en-ca"])
    assert capsys.readouterr().out.count("made already, kept") == len(SPLITS)
    prepare_covost(data, tmp_path / "a", ["en"], ["en-de", "en-ca"])
    for utterance in read_manifest(tmp_path / "a" / "en_train.csv", data).values():
        assert set(utterance["translations"]) == {"de", "ca"}
        assert "/en_de/" in utterance["wav"]


def test_the_command_and_flac_from_shards(copy, data, tmp_path, monkeypatch):
    arguments = [str(data), str(tmp_path / "a"), "--languages", "fr", "--pairs", "fr-en"]
    options = ["--source", "shards", "--hf_dataset", str(copy), "--convert_audio"]
    monkeypatch.setattr(sys, "argv", ["covost_prepare.py", *arguments, *options])
    main()
    assert len(list((data / "fr" / "flac").iterdir())) == TRAIN + DEV + TEST


# ------------------------------------------------------------------ what training reads


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> tuple[Path, Path]:
    """Manifests of the same corpus as clips, and in shards."""
    folder = tmp_path_factory.mktemp("prepared")
    asked = ("fr", "en"), ("fr-en", "en-de")
    make_corpus(folder / "clips", asked[1], sizes={"train": 12, "dev": 2, "test": 2})
    for pair in asked[1]:
        make_hf_copy(folder / "clips", folder / "copy", pair)
    index(folder / "copy", folder / "shards", *asked)
    for data in ("clips", "shards"):
        prepare_covost(folder / data, manifests_of(folder / data), *asked)
    return folder / "clips", folder / "shards"


@pytest.fixture(scope="module")
def hparams(prepared, tmp_path_factory) -> dict:
    """Of an experiment in which three steps of fixed batches read all once."""
    clips, _ = prepared
    options = "--languages=[fr, en]", "--pairs=[fr-en, en-de]", "--batch_size=2"
    options += "--ssl_batch_size=4", "--max_batch_length=3.0", "--ssl_max_batch_length=6.0"
    _, loaded = experiment_of(tmp_path_factory.mktemp("run"), manifests_of(clips), *options)
    return {**loaded, "num_workers": 0}


def manifests_of(data: Path) -> Path:
    return data.with_name(f"manifests_{data.name}")


def loader(hparams: dict, data: Path, dynamic: bool, epoch: int = 1) -> SaveableDataLoader:
    """The training batches of a corpus."""
    where = {"data_folder": data, "manifest_folder": manifests_of(data)}
    train = load_data({**hparams, **where, "dynamic_batching": dynamic}, tokenizers={})["train"]
    train.loader_kwargs["batch_sampler"].set_epoch(epoch)
    return make_dataloader(train.dataset, **train.loader_kwargs)


def heard(batches: Iterable) -> list[tuple[int, str, str, bytes]]:
    """Draw, source, ID and audio of all that is in batches, in their order."""
    return [
        (draw, source, key, audio.numpy().tobytes())
        for batch in batches
        for draw, parts in enumerate(batch.draws)
        for source, part in parts.items()
        for key, audio in zip(part.id, part.sig.data, strict=True)
    ]


def test_an_epoch_reads_every_utterance_once(hparams, prepared):
    _, shards = prepared
    for epoch in (1, 2):
        read = Counter(
            (source, key) for _, source, key, _ in heard(loader(hparams, shards, False, epoch))
        )
        assert set(read.values()) == {1}
        assert Counter(source for source, _ in read) == {"fr": 12, "en": 12, "ssl": 24}


@pytest.mark.parametrize("dynamic", [False, True])
def test_the_batches_are_those_of_the_clips(hparams, prepared, dynamic):
    clips, shards = prepared
    for epoch in (1, 2):
        found = heard(loader(hparams, shards, dynamic, epoch))
        assert found == heard(loader(hparams, clips, dynamic, epoch))
        assert found != heard(loader(hparams, clips, dynamic, 3 - epoch))


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_run_that_was_killed_goes_on_with_the_audio_that_was_next(
    hparams, prepared, dynamic, tmp_path
):
    _, shards = prepared
    whole = list(loader(hparams, shards, dynamic))
    killed = loader(hparams, shards, dynamic)
    running = iter(killed)
    next(running)
    next(running)
    killed._speechbrain_save(tmp_path / "position")
    again = loader(hparams, shards, dynamic)
    again._speechbrain_load(tmp_path / "position", end_of_epoch=False)
    assert heard(again) == heard(whole[2:])
    assert len(whole) > 2


# ------------------------------------------------------------------ what a copy can do wrong


def rows_of(copy: Path, split: str = "train") -> list[dict]:
    return list(hf._stream(str(copy), "fr_en", split))


def test_damaged_clips_are_counted_and_named_with_their_rows(copy, data, tmp_path, capsys):
    rows = rows_of(copy)
    good = {**rows[0], "file": "good.mp3"}
    rows[0] = {**rows[0], "audio": None}
    rows[1]["audio"]["bytes"] = b"no audio"
    rows[2]["audio"]["bytes"] = rows[2]["audio"]["bytes"][:1500]
    write_split(copy / "fr_en", "train", [*rows, good, good])
    index(copy, data)
    prepare_covost(data, tmp_path / "a", ["fr"], ["fr-en"])
    said = capsys.readouterr().out
    for reason in ("missing", "not_audio", "truncated", "duplicate"):
        assert f"fr: train: 1 left out: {reason}" in said
    rejected = json.loads((tmp_path / "a" / "rejected.json").read_text())
    clips = {item["reason"]: ClipInShard.at(item["path"]) for item in rejected}
    assert (clips["not_audio"].row, clips["not_audio"].name) == (2, "fr_1.mp3")
    assert clips["truncated"].shard == "fr_en/train-00001-of-00002.parquet"
    assert "covost_v2.fr_en.train.tsv:2" in [item["origin"] for item in rejected]


def test_a_shard_that_changed_is_no_other_clips_audio(copy, data, tmp_path, capsys):
    index(copy, data)
    shard = first_shard(copy)
    whole = shard.read_bytes()
    shard.write_bytes(b"?" + whole)
    prepare_covost(data, tmp_path / "a", ["fr"], ["fr-en"])
    said = capsys.readouterr().out
    assert "fr: train: 1 left out: shard\n" in said
    assert "remove the TSV files and run covost_prepare.py --source shards again" in said
    shard.write_bytes(whole)  # and it counts again, though the finding was kept
    (tmp_path / "a" / "preparation.json").unlink()
    prepare_covost(data, tmp_path / "a", ["fr"], ["fr-en"])
    assert len(read_manifest(tmp_path / "a" / "fr_train.csv", data)) == TRAIN


@pytest.mark.parametrize("name", ["../fr_9.mp3", "", "a/.hidden", "..\\fr_9.mp3", None])
def test_names_that_are_none_are_refused(copy, data, name):
    rows = rows_of(copy)
    rows[1]["file"] = name
    write_split(copy / "fr_en", "train", rows)
    with pytest.raises(CorpusError, match=r"of-00002.parquet, row 1: the file name .*Do not trust"):
        index(copy, data)
    assert not list((data / "fr").glob("*.tsv"))


def test_other_audio_under_the_same_name_is_refused(copy, data):
    rows = rows_of(copy)
    rows[2]["file"] = rows[0]["file"]
    write_split(copy / "fr_en", "train", rows)
    message = (
        r"train-00001-of-00002.parquet, row 2: fr_0.mp3 is other audio than in fr_en/train-00000"
    )
    with pytest.raises(CorpusError, match=message):
        index(copy, data)


@pytest.mark.parametrize("form", ["copy", "compressed"])
def test_a_damaged_shard_is_named(form, data, request):
    shard = first_shard(request.getfixturevalue(form))
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorpusError, match=r"train-00000-of-00002\.parquet: cannot be read.*[Gg]et"):
        index(shard.parents[1], data)
    shard.write_bytes(whole)
    index(shard.parents[1], data)
    assert len(list((data / "fr").glob("*.tsv"))) == len(SPLITS)


def test_a_missing_column_or_split_is_named(copy, data):
    for file in (copy / "fr_en").glob("validation*"):
        file.rename(copy / file.name)
    with pytest.raises(CorpusError, match="cannot read validation of fr_en; it has train, test"):
        index(copy, data)
    for file in copy.glob("validation*"):
        file.rename(copy / "fr_en" / file.name)
    table = parquet.read_table(first_shard(copy))
    parquet.write_table(table.drop_columns(["translation"]), first_shard(copy))
    with pytest.raises(CorpusError, match=r"parquet has no column translation; it has client_id"):
        index(copy, data)


def test_clips_of_the_two_ways_are_not_mixed(copy, compressed, data, tmp_path):
    index(compressed, data)
    for tsv in (data / "fr").glob("*.tsv"):
        tsv.unlink()
    with pytest.raises(CorpusError, match=r"clips holds the copy's shards, by --source shards"):
        unpack_hf_copy(str(copy), data, ["fr"], ["fr-en"])


def test_another_copy_is_not_put_behind_the_link(made_copy, data, compressed):
    index(made_copy, data)
    with pytest.raises(
        CorpusError, match=r"fr/clips is a link to .*made.*no shards made of .*copy"
    ):
        index(compressed, data)
