"""The whole life of a run, with all that happens to one, and what people read at each turn."""

import json
import re
import resource
import shutil
import signal
from pathlib import Path

import pytest

from compare_orders import main as compare_orders
from evaluate import main as evaluate
from export import main as export
from tests.helpers.commands import call, command, train
from tests.helpers.corpus import make_corpus
from tests.helpers.running import Running, has_saved
from transcribe import main as transcribe
from vmsp_brain.run.folder import RunFolder

pytestmark = pytest.mark.slow

SIZES = {"train": 11, "dev": 2, "test": 2}
"""Of each of two languages: thirty clips."""
OPTIONS = (
    "--languages=[en, fr]", "--pairs=[fr-en]", "--st_vocab_size=18", "--batch_size=1",
    "--ssl_batch_size=1", "--valid_batch_size=1", "--ckpt_interval_minutes=0", "--device=cpu",
    "--valid_search={beam_size: 4, max_decode_ratio: 1.0}", "--checkpoints_to_keep=2",
)  # fmt: skip
VALIDATION = "0/8 ["
"""Its progress bar at the start: two utterances of two languages, and all for SSL."""


def fill_the_disk() -> None:
    """No file may grow over this, as a checkpoint's would."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_the_whole_life_of_a_run(tmp_path: Path):
    corpus, out, log = tmp_path / "corpus", tmp_path / "run", tmp_path / "log"
    make_corpus(corpus, alone=("en",), sizes=SIZES)
    run = RunFolder(out)

    # A wrong vocabulary is refused with advice, and following it works.
    refused = train("uas.yaml", corpus, out, *OPTIONS, "--asr_vocab_size=500", check=False)
    assert refused.returncode == 1
    assert "cannot support a vocabulary of 500 tokens" in refused.stderr
    [advice] = re.findall(r"Give (--asr_vocab_size=\d+) or less", refused.stderr)
    options = (*OPTIONS, advice)

    def start(*more: str, **limits) -> Running:
        arguments = command("train.py", "uas.yaml", corpus, out, *options, *more)
        return Running(arguments, log, **limits)

    # Ctrl-C in training.
    started = start("--ckpt_interval_steps=1").when(has_saved(out, 1, 1))
    assert started.signal_all(signal.SIGINT) == 130
    said = log.read_text()
    assert "nothing was trained with its earlier configuration, which this one replaces" in said
    assert "Stopped by Ctrl-C (SIGINT) in epoch 1, step " in said
    assert "a checkpoint was saved. Give the same command to go on." in said
    assert "Traceback" not in said

    # On to the end.
    done = train("uas.yaml", corpus, out, *options)
    assert "Test " in done.stdout
    assert f"Scores      {run.scores}" in done.stdout
    assert len((out / "train_log.txt").read_text().splitlines()) == 2

    # Longer, and SIGTERM in a validation.
    longer = "--number_of_epochs=4"
    code = start(longer).when(lambda: VALIDATION in log.read_text()).signal_all(signal.SIGTERM)
    assert code == 143
    said = log.read_text()
    assert "Training goes on to epoch 4 in place of 2." in said
    assert "Stopped by SIGTERM in the validation of epoch 3; a checkpoint was saved." in said
    assert "Traceback" not in said

    # A full disk.
    before = checkpoints(run)
    assert start(longer, first=fill_the_disk).end() == 1
    said = log.read_text()
    assert f"{run.checkpoints}: a checkpoint could not be saved: File too large (" in said
    assert "Make room, then" in said
    assert "Traceback" not in said
    assert checkpoints(run) == before, "whole ones are kept, an unfinished one gives its room back"
    assert all(name in said for name in before)

    # On to the end, and the test alone.
    train("uas.yaml", corpus, out, *options, longer)
    assert len((out / "train_log.txt").read_text().splitlines()) == 4
    scores = run.read_report()
    train("uas.yaml", corpus, out, *options, longer, "--test_only")
    assert run.read_report() == scores
    assert scores["wer"].keys() == {"en", "fr"}

    # Tested on another split, but not into the run.
    words = [out, "--split", "dev", "--output"]
    assert "is in the run" in call(evaluate, *words, out / "dev", check=False).stderr
    assert "WER %" in call(evaluate, *words, tmp_path / "dev").stdout
    assert run.read_report() == scores

    # Compared: not with itself, but with what became of a copy.
    words = ["--output", tmp_path / "report"]
    assert "are the same run" in call(compare_orders, out, out, *words, check=False).stderr
    copy = shutil.copytree(out, tmp_path / "copy")
    train("uas.yaml", corpus, copy, *options, "--number_of_epochs=5")
    compared = call(compare_orders, out, copy, *words).stdout
    assert "the runs were not trained for equally many epochs (run 4, copy 5)" in compared
    assert f"Written to {tmp_path / 'report' / 'report.html'}" in compared

    # Exported, moved, and used without the run and the corpus's tables.
    assert "Written to" in call(export, out, tmp_path / "model").stdout
    model = shutil.move(tmp_path / "model", tmp_path / "elsewhere")
    hypotheses = {
        name: {item.id: item.hypothesis for item in run.read_hypotheses(name)}
        for name in ("asr/fr", "st/fr-en")
    }
    shutil.rmtree(out)
    clip = corpus / "fr" / "clips" / "fr_13.mp3"
    words = ["--language", "fr", "--translate", "en", "--model", model, "--json"]
    [found] = json.loads(call(transcribe, clip, *words).stdout)
    [key] = [key for key in hypotheses["asr/fr"] if "fr_13" in key]
    assert found["transcription"] == hypotheses["asr/fr"][key]
    assert found["translation"] == hypotheses["st/fr-en"][key]


def checkpoints(run: RunFolder) -> list[str]:
    """Whole ones."""
    return sorted(path.parent.name for path in run.checkpoints.glob("*/CKPT.yaml"))
