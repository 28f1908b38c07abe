"""The recipe as a user runs it: commands on a corpus on disk."""

import json
import re
import shutil
from importlib.metadata import version
from pathlib import Path

import jiwer
import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from evaluate import main as evaluate
from export import main as export
from tests.helpers.commands import COMMANDS, call, run, run_script, train
from vmsp_brain.data.text import normalize_transcription
from vmsp_brain.run.folder import RunFolder

pytestmark = pytest.mark.slow


def test_results_agree_with_the_table_and_the_hypotheses(uas_run):
    out, printed = uas_run
    results = json.loads((out / "results.json").read_text())
    assert set(results["wer"]) == {"en", "es", "it"}
    assert set(results["bleu"]) == {"es-en", "it-en"}
    for name, score in {**results["wer"], **results["bleu"]}.items():
        assert f" {name} {score:.2f}" in printed
    assert results["wer_mean"] == pytest.approx(sum(results["wer"].values()) / 3, abs=0.01)
    assert results["bleu_signature"].startswith("nrefs:1|case:mixed")
    for name in ("asr_en", "asr_es", "asr_it", "st_es-en", "st_it-en"):
        lines = (out / "test" / f"{name}.tsv").read_text().splitlines()
        assert lines[0].split("\t") == ["id", "reference", "hypothesis"]
        assert len(lines) == 1 + 3


def test_tensorboard_shows_all_that_is_watched(uas_run):
    out, _ = uas_run
    curves = RunFolder(out).read_curves()
    objectives = ["asr/en", "asr/es", "asr/it", "st/es-en", "st/it-en", "ssl"]
    for group in ("loss_train", "loss_valid", "lambda", "gradient_norm"):
        assert {f"{group}/{name}" for name in objectives} <= curves.keys()
    assert {
        "penalty/eta_1_st_under_asr",
        "penalty/eta_2_ssl_under_st",
        "WER_valid/it",
        "BLEU_valid/it-en",
    } <= curves.keys()
    assert {
        "learning_rate/encoder",
        "learning_rate/heads",
        "gradient_norm/encoder",
    } <= curves.keys()
    assert {"cost/minutes", "cost/cpu_minutes", "cost/memory_gib"} <= curves.keys()
    assert {"conflict_by_task/asr-st", "conflict_by_layer/block_01"} <= curves.keys()
    results = json.loads((out / "results.json").read_text())
    assert [value for _, value in curves["test/wer_mean"]] == pytest.approx([results["wer_mean"]])


def test_tensorboard_has_pictures_sounds_texts_and_hyperparameters(uas_run):
    out, _ = uas_run
    events = EventAccumulator(str(out / "tensorboard")).Reload()
    tags = events.Tags()
    assert set(tags["images"]) == {"07_conflict/objectives", "07_conflict/layers"}
    assert set(tags["audio"]) == {"16_sample/en", "16_sample/es", "16_sample/it"}
    [text] = [tag for tag in tags["tensors"] if tag.startswith("16_sample/st/it-en")]
    table = events.Tensors(text)[0].tensor_proto.string_val[0].decode()
    assert table.startswith("| utterance | reference | hypothesis |")
    assert table.count("\n") == 1 + 3
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_the_best_checkpoint_is_the_primary_levels(uas_run):
    out, _ = uas_run
    metas = [yaml.safe_load(path.read_text()) for path in (out / "save").glob("*/CKPT.yaml")]
    assert all({"WER", "BLEU", "epoch"} <= meta.keys() for meta in metas)
    assert len((out / "train_log.txt").read_text().splitlines()) == 2  # a line per epoch


def test_debug_mode_runs_a_few_batches(mini_covost: Path, tmp_path: Path):
    """Of augmented waveforms, with what other languages say as noise."""
    noises = mini_covost / "es" / "clips"
    train(
        "wav_augment.yaml", mini_covost, tmp_path / "run", "--languages=[en, fr]",
        "--pairs=[fr-en]", "--debug", "--noprogressbar", "--spec_augment={time_warp: 5}",
        f"--wav_augment={{noise: {noises}, reverb: {noises}, snr_low: 20, snr_high: 30}}",
    )  # fmt: skip
    assert len((tmp_path / "run" / "train_log.txt").read_text().splitlines()) == 2


