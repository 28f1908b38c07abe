import csv
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from speechbrain.dataio.dataset import DynamicItemDataset

from corpus.prepare import prepare_covost
from corpus.tsv import CorpusError
from covost_prepare import main
from tests.helpers.commands import call
from tests.helpers.corpus import DEV, TEST, TRAIN, edit_line, make_corpus, write_clip, write_tsv
from vmsp_brain.data.manifests import COLUMNS, SENTENCE, manifest_path, read_manifest
from vmsp_brain.data.text import normalize_transcription


def rows_of(folder: Path, language: str, split: str) -> list[dict[str, str]]:
    with manifest_path(folder, language, split).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def prepare(corpus: Path, out: Path, **options) -> None:
    prepare_covost(corpus, out, ["fr"], ["fr-en"], **options)


# ------------------------------------------------------------------ what comes out


def test_manifest(corpus: Path, out: Path):
    prepare(corpus, out)
    for split, size in (("train", TRAIN), ("dev", DEV), ("test", TEST)):
        assert len(rows_of(out, "fr", split)) == size
    first = rows_of(out, "fr", "train")[0]
    assert tuple(first) == (*COLUMNS, SENTENCE)
    assert first["wav"] == "$data_root/fr/clips/fr_0.mp3"
    assert first["transcription"] == "l'eau est très froide dit-il"
    assert first["sentence"] == "L’eau est très froide, dit-il."
    assert (first["target_language"], first["translation"]) == ("en", "In en: cold.")
    assert float(first["duration"]) == pytest.approx(0.6, abs=0.05)
    assert first["speaker"] == "speaker0"


def test_speechbrain_reads_it(corpus: Path, out: Path):
    prepare(corpus, out)
    path = str(manifest_path(out, "fr", "dev"))
    dataset = DynamicItemDataset.from_csv(path, replacements={"data_root": str(corpus)})
    dataset.set_output_keys(["wav"])
    assert Path(dataset[0]["wav"]).is_file()


def test_files_of_covosts_splitting_script(corpus: Path, out: Path, tmp_path: Path):
    prepare(corpus, out)
    pair = corpus / "fr" / "covost_v2.fr_en.tsv"
    records = [line.split("\t") for line in pair.read_text().splitlines()[1:]]
    validated = (corpus / "fr" / "validated.tsv").read_text().splitlines()[1:]
    said = {line.split("\t")[1]: line.split("\t") for line in validated}
    for split in ("train", "dev", "test"):
        rows = [
            (path, said[path][2], text, said[path][0])
            for path, text, label in records
            if label == split
        ]
        write_tsv(
            corpus / f"covost_v2.fr_en.{split}.tsv", "path sentence translation client_id", rows
        )
    pair.unlink()
    (corpus / "fr" / "validated.tsv").unlink()
    prepare(corpus, tmp_path / "second")
    for split in ("train", "dev", "test"):
        assert rows_of(tmp_path / "second", "fr", split) == rows_of(out, "fr", split)


def test_covosts_own_train_rows_belong_to_train(corpus: Path, out: Path):
    pair = corpus / "fr" / "covost_v2.fr_en.tsv"
    edit_line(pair, 2, lambda line: line.replace("train", "train_covost"))
    edit_line(pair, 6, lambda line: line.replace("dev", "dev_covost"))
    prepare(corpus, out)
    assert len(rows_of(out, "fr", "train")) == TRAIN
    assert len(rows_of(out, "fr", "dev")) == DEV - 1


def test_a_language_without_a_pair_has_no_translations(tmp_path: Path, out: Path):
    corpus = make_corpus(tmp_path / "corpus", pairs=("fr-en", "en-de"), alone=("es",))
    prepare_covost(corpus, out, ["fr", "en", "es"], ["fr-en"])
    for language in ("en", "es"):
        rows = rows_of(out, language, "train")
        assert len(rows) == TRAIN
        assert {row["target_language"] + row["translation"] for row in rows} == {""}


