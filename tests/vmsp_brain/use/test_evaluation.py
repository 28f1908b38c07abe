"""A test's results are whole, and never take another test's place."""

import csv
import json
import shutil
from pathlib import Path

import jiwer
import pytest
import sacrebleu

from tests.helpers.shards import put_in_shard
from tests.helpers.untrained_runs import make_untrained_run
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.scores import Hypothesis
from vmsp_brain.use import evaluation
from vmsp_brain.use.evaluation import ModelTest, write_speakers

SPEAKERS = {"1": "ann", "2": "bob", "3": "bob"}


def test_speakers_scores_are_jiwers_and_sacrebleus_the_hardest_first(tmp_path):
    heard = [("1", "a b c d", "a b c d"), ("2", "a b c d", "a x c d"), ("3", "a b", "")]
    made = {
        "asr/fr": [Hypothesis(*columns) for columns in heard],
        "st/fr-en": [Hypothesis("1", "A cat sat down there.", "A cat sat there.")],
    }
    write_speakers(tmp_path / "speakers.csv", made, SPEAKERS)
    with (tmp_path / "speakers.csv").open(newline="") as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    wer = 100 * jiwer.wer(["a b c d", "a b"], ["a x c d", ""])
    bleu = sacrebleu.corpus_bleu(["A cat sat there."], [["A cat sat down there."]]).score
    assert rows == [
        ("asr/fr", "bob", "2", "WER", f"{wer:.2f}"),
        ("asr/fr", "ann", "1", "WER", "0.00"),
        ("st/fr-en", "ann", "1", "BLEU", f"{bleu:.2f}"),
    ]


def test_a_run_is_tested_into_itself(untrained_run: Path, tmp_path: Path):
    run = shutil.copytree(untrained_run, tmp_path / "run")
    report = ModelTest(str(run)).run()
    assert RunFolder(run).read_report() == report
    assert set(report["wer"]) == {"en", "es"}
    assert set(report["bleu"]) == {"es-en"}


def test_a_weight_of_ctc_is_refused_where_there_is_no_ctc(untrained_run: Path, tmp_path: Path):
    options = (
        "--languages=[en, es]",
        "--pairs=[es-en]",
        "--objectives={recognition: {ctc_weight: 0}}",
    )
    make_untrained_run(tmp_path / "run", untrained_run.parent / "manifests", *options)
    with pytest.raises(ValueError, match="--ctc_weight: no effect on this model, none of whose"):
        ModelTest(str(tmp_path / "run"), output=tmp_path / "out", ctc_weight=0.5).run()
    assert not (tmp_path / "out").exists()
    ModelTest(str(untrained_run), output=tmp_path / "out", ctc_weight=0.5).run()


@pytest.mark.parametrize("output", ["run", "run/.", "link", "run/test", "run/dev", "other/../run"])
def test_nothing_else_is_written_into_a_run(untrained_run: Path, tmp_path: Path, output):
    run = shutil.copytree(untrained_run, tmp_path / "run")
    ModelTest(str(run)).run()
    (tmp_path / "link").symlink_to(run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=r"--output: .* is in the run .*own test alone"):
        ModelTest(str(run), output=tmp_path / output, split="dev").run()
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_manifest_that_lost_rows_is_refused_before_anything_is_decoded(untrained_run, tmp_path):
    manifest = shutil.copy(untrained_run.parent / "manifests" / "en_test.csv", tmp_path)
    report = {"made_of": {}, "rows": {"en_test.csv": 8}}
    (tmp_path / "preparation.json").write_text(json.dumps(report))
    with pytest.raises(ValueError, match=r"en_test.csv: found 3 rows, but 8 were prepared"):
        ModelTest(str(untrained_run), manifest=[manifest], output=tmp_path / "out").run()
    assert not (tmp_path / "out").exists()