def test_usa_trains_on_converted_clips_in_batches_of_a_duration(mini_covost: Path, tmp_path: Path):
    """Recognition writes sentences, by characters, and is scored as they are and normalized."""
    out = tmp_path / "run"
    done = train(
        "usa.yaml", mini_covost, out, "--languages=[en, fr]",
        "--asr_text=cased", "--token_type=char", "--curriculum_epochs=1",
        "--pairs=[fr-en]", "--number_of_epochs=1", "--st_vocabulary=separate",
        "--convert_audio=True", "--dynamic_batching=True", "--max_batch_length=8.0",
        "--batch_size=", "--ssl_batch_size=",
        "--ssl_max_batch_length=8.0", "--num_buckets=5", "--sampling_temperature=2.0",
    )  # fmt: skip
    manifest = (out / "manifests" / "fr_train.csv").read_text()
    assert manifest.count(".mp3.flac,") == 24
    results = json.loads((out / "results.json").read_text())
    assert set(results["bleu"]) == {"fr-en"}
    assert (out / "tokenizers" / "st_fr-en.model").exists()
    for language in ("en", "fr"):
        found = RunFolder(out).read_hypotheses(f"asr/{language}")
        written, heard = [h.reference for h in found], [h.hypothesis for h in found]
        assert all(text[0].isupper() and text[-1] in ".?!" for text in written)
        assert results["wer"][language] == round(100 * jiwer.wer(written, heard), 2)
        texts = [list(map(normalize_transcription, column)) for column in (written, heard)]
        assert results["wer_normalized"][language] == round(100 * jiwer.wer(*texts), 2)
    assert f"normalized en {results['wer_normalized']['en']:.2f}" in done.stdout

    # Tested again, and as Whisper is: the model knows what it writes.
    call(evaluate, out)
    assert json.loads((out / "results.json").read_text()) == results
    call(export, out, tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    assert "Recognition writes sentences with case and punctuation." in card
    assert f"| WER of normalized text, % | {results['wer_normalized']['en']:.2f} |" in card
    call(
        evaluate, tmp_path / "model", "--manifest", out / "manifests" / "en_test.csv",
        "--data_folder", mini_covost, "--output", tmp_path / "out", "--wer_normalizer=whisper",
    )  # fmt: skip
    again = json.loads((tmp_path / "out" / "results.json").read_text())
    assert again["wer"]["en"] == results["wer"]["en"]
    assert "Whisper's EnglishTextNormalizer" in again["wer_normalized_by"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--order=SUA"], "order: found 'SUA', expected one of UAS, USA"),
        (["--asr_vocab_size=5000"], "cannot support a vocabulary of 5000 tokens"),
        (["--pairs=[de-en]"], "translates from de, which is not among the languages en, fr"),
        (["--pairs=[fr-de]"], "found neither covost_v2.fr_de.tsv"),
        (["--pairs=[]"], "['st/*'], matches no objective"),
        (["--data_folder=nowhere"], "data_folder: nowhere is not a folder"),
        (["--number_of_epochs=0"], "--number_of_epochs: found 0, expected a whole number of at"),
        (["--test_only"], "holds no checkpoint of a whole epoch, so there is nothing to test"),
        (["--ordr=UAS"], "uas.yaml has no such key. Is order meant?"),
    ],
)
def test_wrong_settings_stop_with_a_message(mini_covost, tmp_path, options, message):
    done = train(
        "uas.yaml", mini_covost, tmp_path / "run", "--languages=[en, fr]",
        "--pairs=[fr-en]", *options, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert not (tmp_path / "run" / "results.json").exists()


def test_another_configuration_in_the_same_folder_is_refused(uas_run, mini_covost: Path):
    out, _ = uas_run
    before = (out / "results.json").read_text()
    done = run("train.py", "uas.yaml", mini_covost, out, check=False)
    assert done.returncode != 0
    assert "holds a run with another configuration" in done.stderr
    assert "languages[1]: was es, is now fr" in done.stderr
    assert (out / "results.json").read_text() == before


@pytest.mark.slow
def test_what_people_read_is_short_and_ends_with_what_to_do_next(uas_run):
    out, printed = uas_run
    lines = printed.splitlines()
    assert len(lines) < 40
    assert not [line for line in lines if line.startswith("speechbrain.") or len(line) > 400]
    for epoch in (1, 2):
        [line] = [line for line in lines if line.startswith(f"Epoch {epoch} of 2, loss ")]
        assert re.search(r"WER %  en \d+\.\d\d   es \d+\.\d\d   it \d+\.\d\d   mean \d", line)
    end = printed.partition("sacreBLEU")[2]
    for path in ("results.json", "test", "figures", "tensorboard"):
        assert str(out / path) in end
        assert (out / path).exists()
    for name in ("evaluate.py", "export.py", "transcribe.py"):
        [script] = re.findall(rf"python (\S+/{re.escape(name)}) ", end)
        assert Path(script).is_file()
    log = (out / "log.txt").read_text()
    assert "findfont" not in log
    assert "speechbrain.utils.epoch_loop - INFO - Going into epoch 1" in log
    assert "Epoch 2 of 2, loss" in log


@pytest.mark.slow
def test_a_moved_run_is_trained_longer(uas_run, mini_covost: Path, tmp_path: Path):
    out = shutil.copytree(uas_run[0], tmp_path / "moved")
    first_epochs = (out / "train_log.txt").read_text()
    done = train(
        "uas.yaml", mini_covost, out, "--languages=[en, es, it]",
        "--pairs=[es-en, it-en]", "--checkpoints_to_keep=2", "--number_of_epochs=3",
    )  # fmt: skip
    assert "Training goes on to epoch 3 in place of 2." in done.stdout
    log = (out / "train_log.txt").read_text()
    assert log.startswith(first_epochs)
    assert len(log.splitlines()) == 3
    assert json.loads((out / "results.json").read_text())["wer"].keys() == {"en", "es", "it"}
    assert f"torch=={version('torch')}" in (out / "env.log").read_text().splitlines()


@pytest.mark.slow
def test_a_saved_configuration_in_a_new_folder_does_not_test_the_old_run(uas_run, tmp_path: Path):
    out, _ = uas_run
    events = list((out / "tensorboard").iterdir())
    done = run_script(
        COMMANDS / "train.py", out / "hyperparams.yaml", f"--output_folder={tmp_path / 'new'}",
        "--test_only", check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{tmp_path / 'new' / 'save'} holds no checkpoint of a whole epoch" in done.stderr
    assert not (tmp_path / "new" / "results.json").exists()
    assert list((out / "tensorboard").iterdir()) == events