def test_a_clip_with_two_translations_has_a_row_for_each(tmp_path: Path, out: Path):
    corpus = make_corpus(tmp_path / "corpus", pairs=("en-de", "en-ca"))
    prepare_covost(corpus, out, ["en"], ["en-de", "en-ca"])
    rows = rows_of(out, "en", "train")
    assert len(rows) == 2 * TRAIN
    assert len({row["ID"] for row in rows}) == 2 * TRAIN
    assert [row["target_language"] for row in rows[:2]] == ["de", "ca"]
    assert rows[0]["wav"] == rows[1]["wav"]


def test_quotes_backslashes_and_byte_order_marks(corpus: Path, out: Path):
    pair = corpus / "fr" / "covost_v2.fr_en.tsv"
    edit_line(pair, 2, lambda _: 'fr_0.mp3\tSay ""no"", for $5 \\\\ \\\tnow.\ttrain')
    pair.write_bytes(b"\xef\xbb\xbf" + pair.read_bytes().replace(b"\n", b"\r\n"))
    prepare(corpus, out)
    assert rows_of(out, "fr", "train")[0]["translation"] == 'Say ""no"", for $5 \\ now.'


# ------------------------------------------------------------------ faults in rows


def spoil(corpus: Path, fault: str, number: int) -> None:
    """Give the clip of this number the fault."""
    clip = corpus / "fr" / "clips" / f"fr_{number}.mp3"
    pair = corpus / "fr" / "covost_v2.fr_en.tsv"
    validated = corpus / "fr" / "validated.tsv"
    line = number + 2
    if fault == "columns":
        edit_line(pair, line, lambda text: text.replace("\t", "\textra\t", 1))
    elif fault == "too few columns":
        edit_line(pair, line, lambda text: text.replace("In en: cold.\t", ""))
    elif fault == "not_in_validated":
        edit_line(validated, line, lambda text: text.replace(f"fr_{number}", "other"))
    elif fault == "outside_clips_folder":
        write_clip(corpus / "fr" / f"fr_{number}.mp3")
        edit_line(pair, line, lambda text: f"../{text}")
        edit_line(validated, line, lambda text: text.replace("fr_", "../fr_"))
    elif fault == "missing":
        clip.unlink()
    elif fault == "empty_file":
        clip.write_bytes(b"")
    elif fault == "not_audio":
        clip.write_text("not audio " * 100)
    elif fault == "truncated":
        clip.write_bytes(clip.read_bytes()[:2000])
    elif fault == "link_outside":
        clip.rename(corpus / clip.name)
        clip.symlink_to(corpus / clip.name)
    elif fault == "not_finite":
        soundfile.write(clip, np.full(30_000, np.nan), 48_000, "FLOAT", format="WAV")
    elif fault == "sampling_rate":
        soundfile.write(clip, np.sin(np.arange(30_000)), 48_001, format="WAV")
    elif fault == "too_long_text":
        edit_line(pair, line, lambda text: text.replace("cold", "cold " * 20_000))
    elif fault == "empty_transcription":
        edit_line(validated, line, lambda text: text.replace("L’eau est très froide, dit-il.", "…"))
    elif fault == "empty_translation":
        edit_line(pair, line, lambda text: text.replace("In en: cold.", "\u200b"))
    elif fault == "duplicate":
        pair.write_text(pair.read_text() + pair.read_text().splitlines()[line - 1] + "\n")


FAULTS = [
    "columns",
    "not_in_validated",
    "outside_clips_folder",
    "missing",
    "empty_file",
    "not_audio",
    "truncated",
    "link_outside",
    "not_finite",
    "sampling_rate",
    "too_long_text",
    "empty_transcription",
    "empty_translation",
    "duplicate",
]


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_training_rows_are_counted_and_left_out(corpus, out, capsys, fault: str):
    spoil(corpus, fault, 1)
    prepare(corpus, out)
    assert f"fr: train: 1 left out: {fault}" in capsys.readouterr().out
    kept = TRAIN if fault == "duplicate" else TRAIN - 1
    assert len(rows_of(out, "fr", "train")) == kept
    [rejected] = json.loads((out / "preparation.json").read_text())["rejected"]
    line = TRAIN + DEV + TEST + 2 if fault == "duplicate" else 3
    assert rejected["reason"] == fault
    assert rejected["origin"] == f"covost_v2.fr_en.tsv:{line}"


def test_too_few_columns_are_as_bad_as_too_many(corpus, out, capsys):
    spoil(corpus, "too few columns", 1)
    prepare(corpus, out)
    assert "fr: train: 1 left out: columns" in capsys.readouterr().out


