"""The cells of the tutorial's notebook, in order, on a small corpus and with a small model."""

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.helpers.commands import ROOT, TINY, run_script

pytestmark = pytest.mark.slow

NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"
BASH = "%%bash -e\n"
SMALLER = {
    "make_mini_covost.py": ["--train=24", "--dev=3", "--test=3"],
    "train.py": [*TINY, "--asr_vocab_size=50", "--st_vocab_size=60"],
}
"""What is added to the commands, so that they end in seconds."""
AS_A_USER = "python recipes/CoVoST/train.py hparams/mini.yaml"
"""The command that starts Python anew; the others are forked, which saves their imports."""


def run_command(line: str) -> str:
    """Run a line of a cell of bash; what it printed."""
    name, *words = shlex.split(line)
    assert name == "python"
    arguments = [*words, *SMALLER.get(Path(words[0]).name, [])]
    if line != AS_A_USER:
        return run_script(*arguments).stdout
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


def run_cells(names: dict[str, Any]) -> Iterator[str]:
    """Run the notebook; what each command, and each cell of Python, printed."""
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code" and text.startswith(BASH):
            yield from map(run_command, text.removeprefix(BASH).replace("\\\n", "").splitlines())
        elif cell["cell_type"] == "code":
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(text, names)
            yield printed.getvalue()


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> tuple[Path, list[str]]:
    """Where the tutorial was followed, and what each of its commands and snippets printed."""
    folder = tmp_path_factory.mktemp("tutorial")
    for name in ("recipes", "hparams"):
        (folder / name).symlink_to(ROOT / name)
    display = SimpleNamespace(Image=lambda path: len(Path(path).read_bytes()), display=print)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setitem(sys.modules, "IPython", ModuleType("IPython"))
        patch.setitem(sys.modules, "IPython.display", display)
        return folder, list(run_cells({}))


def test_one_command_is_started_as_a_user_does():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert any(AS_A_USER in "".join(cell["source"]).splitlines() for cell in cells)


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
