"""The recipe that users copy, run as they run it."""

import csv
import random
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path
from string import ascii_lowercase

import pytest
import soundfile
import torch

from compare_orders import main as compare
from evaluate import main as evaluate
from export import main as export
from tests.helpers.commands import ROOT, Done, call, run_script
from vmsp_brain.data.manifests import COLUMNS
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.use.inference import SpeechTranslator

pytestmark = pytest.mark.slow

LANGUAGES = ("en", "fr")
SCRIPT = ROOT / "recipes" / "minimal" / "train.py"


def write_corpus(folder: Path) -> None:
    rng, letters = torch.Generator().manual_seed(0), random.Random(0)
    for language in LANGUAGES:
        with (folder / f"{language}.csv").open("w", newline="") as file:
            manifest = csv.DictWriter(file, COLUMNS, restval="")
            manifest.writeheader()
            for number in range(8):
                name = f"{language}{number}"
                text = " ".join("".join(letters.choices(ascii_lowercase, k=4)) for _ in range(6))
                audio = 0.1 * torch.randn(16_000, generator=rng)
                soundfile.write(folder / f"{name}.wav", audio.numpy(), 16_000)
                row = {"ID": name, "duration": 1.0, "wav": f"$data_root/{name}.wav"}
                manifest.writerow({**row, "language": language, "transcription": text})


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """The output of a run, beside its data."""
    folder = tmp_path_factory.mktemp("minimal")
    write_corpus(folder)
    train(folder)
    return folder / "out"


def train(folder: Path, *options: str) -> str:
    recipe = ROOT / "recipes" / "minimal"
    words = [
        f"--data_folder={folder}", f"--output_folder={folder / 'out'}", "--number_of_epochs=2",
        "--batch_size=2", "--ssl_batch_size=2", *options,
    ]  # fmt: skip
    done = start(str(recipe / "minimal.yaml"), *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def start(*words: str) -> Done:
    return run_script(SCRIPT, *words, check=False)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_it_trains_and_tests_on_clips_that_it_did_not_train_on(out: Path):
    assert set(RunFolder(out).read_report()["wer"]) == set(LANGUAGES)
    for language in LANGUAGES:
        clips = [
            [row["ID"] for row in rows(out / "manifests" / f"{language}_{split}.csv")]
            for split in ("train", "dev", "test")
        ]
        assert [len(own) for own in clips] == [6, 1, 1]
        assert sorted(chain(*clips)) == [f"{language}{number}" for number in range(8)]
        [tested] = RunFolder(out).read_hypotheses(f"asr/{language}")
        assert [tested.id] == clips[2]


def test_the_same_command_goes_on_with_it(out: Path):
    again = shutil.copytree(out.parent, out.parent.with_name("again"))
    settings = again / "out" / "hyperparams.yaml"
    settings.write_text(settings.read_text().replace(str(out.parent), str(again)))
    assert "Going into epoch" not in train(again), "both epochs are done"


def test_without_training_there_is_nothing_to_test(out: Path, tmp_path: Path):
    words = [f"--data_folder={out.parent}", f"--output_folder={tmp_path}", "--test_only"]
    done = start(str(ROOT / "recipes" / "minimal" / "minimal.yaml"), *words)
    assert done.returncode == 1
    assert f"{tmp_path / 'save'} holds no checkpoint of a whole epoch" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results.json").exists()


def test_without_arguments_it_says_how_to_call_it():
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Found no experiment file, expected one.\nUsage: train.py")


def test_its_result_is_evaluated_exported_and_compared_with_the_commands(out: Path, tmp_path: Path):
    run = shutil.copytree(out, tmp_path / "run")
    (run / "results.json").unlink()
    call(evaluate, run)
    assert RunFolder(run).read_report() == RunFolder(out).read_report()
    call(evaluate, run, "--split=dev", "--output", tmp_path / "dev")
    assert set(RunFolder(tmp_path / "dev").read_report()["wer"]) == set(LANGUAGES)
    call(export, run, tmp_path / "model")
    model = SpeechTranslator.from_hparams(source=str(tmp_path / "model"))
    assert model.languages == list(LANGUAGES)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "license: other" in card, "its data are not CoVoST's"
    call(compare, out, run, "--output", tmp_path / "comparison")
    assert "| ASR over SSL |" in (tmp_path / "comparison" / "report.md").read_text()


def test_it_needs_few_lines_of_the_library():
    lines = SCRIPT.read_text().splitlines()
    assert len(lines) <= 100
    imports = [line for line in lines if "import" in line and "vmsp_brain" in line]
    assert imports == ["from vmsp_brain import threads", "from vmsp_brain import ("]