def test_a_corpus_that_is_elsewhere_is_said_before_anything_is_decoded(
    untrained_run: Path, tmp_path
):
    manifest = tmp_path / "mine.csv"
    rows = (untrained_run.parent / "manifests" / "en_test.csv").read_text()
    manifest.write_text(
        rows.replace(str(untrained_run.parent / "manifests"), "$data_root/en/clips")
    )
    asked = {"manifest": [manifest], "output": tmp_path / "out", "data_folder": "data"}
    with pytest.raises(
        ValueError, match=r"--data_folder: /.*/data/en/clips/en_test_0.wav, the first"
    ):
        ModelTest(str(untrained_run), **asked).run()


def test_clips_in_shards_are_tested_as_files_are(untrained_run: Path, exported: Path, tmp_path):
    files = untrained_run.parent / "manifests" / "es_test.csv"
    manifests = {"files": files, "shard": put_in_shard(files, tmp_path)}
    made = {}
    for name, manifest in manifests.items():
        ModelTest(str(exported), output=tmp_path / name, manifest=[manifest]).run()
        written = (tmp_path / name / "test").glob("*.tsv")
        made[name] = {path.name: path.read_text() for path in written}
    assert made["files"] == made["shard"] != {}
    (tmp_path / "clips.parquet").unlink()
    with pytest.raises(ValueError, match=r"clips\.parquet, the first clip of .* is not there"):
        ModelTest(str(exported), output=tmp_path / "none", manifest=[manifests["shard"]]).run()


@pytest.mark.parametrize("output", ["taken", "taken/deeper"])
def test_an_output_that_is_a_file_is_refused_before_anything_is_decoded(
    untrained_run: Path, tmp_path: Path, monkeypatch, output
):
    (tmp_path / "taken").write_text("mine")
    monkeypatch.setattr(evaluation, "load_model", lambda *_: pytest.fail("went on"))
    with pytest.raises(ValueError, match=r"--output: .*taken is a file"):
        ModelTest(str(untrained_run), output=tmp_path / output, split="dev").run()
    assert (tmp_path / "taken").read_text() == "mine"


def test_an_empty_manifest_is_an_error(untrained_run: Path, exported: Path, tmp_path: Path):
    whole = untrained_run.parent / "manifests" / "es_test.csv"
    empty = tmp_path / "empty.csv"
    empty.write_text(whole.read_text().splitlines()[0] + "\n")
    out = tmp_path / "out"
    for manifests in ([empty], [whole, empty]):
        with pytest.raises(ValueError, match=r"empty\.csv has no rows"):
            ModelTest(str(exported), output=out, manifest=manifests).run()
    assert not out.exists()


def test_no_clip_of_two_manifests_takes_anothers_place(exported: Path, tmp_path: Path):
    """The same ID stands for another clip in each: one would have vanished from the results."""
    header = "ID,duration,wav,language,transcription,target_language,translation,speaker\n"
    for name in ("a", "b"):
        row = f"clip,1.0,{tmp_path}/{name}.wav,es,uno,en,one,s\n"
        (tmp_path / f"{name}.csv").write_text(header + row)
    manifests = [tmp_path / "a.csv", tmp_path / "b.csv"]
    with pytest.raises(ValueError, match=r"b\.csv: 1 IDs are also in .*a\.csv, such as clip"):
        ModelTest(str(exported), output=tmp_path / "out", manifest=manifests).run()


def test_utterances_without_any_text_cannot_be_scored(exported: Path, untrained_run, tmp_path):
    with (untrained_run.parent / "manifests" / "es_test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (tmp_path / "silent.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows({**row, "transcription": "", "translation": ""} for row in rows)
    with pytest.raises(ValueError, match=r"es: none of the 3 utterances .* asr/es, st/es-en"):
        ModelTest(str(exported), output=tmp_path / "out", manifest=[tmp_path / "silent.csv"]).run()


def test_no_such_run_is_said_before_an_output_is_asked_for():
    with pytest.raises(FileNotFoundError, match="nowhere: there is no such run or model"):
        ModelTest("nowhere").run()
