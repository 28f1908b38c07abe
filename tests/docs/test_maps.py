"""The documents' maps of the code are the code as it is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.commands import ROOT

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
METHOD = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
BETWEEN_TICKS = re.compile(r"`([^`]+)`")


def rows(document: str, head: str) -> list[list[str]]:
    """The cells of the table with this head line."""
    _, _, table = document.partition(f"\n{head}\n")
    lines = table.partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def folders_of_code() -> Iterator[str]:
    """Every folder with files of ours; of the tests' mirror, the top alone."""
    for suffix in (".py", ".yaml", ".md"):
        for part in ("vmsp_brain", "recipes", "hparams", "docs"):
            yield from (f"{path.parent}/" for path in Path(ROOT, part).rglob(f"*{suffix}"))
    yield from (f"{ROOT}/tests/{name}" for name in ("", "helpers/", "benchmarks/"))


def test_contributings_map_is_the_tree():
    named = [BETWEEN_TICKS.findall(where) for where, _ in rows(CONTRIBUTING, "| where | what |")]
    assert all(len(names) == 1 for names in named)
    modules = [str(path) for path in (ROOT / "vmsp_brain").glob("[a-z]*.py")]
    expected = {*folders_of_code(), *modules}
    assert {f"{ROOT}/{name}" for [name] in named} == expected


IDEAS = rows(METHOD, "| idea | where | names |")


def test_there_are_ideas():
    assert len(IDEAS) > 15


@pytest.mark.parametrize(
    ("idea", "where", "names"), IDEAS, ids=[where.strip("`") for _, where, _ in IDEAS]
)
def test_an_idea_is_where_the_document_says(idea, where, names):
    [place] = BETWEEN_TICKS.findall(where)
    path = ROOT / place
    files = path.glob("*.py") if place.endswith("/") else [path]
    defined = {name for file in files for name in definitions(file)}
    assert BETWEEN_TICKS.findall(names), "no name"
    assert set(BETWEEN_TICKS.findall(names)) <= defined


def definitions(file: Path) -> Iterator[str]:
    """Functions and classes of a module, and methods as ``Class.method``."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            methods = (each for each in node.body if isinstance(each, ast.FunctionDef))
            yield from (f"{node.name}.{method.name}" for method in methods)
