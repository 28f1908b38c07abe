"""The README's commands: each can be given as it stands there, and all of them do what it says.

The second takes an hour, and the network: `make test-readme` does it, in a clone of what is
committed.
``OPTIONS`` are more options for the trainings at laptop scale, such as ``--number_of_epochs=1``.
"""

import argparse
import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

from tests.helpers.commands import ROOT, TINY
from vmsp_brain.run.options.command_line import open_experiment

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]


def commands(block: str) -> list[list[str]]:
    """A block's commands, as words; without comments."""
    lines = block.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


COMMANDS = [command for kind, text in BLOCKS if kind == "bash" for command in commands(text)]


def test_there_are_commands_of_every_kind():
    assert {command[0] for command in COMMANDS} == {
        "make",
        "pip",
        "source",
        "python",
        "torchrun",
        "vmsp-transcribe",
    }
    assert len(COMMANDS) > 15


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_can_be_given(command: list[str], monkeypatch):
    check(command, monkeypatch)


@pytest.mark.parametrize(
    "command",
    [
        "make trains",
        "source .venv/bin/actuate",
        "pip install -r requirements-demos.txt",
        "python recipes/CoVoST/trains.py hparams/uas.yaml",
        "python recipes/CoVoST/train.py hparams/us.yaml --data_folder=/data/covost",
        "python recipes/CoVoST/train.py hparams/uas.yaml --data_folders=/data/covost",
        "python recipes/CoVoST/evaluate.py results/UAS/1234 --splits dev",
        "vmsp-transcribes speech.mp3",
        "vmsp-transcribe speech.mp3 --tongue fr",
        "something else",
    ],
)
def test_a_command_that_cannot_be_given_is_found(command: str, monkeypatch):
    with pytest.raises((AssertionError, SystemExit, OSError, ValueError, KeyError)):
        check(shlex.split(command), monkeypatch)


class Accepted(Exception):  # noqa: N818 - it is none
    """A command's options were understood; what comes after is not to happen."""


def check(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a command's own words read, as it reads them, and no more of it."""
    match command:
        case ["make", target]:
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target
        case ["source", path]:
            assert path == ".venv/bin/activate"
        case ["pip", "install", "-r", path]:
            assert (ROOT / path).is_file(), path
        case ["torchrun", "--nproc_per_node=4", *script] | ["python", *script]:
            check_script(ROOT / script[0], script[1:], monkeypatch)
        case [name, *words]:
            module, _, function = SCRIPTS[name].partition(":")
            check_main(getattr(importlib.import_module(module), function), words, monkeypatch)


def check_script(path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert path.is_file(), path
    if path.name == "train.py":
        open_experiment([str(ROOT / words[0]), *words[1:]])
    else:
        check_main(loaded(path).main, words, monkeypatch)


def loaded(path: Path) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_main(
    main: Callable[[list[str]], None], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = argparse.ArgumentParser.parse_args

    def accept(parser: argparse.ArgumentParser, given: list[str]) -> None:
        parse(parser, given)
        raise Accepted

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", accept)
    with pytest.raises(Accepted):
        main(words)


# ---------------------------------------------------------------- all of it, in a clone

ELSEWHERE = {
    "/data/covost": "data/mini_covost",
    "facebook/wav2vec2-xls-r-300m": "wav2vec2",
    "hparams/uas_whisper.yaml": "hparams/uas_whisper.yaml --whisper_source=whisper",
}
"""What stands in for a corpus of 60 GB, and for models of gigabytes: small ones, made here."""

LATER = ("make test",)
"""What other tests do."""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What is committed, and what the README takes for granted beside it."""
    folder = tmp_path_factory.mktemp("readme") / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    yield folder
    shutil.rmtree(folder)  # the environment in it is large


@pytest.mark.slow
@pytest.mark.readme
def test_from_clone_to_page(clone: Path):
    for kind, text in BLOCKS:
        for command in commands(text) if kind == "bash" else [["python", "-c", text]]:
            follow(command, clone)
            if command == ["make", "train"]:
                prepare(clone)
    results = clone / "results"
    for place in (
        "mini/figures/run.png",
        "UAS/1234/results.json",
        "en_es_it/results.json",
        "with_it/results.json",
        "comparison/report.html",
        "mine/results.json",
        "../dev_10/results.json",
        "../my_model/README.md",
        "../docs/_build/html/index.html",
    ):
        assert (results / place).is_file(), place


def prepare(clone: Path) -> None:
    """What the README takes for granted: speech, data of one's own, models, another language."""
    corpus, manifests = clone / "data" / "mini_covost", clone / "results" / "mini" / "manifests"
    shutil.copytree(corpus / "es", corpus / "it")
    (corpus / "it" / "covost_v2.es_en.tsv").rename(corpus / "it" / "covost_v2.it_en.tsv")
    clips = sorted((corpus / "fr" / "clips").glob("*.mp3"))[:20]
    shutil.copy(clips[0], clone / "speech.mp3")
    waves, rates = zip(*map(soundfile.read, clips), strict=True)
    soundfile.write(clone / "lecture.mp3", np.concatenate(waves), rates[0])
    (clone / "my_data").mkdir()
    for language in ("en", "fr"):
        shutil.copy(manifests / f"{language}_train.csv", clone / "my_data" / f"{language}.csv")
        (clone / "my_data" / language).symlink_to(corpus / language)  # paths begin at $data_root
    made = "from tests.helpers.saved_models import save_model; from pathlib import Path; "
    made += "save_model('wav2vec2', Path('wav2vec2')); "
    made += "save_model('whisper', Path('whisper'), seconds=5)  # as long as the clips"
    follow(["python", "-c", made], clone)


def follow(command: list[str], clone: Path) -> None:
    """Do what a command says, and show what it prints."""
    line = shlex.join(command)
    if line in LATER:
        return
    for there, here in ELSEWHERE.items():
        line = line.replace(there, here)
    if any(Path(word).name == "train.py" for word in command):
        line += f" {smaller(line)}"
    if line.startswith("pip "):
        line += " --quiet --no-cache-dir"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    environment |= {"PATH": f"{clone}/.venv/bin:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    print(f"$ {line}", flush=True)
    if any(Path(word).name == "demo.py" for word in command):
        open_page(line, clone, environment)
        return
    done = subprocess.run(["bash", "-c", line], cwd=clone, env=environment)
    assert done.returncode == 0, line


def open_page(line: str, clone: Path, environment: dict[str, str]) -> None:
    """Get the page that a command serves, and end it."""
    with subprocess.Popen(
        shlex.split(line), cwd=clone, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            _, address, *_ = process.stdout.readline().split()
            with urllib.request.urlopen(address) as page:
                assert b"Speech recognition and translation" in page.read()
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def smaller(line: str) -> str:
    """What makes a training that is meant for a GPU one of seconds; the rest has OPTIONS."""
    if "mini.yaml" in line:
        return os.environ.get("OPTIONS", "")
    left_out = ["--number_of_epochs"]
    if "wav2vec2" in line or "whisper" in line or "minimal.yaml" in line:
        left_out += ["--d_model", "--nhead", "--d_ffn", "--conformer"]
    kept = [each for each in TINY if each.partition("=")[0] not in left_out]
    vocabularies = ["--asr_vocab_size=60", "--st_vocab_size=60"]
    return shlex.join(["--number_of_epochs=1", *vocabularies, *kept])
