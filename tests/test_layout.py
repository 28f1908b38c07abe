"""The library's rooms, and which way the imports between them go."""

import ast
import graphlib
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

import pytest

from tests.helpers.commands import ROOT

LIBRARY = "vmsp_brain"
FLOORS = (
    ("names", "files", "shards", "processes", "threads"),
    ("audio",),
    ("method", "encoders", "data"),
    ("objectives",),
    ("run",),
    ("watch",),
    ("use",),
    ("brain", "commands"),
    ("",),  # the package itself
)
"""From the ground up; a room's imports come from floors below it, or from itself."""

OF_METHOD = {*sys.stdlib_module_names, "numpy", "scipy", "torch", "torchjd"}
"""What the method may import of others: nothing that knows of audio."""

WITHOUT_GRAMIAN = ("encoders", "objectives", "data")
"""Rooms of speech, which know nothing of the method."""

FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
OF_RECIPES = {"recipes", "tests"} | {path.stem for path in (ROOT / "recipes" / "CoVoST").iterdir()}


def test_every_room_has_a_floor():
    rooms = {path.stem for path in (ROOT / LIBRARY).iterdir() if path.suffix in ("", ".py")}
    assert rooms - {"__init__", "__pycache__"} == FLOOR_OF.keys() - {""}


def test_imports_go_one_way():
    assert faults(ROOT) == []


@pytest.mark.parametrize(
    ("file", "line", "fault"),
    [
        ("method/rows.py", "import vmsp_brain.data", "method must not import vmsp_brain.data"),
        ("method/rows.py", "from vmsp_brain import data", "method must not import vmsp_brain.data"),
        ("method/rows.py", "from ..data import batches", "method must not import vmsp_brain.data"),
        ("method/step.py", "import speechbrain as sb", "method must not import speechbrain"),
        (
            "objectives/cpc.py",
            "from vmsp_brain.method.rows import DRAWS",
            "objectives must not import vmsp_brain.method",
        ),
        ("encoders/loading.py", "import vmsp_brain.method.rows", "encoders must not import"),
        ("data/passes.py", "import vmsp_brain.method.rows", "data must not import"),
        ("files.py", "from vmsp_brain.run import folder", "files must not import vmsp_brain.run"),
        ("run/folder.py", "def f():\n    import vmsp_brain.watch.plots", "run must not import"),
        ("data/passes.py", "import vmsp_brain", "data must not import vmsp_brain"),
        (
            "use/export.py",
            "from corpus.prepare import prepare_covost",
            "use must not import corpus",
        ),
        ("brain.py", "import recipes.CoVoST.train", "brain must not import recipes"),
        ("method/penalties.py", "from vmsp_brain.method.hierarchy import Hierarchy", "in a circle"),
    ],
)
def test_an_import_that_goes_another_way_is_found(tmp_path, file, line, fault):
    shutil.copytree(ROOT / LIBRARY, tmp_path / LIBRARY)
    with (tmp_path / LIBRARY / file).open("a", encoding="utf-8") as module:
        module.write(f"\n{line}\n")
    found = faults(tmp_path)
    assert found
    assert all(fault in sentence for sentence in found)


def faults(root: Path) -> list[str]:
    """What is wrong with the imports of the library in a folder, in sentences."""
    modules = {_name(path, root): path for path in sorted((root / LIBRARY).rglob("*.py"))}
    found = []
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for name, path in modules.items():
        for line, target in imports(path, root):
            if not _allowed(_room(name), target):
                place = f"{path.relative_to(root)}:{line}"
                found.append(f"{place}: {_room(name)} must not import {target}.")
            graph[name] |= {_module(target, modules)} & modules.keys() - {name}
    try:
        list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        if not found:
            found.append(f"These modules import each other in a circle: {error.args[1]}.")
    return found


def imports(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a module imports, within functions too."""
    package = ".".join(path.parent.relative_to(root).parts)
    for node in _import_statements(path.read_text(encoding="utf-8")):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        else:
            origin = resolve_name("." * node.level + (node.module or ""), package)
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


@cache
def _import_statements(source: str) -> list[ast.Import | ast.ImportFrom]:
    found = ast.walk(ast.parse(source))
    return [node for node in found if isinstance(node, (ast.Import, ast.ImportFrom))]


def _allowed(room: str, target: str) -> bool:
    top = target.partition(".")[0]
    if top == LIBRARY:
        other = _room(target)
        if room in WITHOUT_GRAMIAN and other == "method":
            return False
        return other == room or FLOOR_OF[other] < FLOOR_OF[room]
    return top not in OF_RECIPES and (room != "method" or top in OF_METHOD)


def _room(name: str) -> str:
    _, _, inside = name.partition(".")
    return inside.partition(".")[0]


def _name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _module(target: str, modules: dict[str, Path]) -> str:
    """The module of an imported name: itself, or what it is taken from."""
    return target if target in modules else target.rpartition(".")[0]