def test_a_row_that_does_not_tell_its_split_may_be_a_test_row(corpus, out):
    edit_line(corpus / "fr" / "covost_v2.fr_en.tsv", 3, lambda line: line.partition("\t")[0])
    with pytest.raises(CorpusError, match=r"covost_v2.fr_en.tsv:3: fr unknown fr_1.mp3: columns"):
        prepare(corpus, out)


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_test_rows_stop_the_run(corpus, out, capsys, fault: str):
    last = TRAIN + DEV + TEST - 1
    spoil(corpus, fault, last)
    with pytest.raises(CorpusError) as error:
        prepare(corpus, out)
    message = str(error.value)
    assert "1 dev or test rows cannot be used" in message
    assert f"covost_v2.fr_en.tsv:{last + (3 if fault == 'duplicate' else 2)}" in message
    assert fault in message
    assert "drop_faulty_evaluation_rows" in message
    assert not manifest_path(out, "fr", "test").exists()
    prepare(corpus, out, drop_faulty_evaluation_rows=True)
    assert f"fr: test: 1 left out: {fault}" in capsys.readouterr().out
    assert len(rows_of(out, "fr", "test")) == (TEST if fault == "duplicate" else TEST - 1)


def test_only_training_rows_are_filtered_by_duration(corpus: Path, out: Path, capsys):
    prepare(corpus, out, min_duration=0.65, max_duration=0.75)
    printed = capsys.readouterr().out
    assert "train: 1 left out: too_short" in printed
    assert "train: 1 left out: too_long" in printed
    assert len(rows_of(out, "fr", "test")) == TEST


def test_a_test_clip_that_makes_no_frame_stops_the_run(corpus: Path, out: Path):
    clip = corpus / "fr" / "clips" / f"fr_{TRAIN + DEV}.mp3"
    soundfile.write(clip, np.sin(np.arange(300)), 16_000, format="WAV")
    with pytest.raises(CorpusError, match=rf"fr test fr_{TRAIN + DEV}.mp3: too_short"):
        prepare(corpus, out)


def test_silent_clips_are_left_out_of_training_alone(corpus: Path, out: Path, capsys):
    for number in (0, TRAIN + DEV):
        write_clip(corpus / "fr" / "clips" / f"fr_{number}.mp3", volume=0.0)
    prepare(corpus, out)
    assert "fr: train: 1 left out: silent" in capsys.readouterr().out
    assert len(rows_of(out, "fr", "test")) == TEST


def test_clips_that_are_all_links_are_said_to_be(corpus: Path, out: Path, capsys):
    (corpus / "fr" / "clips").rename(corpus / "store")
    (corpus / "fr" / "clips").mkdir()
    for clip in (corpus / "store").iterdir():
        (corpus / "fr" / "clips" / clip.name).symlink_to(clip)
    advice = "links that lead out of the clips folder; copy the files there, or make the clips fol"
    with pytest.raises(CorpusError, match=advice):
        prepare(corpus, out)
    with pytest.raises(CorpusError, match=rf"no usable row \(7 link_outside\)\n.*{advice}"):
        prepare(corpus, out, drop_faulty_evaluation_rows=True)
    shutil.rmtree(corpus / "fr" / "clips")
    (corpus / "fr" / "clips").symlink_to(corpus / "store")
    prepare(corpus, out)
    assert len(rows_of(out, "fr", "train")) == TRAIN


def test_clips_of_one_name_with_different_suffixes_stay_apart(corpus: Path, out: Path):
    clips, line = corpus / "fr" / "clips", "fr_0.wav\tAs audio of another kind.\ttrain\n"
    pair, validated = corpus / "fr" / "covost_v2.fr_en.tsv", corpus / "fr" / "validated.tsv"
    soundfile.write(clips / "fr_0.wav", np.sin(np.arange(16_000)), 16_000)
    pair.write_text(pair.read_text() + line)
    validated.write_text(validated.read_text() + "s\tfr_0.wav\tAutre chose.\t2\t0\n")
    prepare(corpus, out)
    utterances = read_manifest(manifest_path(out, "fr", "train"), corpus)
    assert len(utterances) == TRAIN + 1
    texts = {Path(item["wav"]).name: item["transcription"] for item in utterances.values()}
    assert texts["fr_0.wav"] == "autre chose"
    assert texts["fr_0.mp3"] == "l'eau est très froide dit-il"


