"""mini-CoVoST: layout, disjoint splits, equal bytes for equal arguments, and hard landings."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile

import make_mini_covost as command
from mini_covost import make as recipe
from mini_covost.espeak import EspeakError
from mini_covost.grammar import LANGUAGES
from mini_covost.make import make_mini_covost

pytestmark = pytest.mark.slow

TARGETS = {"en": "de", "fr": "en", "de": "en", "es": "en", "ca": "en"}
SIZES = {"train": 20, "dev": 3, "test": 5}
DEFAULT_SIZES = {"train": 500, "dev": 40, "test": 60}
VALIDATED = ["client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender", "accent"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_mini_covost(tmp_path_factory.mktemp("corpus"), **SIZES, seed=5, workers=2)


def read_tsv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\"))


def contents(folder):
    """Every file under a folder, with its bytes."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def normalised(sentence):
    """A sentence as speech recognition sees it."""
    return " ".join(re.findall(r"[\w'·-]+", sentence.lower()))


# --- what it makes -------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_layout_is_that_of_covost(corpus, language):
    validated = read_tsv(corpus / language / "validated.tsv")
    translated = read_tsv(corpus / language / f"covost_v2.{language}_{TARGETS[language]}.tsv")
    assert list(validated[0]) == VALIDATED
    assert list(translated[0]) == ["path", "translation", "split"]
    clips = sorted(path.name for path in (corpus / language / "clips").iterdir())
    assert clips == sorted(row["path"] for row in validated)
    assert clips == sorted(row["path"] for row in translated)
    splits = [row["split"] for row in translated]
    assert {split: splits.count(split) for split in SIZES} == SIZES
    assert all(re.fullmatch("[0-9a-f]{128}", row["client_id"]) for row in validated)


def test_clips_are_48_khz_mono_mp3_with_speech(corpus):
    for clip in corpus.glob("*/clips/*"):
        samples, rate = soundfile.read(clip)
        info = soundfile.info(clip)
        assert (info.format, info.channels, rate) == ("MP3", 1, 48000), clip
        assert 0.5 < len(samples) / rate < 6 and abs(samples).max() > 0.1, clip
        assert len(samples) == info.frames, clip


def test_nothing_is_left_over(corpus):
    assert {path.name for path in corpus.iterdir()} == {*LANGUAGES, "mini_covost.json"}
    assert list(corpus.rglob("*.part*")) == []


def test_a_row_says_the_same_in_both_languages(corpus):
    english = {
        normalised(row["translation"]) for row in read_tsv(corpus / "fr" / "covost_v2.fr_en.tsv")
    }
    assert len(english) == sum(SIZES.values())
    assert all(re.search(r"\b(i|we|my|the)\b", sentence) for sentence in english)


# --- splits --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plan():
    return {lang: recipe.plan_language(lang, DEFAULT_SIZES, 1234) for lang in LANGUAGES}


def test_no_sentence_is_in_two_splits_of_any_languages(plan):
    """Translations count too: what a test row says is in no train row, source or target."""
    splits = {}
    for utterance in (utterance for utterances in plan.values() for utterance in utterances):
        for text in (utterance.sentence, utterance.translation):
            splits.setdefault(normalised(text), set()).add(utterance.split)
    assert [text for text, found in splits.items() if len(found) > 1] == []


def test_no_speaker_is_in_two_splits_of_any_languages(plan):
    splits = {}
    for utterance in (utterance for utterances in plan.values() for utterance in utterances):
        for key in (utterance.client_id, utterance.speaker):
            splits.setdefault(key, set()).add(utterance.split)
    assert [key for key, found in splits.items() if len(found) > 1] == []


