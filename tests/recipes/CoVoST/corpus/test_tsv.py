"""Odd TSV files: each is read rightly, or refused by its path and line."""

import json
from pathlib import Path

import pytest

from corpus.prepare import prepare_covost
from corpus.tsv import CorpusError
from tests.helpers.corpus import DEV, TEST, TRAIN, edit_line, make_corpus
from vmsp_brain.data.manifests import manifest_path, read_manifest


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus")


@pytest.fixture
def pair(corpus: Path) -> Path:
    return corpus / "fr" / "covost_v2.fr_en.tsv"


@pytest.fixture
def validated(corpus: Path) -> Path:
    return corpus / "fr" / "validated.tsv"


def prepare(corpus: Path) -> dict[str, dict]:
    """The training utterances."""
    prepare_covost(corpus, corpus / "out", ["fr"], ["fr-en"])
    return read_manifest(manifest_path(corpus / "out", "fr", "train"), corpus)


# ------------------------------------------------------------------ labels of splits


def test_rows_of_labels_that_no_split_uses_are_counted(corpus, pair, capsys):
    pair.write_text(pair.read_text() + "a.mp3\tx\tdev_covost\nb.mp3\ty\tdev_covost\n")
    prepare(corpus)
    note = "fr: covost_v2.fr_en.tsv: 2 rows labelled 'dev_covost', which no split uses"
    assert note in capsys.readouterr().out
    assert json.loads((corpus / "out" / "preparation.json").read_text())["notes"] == [note]


@pytest.mark.parametrize("label", ["Train", "train ", " TRAIN", "train\u00a0", "train-covost"])
def test_a_label_that_is_nearly_a_splits_is_refused(corpus, pair, label):
    edit_line(pair, 3, lambda line: line.replace("train", label))
    with pytest.raises(CorpusError, match=r"fr_en.tsv:3: found the split .* nearly 'train"):
        prepare(corpus)


def test_a_test_row_whose_label_has_a_space_is_not_lost(corpus, pair):
    edit_line(pair, 1 + TRAIN + DEV + TEST, lambda line: f"{line} ")
    with pytest.raises(CorpusError, match=r"fr_en.tsv:8: found the split 'test ', .* 'test'"):
        prepare(corpus)


# ------------------------------------------------------------------ columns and lines


def test_a_column_that_is_there_twice_is_refused(corpus, pair):
    lines = pair.read_text().splitlines()
    pair.write_text("\n".join(["\t".join([lines[0], "translation"]), *(f"{x}\tno" for x in lines)]))
    with pytest.raises(CorpusError, match=r"fr_en.tsv: the header has the column translation more"):
        prepare(corpus)


@pytest.mark.parametrize("blank", ["\n", "\n\n \n", "\t\t\n"])
def test_blank_lines_hold_nothing(corpus, pair, validated, blank):
    whole = prepare(corpus)
    for path in (pair, validated):
        path.write_text(path.read_text() + blank)
    assert prepare(corpus) == whole


def test_a_tab_in_validated_tsv_is_found_there(corpus, validated, capsys):
    edit_line(validated, 3, lambda line: line.replace("est", "e\tst"))
    assert len(prepare(corpus)) == TRAIN - 1
    assert "fr: train: 1 left out: columns" in capsys.readouterr().out
    [rejected] = json.loads((corpus / "out" / "rejected.json").read_text())
    assert rejected["origin"] == "covost_v2.fr_en.tsv:3 and validated.tsv:3"


@pytest.mark.parametrize("name", ["covost_v2.fr_en.tsv", "validated.tsv"])
def test_what_is_not_utf8_is_found_by_line_and_byte(corpus, name):
    path = corpus / "fr" / name
    lines = path.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4][:9] + b"\xe9" + lines[4][9:]  # Latin-1
    path.write_bytes(b"".join(lines))
    with pytest.raises(CorpusError, match=rf"{name}: line 5, byte 10 \(0xe9\) is not UTF-8"):
        prepare(corpus)


def test_utf16_is_found_in_the_first_byte(corpus, pair):
    pair.write_bytes(pair.read_text().encode("utf-16"))
    with pytest.raises(CorpusError, match=r"fr_en.tsv: line 1, byte 1 \(0xff\) is not UTF-8"):
        prepare(corpus)


# ------------------------------------------------------------------ a clip twice


def test_a_clip_twice_in_validated_tsv_with_the_same_text_is_counted(corpus, validated, capsys):
    whole = prepare(corpus)
    validated.write_text(validated.read_text() + validated.read_text().splitlines()[1] + "\n")
    assert prepare(corpus) == whole
    assert "fr: validated.tsv: 1 rows are there twice" in capsys.readouterr().out


def test_a_clip_of_two_sentences_is_refused(corpus, validated):
    second = validated.read_text().splitlines()[1].replace("froide", "chaude")
    validated.write_text(f"{validated.read_text()}{second}\n")
    with pytest.raises(CorpusError, match=r"lines 2 and 9 are both of fr_0.mp3.*froide.*chaude"):
        prepare(corpus)


def test_two_ways_to_write_a_path_are_one_clip(corpus, pair, capsys):
    pair.write_text(pair.read_text() + "./fr_0.mp3\tagain\ttrain\n")
    assert len(prepare(corpus)) == TRAIN
    assert "fr: train: 1 left out: duplicate" in capsys.readouterr().out