def test_a_clip_in_train_and_test_stops_the_run(tmp_path: Path, out: Path):
    corpus = make_corpus(tmp_path / "corpus", pairs=("en-de", "en-ca"))
    edit_line(corpus / "en" / "covost_v2.en_ca.tsv", 2, lambda line: line.replace("train", "test"))
    with pytest.raises(CorpusError, match=r"en_de.tsv:2 and covost_v2.en_ca.tsv:2.*two_splits"):
        prepare_covost(corpus, out, ["en"], ["en-de", "en-ca"])


# ------------------------------------------------------------------ faults of the corpus


def test_missing_files_say_where_and_what_to_do(corpus: Path, out: Path):
    cases = [
        (corpus / "no", ["fr"], ["fr-en"], r"data_folder: .*no is not a folder.*make_mini_covost"),
        (corpus, ["fr", "it"], ["fr-en"], r"it: .*it/clips is not a folder"),
        (corpus, ["fr"], ["fr-de"], r"covost_v2.fr_de.tsv.*The pairs there are fr-en"),
        (corpus, ["fr"], ["fr_en"], r"found 'fr_en', expected source-target such as fr-en"),
        (corpus, ["fr"], ["de-en"], r"de-en translates from de, which is not among the languages"),
    ]
    for folder, languages, pairs, message in cases:
        with pytest.raises(ValueError, match=message):
            prepare_covost(folder, out, languages, pairs)
    assert not out.exists()


def test_a_folder_without_the_corpus_says_what_it_holds(corpus: Path, out: Path, monkeypatch):
    message = r"data_folder: /.*corpus/fr holds none of fr/clips; it holds clips, covost_v2.fr_en"
    with pytest.raises(CorpusError, match=message):
        prepare(corpus / "fr", out)
    monkeypatch.chdir(corpus / "fr")  # a relative folder, from another than it was meant for
    with pytest.raises(CorpusError, match=r"data/x is not a folder \(seen from here, /.*corpus/fr"):
        prepare(Path("data/x"), out)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"languages": "fr"}, r"languages: found the text 'fr', expected a list such as \[fr\]"),
        ({"pairs": "fr-en"}, r"pairs: found the text 'fr-en', expected a list such as \[fr-en\]"),
        ({"languages": ["fr", "fr"]}, "languages: found fr more than once"),
        ({"pairs": ["fr-en", "fr-en"]}, "pairs: found fr-en more than once"),
        ({"languages": ["fr/"]}, "languages: found 'fr/', expected codes such as fr or zh-CN"),
        ({"min_duration": 2.0, "max_duration": 1.0}, "min_duration, max_duration: found 2.0 and 1"),
        ({"max_duration": float("nan")}, "min_duration, max_duration: found 0.5 and nan"),
        ({"workers": 0}, "workers: found 0, expected 1 or more"),
    ],
)
def test_senseless_arguments_are_refused(corpus: Path, out: Path, change, message):
    with pytest.raises(ValueError, match=message):
        prepare_covost(corpus, out, **{"languages": ["fr"], "pairs": ["fr-en"], **change})
    assert not out.exists()


def test_missing_tsv_files(corpus: Path, out: Path):
    (corpus / "fr" / "validated.tsv").rename(corpus / "kept")
    with pytest.raises(CorpusError, match=r"validated.tsv is missing.*put it there"):
        prepare(corpus, out)
    (corpus / "kept").rename(corpus / "fr" / "validated.tsv")
    (corpus / "fr" / "covost_v2.fr_en.tsv").unlink()
    with pytest.raises(CorpusError, match="There is no pair of fr at all"):
        prepare(corpus, out)
    with pytest.raises(CorpusError, match=r"Common Voice's own splits.*missing .*train.tsv"):
        prepare_covost(corpus, out, ["fr"], [])