def test_on_disk_no_test_or_dev_sentence_or_speaker_is_in_train(corpus):
    said, spoken_by = ({split: set() for split in SIZES} for _ in range(2))
    for language in LANGUAGES:
        rows = {row["path"]: row for row in read_tsv(corpus / language / "validated.tsv")}
        for row in read_tsv(corpus / language / f"covost_v2.{language}_{TARGETS[language]}.tsv"):
            said[row["split"]] |= {rows[row["path"]]["sentence"], row["translation"]}
            spoken_by[row["split"]].add(rows[row["path"]]["client_id"])
    for found in (said, spoken_by):
        assert all(found.values())
        assert not found["train"] & (found["dev"] | found["test"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_is_said_twice_in_a_language(plan, language):
    sentences = [normalised(utterance.sentence) for utterance in plan[language]]
    assert len(set(sentences)) == len(sentences)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_split_has_every_construction_and_several_speakers(plan, language):
    for split in DEFAULT_SIZES:
        utterances = [utterance for utterance in plan[language] if utterance.split == split]
        assert len(utterances) == DEFAULT_SIZES[split]
        assert len({utterance.meaning.construction for utterance in utterances}) == 16
        assert len({utterance.speaker for utterance in utterances}) >= 8


# --- equal arguments, equal bytes ----------------------------------------------------------


def test_the_result_depends_on_neither_workers_nor_other_languages(corpus, tmp_path):
    make_mini_covost(tmp_path, **SIZES, languages=["es", "ca"], seed=5, workers=1)
    for language in ("es", "ca"):
        assert contents(tmp_path / language) == contents(corpus / language)


def test_another_seed_says_other_things(plan):
    other = recipe.plan_language("de", DEFAULT_SIZES, 1235)
    shared = {utterance.sentence for utterance in plan["de"]} & {u.sentence for u in other}
    assert len(shared) < len(other) / 2


# --- running it again ----------------------------------------------------------------------


def test_a_finished_corpus_is_left_as_it_is(corpus, capsys):
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    assert make_mini_covost(corpus, **SIZES, seed=5) == corpus
    assert f"already made in {corpus}" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*")} == before


def test_a_corpus_of_other_arguments_is_refused_and_kept(corpus):
    before = contents(corpus)
    with pytest.raises(FileExistsError, match=r"seed = 5 there and 6 here; train = 20 there"):
        make_mini_covost(corpus, **SIZES | {"train": 21}, seed=6)
    assert contents(corpus) == before


def living_processes(group):
    """The processes of a group that are not zombies, from /proc."""
    living = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, process_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(process_group) == group and state != "Z":
            living.append(stat.parent.name)
    return living


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_a_killed_run_is_finished_by_running_it_again(tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    arguments = {"train": 50, "dev": 5, "test": 5, "languages": ["ca"], "seed": 7, "workers": 2}
    words = f"{command.__file__} {killed} --train 50 --dev 5 --test 5 --languages ca --seed 7"
    process = subprocess.Popen(
        [sys.executable, *words.split(), "--workers", "2"],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    clips = killed / "ca" / "clips"
    wait_until(lambda: len(list(clips.glob("*.mp3"))) >= 10)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not living_processes(process.pid))  # workers go with their parent

    assert not (killed / "mini_covost.json").exists()
    kept = {clip: clip.stat().st_mtime_ns for clip in clips.glob("*.mp3")}
    assert 10 <= len(kept) < 60
    with pytest.raises(FileExistsError, match="unfinished mini-CoVoST of other arguments"):
        make_mini_covost(killed, **arguments | {"test": 6})

    make_mini_covost(killed, **arguments)
    make_mini_covost(whole, **arguments)
    assert {clip: clip.stat().st_mtime_ns for clip in kept} == kept
    assert contents(killed) == contents(whole)


# --- bad input -----------------------------------------------------------------------------


def test_a_folder_of_something_else_is_refused_and_kept(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match=r"found thesis\.txt.*Nothing was changed"):
        make_mini_covost(tmp_path, **SIZES)
    assert contents(tmp_path) == {"thesis.txt": b"years of work"}


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(FileExistsError, match="is a file"):
        make_mini_covost(path, **SIZES)


@pytest.mark.parametrize("text", ["", "{", "[1]", "3"])
def test_a_broken_record_is_refused_by_name(tmp_path, text):
    (tmp_path / "mini_covost.json").write_text(text)
    with pytest.raises(FileExistsError, match=r"mini_covost\.json is not a record"):
        make_mini_covost(tmp_path, **SIZES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train": 0}, "train: expected 1 to"),
        ({"dev": -3}, "dev: expected 1 to .* got -3"),
        ({"test": 10**6}, r"test: expected 1 to \d+ utterances .* got 1000000"),
        ({"languages": ["fr", "it"]}, "languages: .* en, fr, de, es, ca.* got fr, it"),
        ({"languages": ["fr", "fr"]}, "each once"),
        ({"languages": []}, "got none"),
        ({"workers": -1}, "workers: expected at least 1"),
    ],
)
def test_a_senseless_argument_is_named_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_mini_covost(tmp_path / "corpus", **SIZES | arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_synthesizer_is_named_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(EspeakError, match="pip install espeakng-loader"):
        make_mini_covost(tmp_path / "corpus", **SIZES)
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_is_wrong_without_a_traceback(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SystemExit, match=r"make_mini_covost: .* found thesis\.txt"):
        command.main([str(tmp_path)])
