"""What the declaration of all keys makes: the table of the documents, and a schema for editors."""

import json
import sys
from collections.abc import Mapping, Sequence
from functools import cache, reduce
from pathlib import Path
from typing import Any

import ruamel.yaml

from vmsp_brain.files import write_whole
from vmsp_brain.run.moved_paths import tag_of
from vmsp_brain.run.options.checks import path_of, shown
from vmsp_brain.run.options.keys import GROUPS, RELATIONS, Option

Groups = Mapping[str, Sequence[Option]]

HEAD = "| key | stands as | does, and what fits |\n|---|---|---|"

REFERENCE = {"type": "string", "pattern": "<.+>"}
"""What stands for any value: ``!ref <another_key>``."""


def keys_table(hparams: Path, groups: Groups = GROUPS) -> str:
    """All keys in Markdown, a table per subject.

    Arguments
    ---------
    hparams : Path
        The folder of the experiment files that have the keys; their values are the defaults.
    groups : dict
        Keys by subject.
    """

    return "\n\n".join(
        f"## {subject}\n\n{HEAD}\n" + "\n".join(_row(option, hparams) for option in options)
        for subject, options in groups.items()
    )


def _row(option: Option, hparams: Path) -> str:
    change = "A run may go on with another value." if option.may_change and option.file else ""
    text = f"{option.says} *Fits: {option.expected}.* {change}".strip()
    cells = f"`{option.name}`", _stands_as(option, hparams), text
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _stands_as(option: Option, hparams: Path) -> str:
    """Its value in its file."""
    if not option.file:
        return ""
    value = reduce(lambda node, key: node[key], path_of(option.name), _tree(hparams / option.file))
    if tag_of(value) == "!PLACEHOLDER":
        return "to be given"
    text = "`null`" if value is None else f"`{shown(value)}`"
    return text if option.file == "uas.yaml" else f"{text} in `{option.file}`"


@cache
def _tree(file: Path) -> dict[str, Any]:
    return ruamel.yaml.YAML().load(file.read_text(encoding="utf-8"))


def relations_list() -> str:
    """What must hold between keys, in Markdown."""
    return "\n".join(
        f"- {', '.join(f'`{key}`' for key in relation.keys)}: {relation.expected}."
        for relation in RELATIONS
    )


def schema(groups: Groups = GROUPS) -> dict[str, Any]:
    """The JSON schema (draft 7) of an experiment file; keys of one's own are allowed.

    Arguments
    ---------
    groups : dict
        Keys by subject.

    Example
    -------
    >>> schema()["properties"]["batch_size"]["anyOf"]
    [{'type': 'integer', 'minimum': 1}, {'type': 'string', 'pattern': '<.+>'}]
    """
    made: dict[str, Any] = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "An experiment of VM-MSP",
        "type": "object",
    }
    for options in groups.values():
        for option in (each for each in options if each.file):
            node = made
            for key in path_of(option.name):
                node = node.setdefault("properties", {}).setdefault(key, {})
            node |= _of_option(option)
    return made


def _of_option(option: Option) -> dict[str, Any]:
    kinds = [option.kind.schema, *([{"type": "null"}] if option.null else []), REFERENCE]
    description = f"{option.says} Fits: {option.expected}."
    return {"description": description, "anyOf": kinds}


if __name__ == "__main__":
    write_whole(Path(sys.argv[1]), json.dumps(schema(), ensure_ascii=False, indent=1) + "\n")
