"""The tutorial's notebook is its page; its first cell finds or gets a checkout."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import ROOT

DOCS = ROOT / "docs"
CELLS = json.loads((DOCS / "tutorial.ipynb").read_text(encoding="utf-8"))["cells"]
SETUP = next("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code")


@pytest.fixture
def calls(tmp_path, monkeypatch) -> list[list[str]]:
    """What the first cell runs, in an empty folder; of a clone it gets a folder alone."""
    calls = []

    def run(words: list[str], check: bool) -> None:
        assert check
        calls.append(words)
        if words[:2] == ["git", "clone"]:
            Path(words[-1], "hparams").mkdir(parents=True)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.chdir(tmp_path)
    return calls


def test_the_notebook_is_made_of_the_page():
    notebook = runpy.run_path(str(DOCS / "notebook.py"))["notebook"]
    expected = notebook((DOCS / "tutorial.md").read_text(encoding="utf-8"))
    how = "python docs/notebook.py"
    assert (DOCS / "tutorial.ipynb").read_text(encoding="utf-8") == expected, f"made again by {how}"


def test_all_that_the_page_says_and_does_is_in_the_notebook():
    page = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    text = "\n".join("".join(cell["source"]) for cell in CELLS)
    marks = ("```bash", "```python", "```", "<!-- cell", "-->")
    assert [line for line in page.splitlines() if line and line not in marks] == [
        line for line in text.splitlines() if line and not line.startswith("%%")
    ]


@pytest.mark.parametrize("start", [".", "docs"])
def test_in_a_checkout_the_first_cell_goes_to_its_root(calls, start, tmp_path, monkeypatch):
    for name in ("hparams", "docs"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / start)
    exec(SETUP, {})
    assert Path.cwd() == tmp_path
    assert not calls


def test_outside_of_a_checkout_the_first_cell_gets_one_and_what_it_needs(calls, tmp_path):
    assert SETUP.count('REPOSITORY = ""') == 1
    exec(SETUP.replace('REPOSITORY = ""', 'REPOSITORY = "https://git.invalid/vmsp"'), {})
    clone, install = calls
    assert clone == ["git", "clone", "--depth=1", "https://git.invalid/vmsp", "vmsp"]
    assert install[:4] == [sys.executable, "-m", "pip", "install"]
    assert Path.cwd() == tmp_path / "vmsp"


def test_where_the_repository_is_has_to_be_said(calls):
    with pytest.raises(ValueError, match="REPOSITORY: found nothing, expected"):
        exec(SETUP, {})
    assert not calls
