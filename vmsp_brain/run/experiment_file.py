"""Experiment files: HyperPyYAML, and short ones that change another file.

A file with the key ``base`` takes everything from that file (beside it) but what it says itself.
Another base on the command line is looked for where the file's own base is. As
on the command line, a mapping changes the keys that it has (``conformer: {num_layers: 4}``), unless
it has a tag of its own (``!new:``): then it takes the place of the base's. HyperPyYAML's
``!include:`` does not serve here: at the root of a file it loses the overrides of the command line.
"""

import copy
import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

import ruamel.yaml
from hyperpyyaml import load_hyperpyyaml, resolve_references
from ruamel.yaml.comments import CommentedMap

from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.moved_paths import text_in_folder

SEEDING = "__set_seed"
"""The key under which an experiment seeds all generators."""

SAVED = "# Made from "
"""How a configuration begins that a run has saved."""

_COPIED = "# In other keys too: "
"""Before the names of its keys whose values others have taken over, by reference."""

_REFERENCE = re.compile(r"<(\w+)[^<>]*>")


class ExperimentFile:
    """An experiment's YAML file with the overrides of the command line.

    Arguments
    ---------
    path : str
        The file.
    overrides : str or dict
        YAML, as ``speechbrain.parse_arguments`` gives it, or what it says; ``base`` may be
        overridden like any key.

    Attributes
    ----------
    tree : dict
        What the file and its bases say, before overrides; references and objects are tagged nodes.

    Raises
    ------
    FileNotFoundError
        If the file or its base does not exist.
    ValueError
        If it is no YAML, or says nothing; or if it is a run's saved configuration and a key is to
        be changed whose value is in other keys too, where it would stay as it was.

    Example
    -------
    >>> experiment = ExperimentFile("hparams/mini.yaml", {"order": "USA"})
    >>> document = experiment.document()
    >>> document["order"], document["d_model"], document["languages"]
    ('USA', 96, ['en', 'fr', 'de', 'es', 'ca'])
    """

    def __init__(self, path: str, overrides: str | Mapping[str, Any]) -> None:
        self.path = Path(path)
        if isinstance(overrides, str):
            overrides = ruamel.yaml.YAML().load(overrides) or {}
        self.overrides = dict(overrides)
        self.tree: dict[str, Any]
        self.text, self.tree = _merged(self.path, self.overrides.pop("base", None))
        saved = self.text.startswith(SAVED)
        self.copied = _listed(self.text) if saved else set(_REFERENCE.findall(self.text))
        if saved:
            self.text = self._in_its_folder()
            self.tree = ruamel.yaml.YAML().load(self.text)
            self._check_saved()

    def resolved(self) -> str:
        """The file with all references and overrides resolved, as a run saves it.

        Raises
        ------
        ValueError
            If a reference leads nowhere; the message names the file.
        """
        try:
            return resolve_references(self._stream(), self.overrides).getvalue()
        except ValueError as error:
            raise ValueError(f"{self.path}: {_text(error)}") from error

    def load(self) -> dict[str, Any]:
        """Build everything the file declares.

        Raises
        ------
        ValueError
            If something cannot be built from what the file says; the message names the file.
        """
        try:
            return load_hyperpyyaml(self._stream(), self.overrides)
        except (ValueError, ImportError) as error:
            raise ValueError(f"{self.path}: {_text(error)}") from error
        except TypeError as error:
            if not _is_of_the_call(error):
                raise
            raise ValueError(f"{self.path}: {_text(error)}") from error

    def document(self) -> dict[str, Any]:
        """What is resolved, as YAML, without building what is in it."""
        return copy.deepcopy(_parsed(self.resolved()))

    def saved(self) -> str:
        """What a run saves: all that is resolved, and which keys cannot be changed in it."""
        lines = self.resolved().splitlines(keepends=True)
        own = [line for line in lines if not line.startswith((SAVED, _COPIED))]  # else one more
        head = f"{SAVED}{self.path.name} and the command line.\n"
        return f"{head}{_COPIED}{', '.join(sorted(self.copied))}\n{''.join(own)}"

    def _check_saved(self) -> None:
        for key in self.copied & self.overrides.keys() - {"output_folder"}:
            value = self.tree.get(key)
            if not isinstance(value, dict) and value != self.overrides[key]:
                raise ValueError(
                    f"{key}: is {value} in {self.path}, where a run has saved it in other keys "
                    f"too, so it cannot be set to {self.overrides[key]} alone. Give the option "
                    "with the experiment file that the run was begun with."
                )

    def _in_its_folder(self) -> str:
        """A saved configuration in the folder that is asked for, or where its run is now."""
        run = RunFolder(self.path.parent)
        own = run.folder if run.configuration == self.path and run.is_run(run.folder) else None
        folder = self.overrides.get("output_folder", own)
        return text_in_folder(self.text, str(folder)) if folder else self.text

    def _stream(self) -> StringIO:
        stream = StringIO(self.text)
        stream.name = str(self.path)  # where HyperPyYAML looks for included files
        return stream


