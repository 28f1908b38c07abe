"""The tutorial's commands and snippets, in its order, on a small corpus and with a small model."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import ROOT, TINY
from tests.helpers.corpus import write_clip

pytestmark = pytest.mark.slow

BLOCK = re.compile(r"```(bash|python)\n(.*?)```", re.DOTALL)
SMALLER = {
    "make_mini_covost.py": ["--train=24", "--dev=3", "--test=3"],
    "train.py": [*TINY, "--asr_vocab_size=50", "--st_vocab_size=60"],
}
"""What is added to the commands, so that they end in seconds."""


def run_block(kind: str, text: str, folder: Path) -> str:
    """Run a block; what it printed."""
    if kind == "bash":
        name, *words = shlex.split(text)
        assert name == "python"
        arguments = [*words, *SMALLER.get(Path(words[0]).name, [])]
    else:
        arguments = ["-c", text]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> tuple[Path, list[str]]:
    """Where the tutorial was followed, and what each of its commands and snippets printed."""
    folder = tmp_path_factory.mktemp("tutorial")
    for name in ("recipes", "hparams"):
        (folder / name).symlink_to(ROOT / name)
    write_clip(folder / "my_speech.wav")
    blocks = BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))
    runs = []
    for kind, text in blocks:
        commands = text.strip().splitlines() if kind == "bash" else [text]
        runs += [run_block(kind, command, folder) for command in commands]
    return folder, runs


def test_the_tutorial_leaves_what_it_says(printed):
    folder, _ = printed
    results = folder / "results"
    figures = {path.stem for path in (results / "mini" / "figures").iterdir()}
    tutorial = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    assert figures == set(re.findall(r"`(\w+)\.png`", tutorial))
    assert {path.name for path in (results / "comparison").glob("report.*")} == {
        "report.html",
        "report.json",
        "report.md",
    }
    assert (results / "mini_dev" / "speakers.csv").exists()
    orders = [run["order"] for run in json.loads(_report(results))["runs"].values()]
    assert orders == ["UAS", "USA"]


def test_the_tutorials_snippets_print_what_they_say(printed):
    _, runs = printed
    [conflicts] = (text for text in runs if "verdicts of the last epoch" in text)
    [in_python] = (text for text in runs if "['en'," in text)
    assert conflicts.count("of (layer, pair) agree") == 2  # a line per epoch
    transcribed = runs[-2].split("\n")
    assert in_python.split("\n")[1:3] == transcribed[:2]


def _report(results: Path) -> str:
    return (results / "comparison" / "report.json").read_text(encoding="utf-8")