def test_wrong_headers_and_encodings(corpus: Path, out: Path):
    pair = corpus / "fr" / "covost_v2.fr_en.tsv"
    whole = pair.read_bytes()
    edit_line(pair, 1, lambda _: "path\ttext\tsplit")
    with pytest.raises(CorpusError, match="no column translation; it is path, text, split"):
        prepare(corpus, out)
    pair.write_bytes(whole.replace(b"cold", b"\xff\xfe"))
    with pytest.raises(CorpusError, match=r"covost_v2.fr_en.tsv: line 2, byte .*UTF-8"):
        prepare(corpus, out)


def test_an_empty_split(corpus: Path, out: Path):
    pair = corpus / "fr" / "covost_v2.fr_en.tsv"
    pair.write_text(pair.read_text().replace("\tdev", "\tvalidation"))
    with pytest.raises(CorpusError, match="fr dev: has no rows in the TSV files"):
        prepare(corpus, out)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pairs", "fr-de"], "pair fr-de: found neither"),
        (["--pairs", "fr_en"], "pairs: found 'fr_en', expected source-target"),
        (["--pairs", "fr-en", "--languages", "fr", "fr"], "languages: found fr more than once"),
        (["--pairs", "fr-en", "--max_duration", "-1"], "min_duration, max_duration: found 0.5 and"),
        (["--pairs", "fr-en", "--workers", "-2"], "workers: found -2"),
        (["--pairs", "fr-en", "--source", "hf", "--hf_dataset", "."], ". has no configuration"),
    ],
)
def test_the_command_prints_the_message_alone(corpus: Path, out: Path, options, message):
    done = call(main, corpus, out, "--languages", "fr", *options, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_the_place_of_the_manifests_folder(corpus: Path, out: Path, below: str):
    out.write_text("mine")
    done = call(main, corpus, out / below, "--languages", "fr", "--pairs", "fr-en", check=False)
    assert done.returncode == 1
    assert "the manifests' folder cannot be made, for a file has its name" in done.stderr
    assert out.read_text() == "mine"


def test_ctrl_c_ends_in_a_line_that_says_how_to_go_on(corpus: Path, out: Path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("corpus.clips.check_clip", interrupt)
    done = call(main, corpus, out, "--languages", "fr", "--pairs", "fr-en", check=False)
    assert done.returncode == 130
    assert done.stderr.endswith("Stopped. The same command goes on with the clips that are left.\n")


# ------------------------------------------------------------------ again, in part, in parallel


def test_done_work_is_kept_until_something_changes(corpus: Path, out: Path, capsys):
    prepare(corpus, out)
    before = (out / "fr_train.csv").stat().st_mtime_ns
    prepare(corpus, out)
    assert "prepared already" in capsys.readouterr().out
    assert (out / "fr_train.csv").stat().st_mtime_ns == before
    edit_line(
        corpus / "fr" / "covost_v2.fr_en.tsv", 2, lambda line: line.replace("cold", "very cold")
    )
    prepare(corpus, out)
    assert "very cold" in rows_of(out, "fr", "train")[0]["translation"]


@pytest.mark.parametrize("convert", [False, True])
def test_workers_do_not_change_the_output(corpus: Path, tmp_path: Path, convert: bool):
    files = {}
    for workers in (1, 2):
        copy, out = tmp_path / f"corpus{workers}", tmp_path / f"out{workers}"
        shutil.copytree(corpus, copy)
        prepare(copy, out, convert_audio=convert, workers=workers)
        made = [*out.glob("*.csv"), *copy.rglob("*.flac")]
        files[workers] = {path.name: path.read_bytes() for path in made}
    assert files[1] == files[2]
    assert len(files[1]) == 3 + convert * (TRAIN + DEV + TEST)


def test_manifests_point_to_the_converted_clips(corpus: Path, out: Path, tmp_path: Path):
    prepare(corpus, tmp_path / "original")
    prepare(corpus, out, convert_audio=True)
    for split in ("train", "dev", "test"):
        original = rows_of(tmp_path / "original", "fr", split)
        converted = rows_of(out, "fr", split)
        assert [{**row, "wav": ""} for row in converted] == [{**row, "wav": ""} for row in original]
        for utterance in read_manifest(manifest_path(out, "fr", split), corpus).values():
            info = soundfile.info(utterance["wav"])
            assert (info.format, info.samplerate) == ("FLAC", 16_000)
            assert info.duration == pytest.approx(utterance["duration"], abs=1e-3)


def test_converting_is_another_preparation(corpus: Path, out: Path):
    prepare(corpus, out)
    prepare(corpus, out, convert_audio=True)
    assert rows_of(out, "fr", "train")[0]["wav"] == "$data_root/fr/flac/fr_0.mp3.flac"


def test_a_faulty_training_clip_has_no_converted_one(corpus: Path, out: Path, capsys):
    spoil(corpus, "truncated", 1)
    prepare(corpus, out, convert_audio=True)
    assert "fr: train: 1 left out: truncated" in capsys.readouterr().out
    assert len(list((corpus / "fr" / "flac").iterdir())) == TRAIN - 1 + DEV + TEST


@pytest.mark.slow
@pytest.mark.parametrize("convert", [False, True])
def test_a_killed_run_is_finished_by_the_next(corpus, out, tmp_path, convert: bool):
    shutil.copytree(corpus, tmp_path / "copy")
    prepare(tmp_path / "copy", tmp_path / "whole", convert_audio=convert)
    slow = (
        "import time\nfrom corpus import clips, prepare\n"
        "check = clips.check_clip\n"
        "clips.check_clip = lambda *a: (time.sleep(0.4), check(*a))[1]\n"
        f"where = {str(corpus)!r}, {str(out)!r}\n"
        "prepare.prepare_covost(\n"
        f"    *where, ['fr'], ['fr-en'], workers=1, convert_audio={convert})"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", slow], env=environment)
    journal = out / "clips.jsonl"
    while not (journal.exists() and journal.read_text().count("fr_") >= 2):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(out.glob("*.csv"))
    examined = journal.read_text().count("fr_")
    prepare(corpus, out, convert_audio=convert)
    assert journal.read_text().count("fr_") == TRAIN + DEV + TEST
    assert 2 <= examined < TRAIN + DEV + TEST
    for path in (tmp_path / "whole").glob("*.csv"):
        assert path.read_bytes() == (out / path.name).read_bytes()
    for path in (tmp_path / "copy" / "fr" / "flac").glob("*.flac"):
        assert path.read_bytes() == (corpus / "fr" / "flac" / path.name).read_bytes()


def prepare_with_others(corpus: Path, out: Path, start) -> None:
    start.wait()
    prepare(corpus, out, workers=1)


@pytest.mark.slow
def test_processes_that_share_a_folder_wait_for_the_first(corpus, out, monkeypatch, capfd):
    rounds, processes = 3, 4

    def slow(text: str) -> str:  # so that manifests take time to be written
        time.sleep(0.02)
        return normalize_transcription(text)

    monkeypatch.setattr("corpus.prepare.normalize_transcription", slow)
    context = multiprocessing.get_context("fork")
    for number in range(rounds):
        folder = out / str(number)
        places = corpus, folder, context.Barrier(processes)
        crowd = [context.Process(target=prepare_with_others, args=places) for _ in range(processes)]
        for process in crowd:
            process.start()
        while any(process.is_alive() for process in crowd):
            for path in folder.glob("*_train.csv"):
                with path.open(newline="", encoding="utf-8") as file:
                    assert len(list(csv.DictReader(file))) == TRAIN  # never half of it
        assert [process.exitcode for process in crowd] == [0] * processes
    printed = capfd.readouterr().out
    assert printed.count("fr: train 3") == rounds  # one worked
    assert printed.count("prepared already") == rounds * (processes - 1)
    assert "another process prepares it; waiting" in printed


def test_a_full_disk_keeps_the_old_manifests(corpus: Path, out: Path, monkeypatch):
    prepare(corpus, out)
    before = (out / "fr_train.csv").read_bytes()
    edit_line(corpus / "fr" / "covost_v2.fr_en.tsv", 2, lambda line: line.replace("cold", "warm"))

    class FullDisk:
        def __init__(self, file):
            self.file = file

        def writerow(self, row):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("corpus.prepare.csv.writer", FullDisk)
    with pytest.raises(OSError, match="No space left"):
        prepare(corpus, out)
    assert (out / "fr_train.csv").read_bytes() == before
    monkeypatch.undo()
    prepare(corpus, out)
    assert "warm" in rows_of(out, "fr", "train")[0]["translation"]
