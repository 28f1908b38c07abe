"""A run goes on with what it read before, or says what changed."""

import shutil
from pathlib import Path

import pytest

from corpus.experiment import prepare_corpus
from corpus.tsv import CorpusError
from tests.helpers.corpus import DEV, TEST, TRAIN, edit_line, make_corpus
from vmsp_brain.data.loading import read_manifests
from vmsp_brain.data.manifests import manifest_path, preparation_path, read_manifest


@pytest.fixture
def hparams(tmp_path: Path) -> dict:
    return {
        "data_folder": str(make_corpus(tmp_path / "corpus")),
        "output_folder": str(tmp_path / "run"),
        "manifest_folder": str(tmp_path / "run" / "manifests"),
        "languages": ["fr"],
        "pairs": ["fr-en"],
        "min_duration": 0.5,
        "max_duration": 30.0,
        "drop_faulty_evaluation_rows": False,
        "convert_audio": False,
        "unlabelled_folders": [],
    }


@pytest.fixture
def pair(hparams) -> Path:
    return Path(hparams["data_folder"]) / "fr" / "covost_v2.fr_en.tsv"


def train_one_step(hparams: dict) -> None:
    """As far as the folder shows it."""
    (Path(hparams["output_folder"]) / "save" / "CKPT+1").mkdir(parents=True)


def manifests(hparams: dict) -> dict[str, bytes]:
    folder = Path(hparams["manifest_folder"])
    return {path.name: path.read_bytes() for path in folder.glob("*.csv")}


def lose_a_row(pair: Path) -> None:
    lines = pair.read_text().splitlines()
    pair.write_text("\n".join([*lines[:2], *lines[3:]]) + "\n")


# ------------------------------------------------------------------ stop and go on


def test_a_run_that_trained_does_not_go_on_with_other_rows(hparams, pair):
    prepare_corpus(hparams)
    train_one_step(hparams)
    before, whole = manifests(hparams), pair.read_text()
    lose_a_row(pair)
    with pytest.raises(CorpusError, match=r"begun with other rows") as error:
        prepare_corpus(hparams)
    assert "fr_train.csv: 3 utterances then, 2 now" in str(error.value)
    assert "fr_test.csv" not in str(error.value)
    assert "Changed since: fr/covost_v2.fr_en.tsv" in str(error.value)
    assert manifests(hparams) == before
    pair.write_text(whole)  # as the message says
    prepare_corpus(hparams)
    assert manifests(hparams) == before


def test_another_text_is_another_corpus_too(hparams, pair):
    prepare_corpus(hparams)
    train_one_step(hparams)
    edit_line(pair, 8, lambda line: line.replace("cold", "hot"))
    with pytest.raises(CorpusError, match=r"fr_test.csv: 2 utterances then, 2 now"):
        prepare_corpus(hparams)


def test_a_shared_folder_that_another_run_prepared_anew(hparams, pair, tmp_path):
    shared = hparams | {"manifest_folder": str(tmp_path / "shared")}
    prepare_corpus(shared)
    train_one_step(shared)
    lose_a_row(pair)
    prepare_corpus(shared | {"output_folder": str(tmp_path / "other")})
    with pytest.raises(CorpusError, match="Changed since: the manifests themselves"):
        prepare_corpus(shared)


def test_manifests_of_another_form_are_named_as_what_changed(hparams, monkeypatch):
    prepare_corpus(hparams)
    train_one_step(hparams)
    before = manifests(hparams)
    monkeypatch.setattr("corpus.prepare.VERSION", 99)
    prepare_corpus(hparams)  # what is written is the same
    monkeypatch.setattr("corpus.prepare.VERSION", 100)
    monkeypatch.setattr("corpus.prepare.SENTENCE", "text")
    with pytest.raises(CorpusError, match=r"the form of manifests \(version 99, now 100\)"):
        prepare_corpus(hparams)
    assert manifests(hparams) == before


def test_a_run_that_did_not_train_yet_takes_the_new_rows(hparams, pair):
    prepare_corpus(hparams)
    lose_a_row(pair)
    prepare_corpus(hparams)
    assert len(read_manifests(hparams, "train")["fr"]) == TRAIN - 1
    train_one_step(hparams)
    prepare_corpus(hparams)


def test_a_corpus_copied_elsewhere_is_the_same(hparams, tmp_path):
    prepare_corpus(hparams)
    train_one_step(hparams)
    shutil.copytree(hparams["data_folder"], tmp_path / "copy", copy_function=shutil.copyfile)
    prepare_corpus(hparams | {"data_folder": str(tmp_path / "copy")})


def test_a_damaged_record_is_named(hparams):
    prepare_corpus(hparams)
    train_one_step(hparams)
    (Path(hparams["output_folder"]) / "data.json").write_text("{")
    with pytest.raises(ValueError, match=r"run/data.json is damaged"):
        prepare_corpus(hparams)


# ------------------------------------------------------------------ manifests that are not whole


def test_a_manifest_that_lost_rows_is_refused(hparams):
    prepare_corpus(hparams)
    for split, size in (("train", TRAIN), ("dev", DEV), ("test", TEST)):
        path = manifest_path(hparams["manifest_folder"], "fr", split)
        whole = path.read_bytes()
        path.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
        with pytest.raises(ValueError, match=rf"{path.name}: found {size - 1} rows, but {size} w"):
            read_manifests(hparams, split)
        path.write_bytes(whole)
        assert len(read_manifests(hparams, split)["fr"]) == size
    assert len(read_manifest(path, "")) == TEST  # what evaluate.py calls


def test_a_manifest_cut_within_a_row_is_refused_by_its_line(hparams):
    prepare_corpus(hparams)
    path = manifest_path(hparams["manifest_folder"], "fr", "test")
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(
        ValueError, match=rf"fr_test.csv, line {TEST + 1}: this row has fewer values"
    ):
        read_manifests(hparams, "test")


def test_rows_of_a_clip_with_two_translations_are_counted_singly(hparams, tmp_path):
    corpus = make_corpus(tmp_path / "two", pairs=("en-de", "en-ca"))
    both = {"languages": ["en"], "pairs": ["en-de", "en-ca"], "data_folder": str(corpus)}
    prepare_corpus(hparams | both)
    path = manifest_path(hparams["manifest_folder"], "en", "test")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(ValueError, match=rf"found {2 * TEST - 1} rows, but {2 * TEST} were"):
        read_manifest(path, "")


def test_removing_the_report_prepares_anew_as_the_message_says(hparams):
    prepare_corpus(hparams)
    before = manifests(hparams)
    manifest_path(hparams["manifest_folder"], "fr", "test").write_text("")
    with pytest.raises(ValueError, match="no column"):
        read_manifests(hparams, "test")
    preparation_path(hparams["manifest_folder"]).unlink()
    prepare_corpus(hparams)
    assert manifests(hparams) == before


@pytest.mark.parametrize("text", ["", "[1]", '{"made_of": 1}', '{"rows": {}}'])
def test_a_damaged_report_is_named(hparams, text):
    prepare_corpus(hparams)
    preparation_path(hparams["manifest_folder"]).write_text(text)
    with pytest.raises(ValueError, match=r"preparation.json is not a report of a preparation"):
        prepare_corpus(hparams)
    with pytest.raises(ValueError, match=r"preparation.json is not a report of a preparation"):
        read_manifests(hparams, "test")