def bases(path: Path) -> list[Path]:
    """The files that an experiment's file takes the place of parts of, the nearest first.

    Raises
    ------
    FileNotFoundError, ValueError
        If one does not exist or is no experiment.
    """
    found: list[Path] = []
    while isinstance(base := _read(path, path.parent)[1].get("base"), str):
        path = path.parent / base
        if path in found:
            break  # in a circle, which reading the experiment refuses
        found.append(path)
    return found


def _listed(text: str) -> set[str]:
    """The keys that a saved configuration names in its head."""
    second = text.partition("\n")[2].partition("\n")[0]
    return set(second.removeprefix(_COPIED).split(", ")) if second.startswith(_COPIED) else set()


def _merged(path: Path, base: str | None, above: tuple[Path, ...] = ()) -> tuple[str, CommentedMap]:
    """What a file and its bases say, as text and as a document."""
    text, own = _read(path, (above or (path,))[0].parent)
    declared = own.pop("base", None)
    if base is None and declared is None:
        return text, own
    if path.resolve() in [each.resolve() for each in above]:
        raise ValueError(f"{path}: is its own base, by way of {', '.join(map(str, above))}.")
    _, merged = _merged(_base(path, base, declared), None, (*above, path))
    # New keys come early, for others may refer to them, but after the seed: objects are made in the
    # order of their keys.
    place = 1 + list(merged).index(SEEDING) if SEEDING in merged else 0
    for number, key in enumerate([key for key in own if key not in merged]):
        merged.insert(place + number, key, own[key])
    _update(merged, own)
    stream = StringIO()
    ruamel.yaml.YAML().dump(merged, stream)
    return stream.getvalue(), merged


def _base(path: Path, given: Any, declared: Any) -> Path:
    """The base that a file has declared, or the one that is given in its place, and beside it."""
    for found in (given, declared):
        if not isinstance(found, str | None):
            raise ValueError(f"{path}: found the base {found}, expected a file such as uas.yaml.")
    if given is None:
        return path.parent / declared
    return path.parent / Path(declared or "").parent / given


def _update(base: CommentedMap, changes: CommentedMap) -> None:
    """Change a document in place, see this module's description."""
    for key, value in changes.items():
        changes_parts = isinstance(value, CommentedMap) and not value.tag.value
        if changes_parts and isinstance(base.get(key), CommentedMap):
            _update(base[key], value)
        else:
            base[key] = value


def _read(path: Path, folder: Path) -> tuple[str, CommentedMap]:
    """A file's text, and its keys; what it includes is found from a folder."""
    if not path.is_file():
        beside = [file.name for file in path.parent.glob("*.yaml")]
        meant = [path.with_name(name) for name in get_close_matches(path.name, beside, 1)]
        near = "".join(f" Is {file} meant?" for file in meant)
        raise FileNotFoundError(f"{path}: there is no such experiment file.{near}")
    try:
        way = os.path.relpath(path.parent, folder)
        text = path.read_text(encoding="utf-8")
        text = text if way == "." else text.replace("!include:", f"!include:{way}/")
        own = copy.deepcopy(_parsed(text))
    except ruamel.yaml.error.MarkedYAMLError as error:
        line = error.problem_mark.line + 1
        raise ValueError(f"{path}, line {line}: is not YAML: {error.problem}.") from error
    except (ruamel.yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is not YAML: {error}.") from error
    if not isinstance(own, CommentedMap):
        raise ValueError(f"{path}: found no keys, expected an experiment like hparams/uas.yaml.")
    return text, own


@lru_cache
def _parsed(text: str) -> Any:
    """A document that nobody may change: the experiments of a study have the same bases."""
    return ruamel.yaml.YAML().load(text)


def _text(error: Exception) -> str:
    """What an error says, in one line; HyperPyYAML puts the objects around in front."""
    return " ".join(": ".join(map(str, error.args[-2:])).split())


def _is_of_the_call(error: TypeError) -> bool:
    """Whether it is about a name of an argument, as the file gives it, and no bug."""
    says = str(error.args[-1])
    return "unexpected keyword argument" in says or "required positional argument" in says
