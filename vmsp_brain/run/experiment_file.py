"""Experiment files: HyperPyYAML, and short ones that change another file.

A file with the key ``base`` takes everything from that file (beside it) but what it says itself. As
on the command line, a mapping changes the keys that it has (``conformer: {num_layers: 4}``), unless
it has a tag of its own (``!new:``): then it takes the place of the base's. HyperPyYAML's
``!include:`` does not serve here: at the root of a file it loses the overrides of the command line.
"""

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


class ExperimentFile:
    """An experiment's YAML file with the overrides of the command line.

    Arguments
    ---------
    path : str
        The file.
    overrides : str
        YAML, as ``speechbrain.parse_arguments`` gives it; ``base`` may be overridden like any key.

    Raises
    ------
    FileNotFoundError
        If the file or its base does not exist.
    """

    def __init__(self, path: str, overrides: str) -> None:
        self.path = Path(path)
        self.overrides = ruamel.yaml.YAML().load(overrides) or {}
        self.text = _merged(self.path, self.overrides.pop("base", None))
        if self.text.startswith(SAVED):
            self.text = self._in_its_folder()

    def resolved(self) -> str:
        """The file with all references and overrides resolved, as a run saves it."""
        return resolve_references(self._stream(), self.overrides).getvalue()

    def load(self) -> dict[str, Any]:
        """Build everything the file declares."""
        return load_hyperpyyaml(self._stream(), self.overrides)

    def document(self) -> dict[str, Any]:
        """What is resolved, as YAML, without building what is in it."""
        return ruamel.yaml.YAML().load(self.resolved())

    def _in_its_folder(self) -> str:
        """A saved configuration in the folder that is asked for, or where its run is now."""
        run = RunFolder(self.path.parent)
        own = run.folder if run.configuration == self.path and run.is_run(run.folder) else None
        folder = self.overrides.get("output_folder", own)
        return text_in_folder(self.text, folder) if folder else self.text

    def _stream(self) -> StringIO:
        stream = StringIO(self.text)
        stream.name = str(self.path)  # where HyperPyYAML looks for included files
        return stream


def _merged(path: Path, base: str | None) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such experiment file.")
    yaml = ruamel.yaml.YAML()
    own = yaml.load(path.read_text(encoding="utf-8"))
    declared = own.pop("base", None)
    base = base or declared
    if base is None:
        return path.read_text(encoding="utf-8")
    merged = yaml.load(_merged(path.parent / base, None))
    # New keys come early, for others may refer to them, but after the seed: objects are made in the
    # order of their keys.
    place = 1 + list(merged).index(SEEDING) if SEEDING in merged else 0
    for number, key in enumerate([key for key in own if key not in merged]):
        merged.insert(place + number, key, own[key])
    _update(merged, own)
    stream = StringIO()
    yaml.dump(merged, stream)
    return stream.getvalue()


def _update(base: CommentedMap, changes: CommentedMap) -> None:
    """Change a document in place, see this module's description."""
    for key, value in changes.items():
        changes_parts = isinstance(value, CommentedMap) and not value.tag.value
        if changes_parts and isinstance(base.get(key), CommentedMap):
            _update(base[key], value)
        else:
            base[key] = value
