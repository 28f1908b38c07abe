"""Paths of a run's configuration, once its folder is another one."""

from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import ruamel.yaml

STAYS = {"data_folder", "init_from", "comet_model"}
"""Keys that name what a run only reads; they never follow its folder."""


class Leaf(NamedTuple):
    """A value of a YAML document, or the tag of a collection, and where it is."""

    path: str
    node: Any
    key: Any
    value: Any


def leaves(document: Mapping[str, Any]) -> Iterator[Leaf]:
    """All values of a document, each once, however many references lead there.

    What a key of the document holds is named by that key, wherever else it is referred to.

    Arguments
    ---------
    document : dict
        As ruamel.yaml loads it.
    """
    done = {id(child) for child in document.values() if isinstance(child, dict | list)}

    def below(path: str, node: Any) -> Iterator[Leaf]:
        if tag_of(node):
            yield Leaf(f"{path}[]", node, None, tag_of(node))
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            name = f"{path}[{key}]"
            if not isinstance(child, dict | list):
                yield Leaf(name, node, key, child)
            elif id(child) not in done:
                done.add(id(child))
                yield from below(name, child)

    for key, child in document.items():
        if not isinstance(child, dict | list):
            yield Leaf(key, document, key, child)
        else:
            yield from below(key, child)


def tag_of(node: Any) -> str:
    """Such as ``!new:torch.nn.Linear``; empty without one."""
    return getattr(getattr(node, "tag", None), "value", None) or ""


def moved(path: str, before: str | Path, after: str | Path) -> str:
    """The path in the folder after it was moved; one that is not inside stays as it is."""
    inside = Path(before).parts and Path(path).is_relative_to(before)
    return str(Path(after) / Path(path).relative_to(before)) if inside else path


def text_in_folder(text: str, folder: str | Path) -> str:
    """A run's configuration, with all paths inside its output folder in another one."""
    yaml = ruamel.yaml.YAML()
    document = yaml.load(text)
    before = document["output_folder"]
    for leaf in list(leaves(document)):
        if isinstance(leaf.value, str) and leaf.key is not None and leaf.path not in STAYS:
            leaf.node[leaf.key] = moved(leaf.value, before, folder)
    stream = StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()
