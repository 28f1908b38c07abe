"""The checks of an experiment: what the command line gives, then all values it comes to."""

import inspect
import pydoc
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from speechbrain.utils.run_opts import RunOptions

from vmsp_brain.run.experiment_file import ExperimentFile
from vmsp_brain.run.moved_paths import tag_of
from vmsp_brain.run.options.keys import IDLE, OPTIONS, RELATIONS, Option

_ABSENT = object()
SEARCHES = ("valid_search", "test_search")
"""Keys of the keyword arguments of an objective's search, the same for both."""

_OBJECTS = ("!new:", "!name:", "!apply:", "!applyref:", "!module:", "!ref", "!copy")


def check_experiment(experiment: ExperimentFile, run_options: Mapping[str, Any]) -> None:
    """Refuse an experiment whose keys or values cannot be meant.

    What is an object (``!new:``, ``!name:``, ``!apply:``) is left to its class. A file may have
    keys of its own, the command line only those that the file has.

    Arguments
    ---------
    experiment : ExperimentFile
        The file with the overrides.
    run_options : dict
        Options of the command line that are no keys of the file.

    Raises
    ------
    ValueError
        The message names every such key, what was found and what is expected.
    """
    given = {**experiment.overrides, **run_options}
    _refuse([*_problems_of_given(given, experiment), *_problems_of_missing(experiment)])
    resolved = {**experiment.document(), **run_options}
    values = {name: _at(resolved, name) for name in OPTIONS}
    values = {name: value for name, value in values.items() if _is_plain(value)}
    _refuse(
        _problem(f"{experiment.path}, {name}", value, OPTIONS[name])
        for name, value in values.items()
        if not OPTIONS[name].fits(value)
    )
    _refuse(
        problem
        for key in SEARCHES
        if _is_plain(_at(resolved, key))
        for problem in _problems_of_search(f"{experiment.path}, {key}", resolved[key])
    )
    _refuse([*_problems_of_relations(values), *_problems_of_idle(given, values)])


def check_search(path: str | Path, key: str, search: Any) -> None:
    """Refuse a search of a saved configuration that no objective could do.

    Arguments
    ---------
    path : Path
        The configuration.
    key : str
        Under which the search stands there.
    search : dict
        What stands there.

    Raises
    ------
    ValueError
        The message names the file, and every key that is misspelt, missing or does not fit.
    """
    _refuse(_problems_of_search(f"{path}, {key}", search))


def _problems_of_search(where: str, search: Any) -> Iterator[str]:
    declared = {
        path_of(name)[1]: OPTIONS[name] for name in OPTIONS if path_of(name)[0] == SEARCHES[0]
    }
    if not isinstance(search, dict):
        yield f"{where}: found {shown(search)}, expected {', '.join(declared)}."
        return
    for key in search.keys() - declared.keys():
        yield f"{where}: there is no {key} in it. {nearest(str(key), declared)}"
    for key, option in declared.items():
        if not option.fits(search.get(key)):
            yield _problem(f"{where}[{key}]", search.get(key), option)


def _refuse(problems: Iterable[str]) -> None:
    listed = list(problems)
    if listed:
        raise ValueError("\n".join(listed))


# ---------------------------------------------------------------- the command line


def _problems_of_given(given: Mapping[str, Any], experiment: ExperimentFile) -> Iterator[str]:
    for key, value in given.items():
        option = OPTIONS.get(key)
        if key in experiment.tree:
            yield from _problems_at((key,), value, experiment.tree[key])
        elif option and not option.file:
            yield from _problems_at((key,), value, _ABSENT)
        elif key in RunOptions().as_dict():
            yield f"--{key}: an option of SpeechBrain that this recipe does not take. Leave it out."
        else:
            known = [*experiment.tree, *(name for name, each in OPTIONS.items() if not each.file)]
            where = f"{option.file} has it." if option else nearest(key, known)
            yield f"--{key}: {experiment.path} has no such key. {where}"


def _problems_at(path: tuple[str, ...], value: Any, there: Any) -> Iterator[str]:
    """Of a value that is given, beside what the file has there."""
    name = _name(path)
    option = OPTIONS.get(name)
    found = f"--{name}: found {shown(value)}"
    if isinstance(there, dict) and isinstance(value, dict) and not option:
        if _is_object(value):  # HyperPyYAML would keep the file's, and change its arguments
            yield f"{found}, but the file has another object there. Write a file with a base."
        for key, part in value.items():
            inner = (*path, str(key))
            if key in there or _name(inner) in OPTIONS or _takes(there, key):
                yield from _problems_at(inner, part, there.get(key, _ABSENT))
            else:
                yield f"--{name}: there is no {key} in it. {nearest(str(key), _keys(path, there))}"
    elif _is_object(value):
        return
    elif isinstance(there, dict) and not option:
        yield f"{found}, expected some of its keys, such as {{{_keys(path, there)[0]}: VALUE}}."
    elif option and not option.fits(value):
        yield _problem(f"--{name}", value, option, there)
    elif isinstance(value, dict) and not option and there is not _ABSENT:
        yield f"{found}, but the file has {shown(there)} there, which has no keys."


def _problems_of_missing(experiment: ExperimentFile) -> Iterator[str]:
    """Of keys that the file leaves to the command line."""
    for key, node in experiment.tree.items():
        if tag_of(node) == "!PLACEHOLDER" and key not in experiment.overrides:
            option = OPTIONS.get(key)
            expected = f"{option.expected}, such as --{key}={option.kind.example}" if option else ""
            yield f"--{key}: found nothing, expected {expected or 'a value'}."


def nearest(name: str, known: Collection[str]) -> str:
    """A sentence on what may be meant.

    Example
    -------
    >>> nearest("batch-sizes", ["seed", "batch_size"]), nearest("x", ["seed"])
    ('Is batch_size meant?', '--help lists all keys.')
    """
    near = get_close_matches(name.replace("-", "_"), [*known], 1)
    return f"Is {near[0]} meant?" if near else "--help lists all keys."


def _takes(node: Any, key: str) -> bool:
    """Whether what a node makes takes an argument."""
    kind, _, name = tag_of(node).partition(":")
    made: Any = pydoc.locate(name) if kind in ("!new", "!name", "!apply") else None
    parameters = inspect.signature(made).parameters.values() if made else []
    return any(each.name == key or each.kind is each.VAR_KEYWORD for each in parameters)


def _keys(path: tuple[str, ...], node: Mapping[str, Any]) -> list[str]:
    """Those of a node, and those that are declared for it."""
    declared = (path_of(name) for name in OPTIONS)
    inner = [each[len(path)] for each in declared if each[:-1] == path]
    return list(dict.fromkeys([*node, *inner]))


# ---------------------------------------------------------------- values


def doubts(experiment: ExperimentFile) -> list[str]:
    """Keys of a file that look like misspelt ones: nothing there refers to them.

    Arguments
    ---------
    experiment : ExperimentFile
        That passed `check_experiment`.
    """
    known = {path_of(name)[0] for name in OPTIONS}
    own = [
        key
        for key, node in experiment.tree.items()
        if key not in known and not tag_of(node) and f"<{key}" not in experiment.text
    ]
    meant = {key: get_close_matches(key, known, 1, cutoff=0.8) for key in own}
    return [
        f"{experiment.path}, {key}: a key of your own, that nothing refers to. Is {near[0]} meant?"
        for key, near in meant.items()
        if near
    ]


def _problems_of_relations(values: Mapping[str, Any]) -> Iterator[str]:
    for relation in RELATIONS:
        found = [values.get(key) for key in relation.keys]
        if all(value is not None for value in found) and not relation.holds(*found):
            said = " and ".join(shown(value) for value in found)
            yield f"{', '.join(relation.keys)}: found {said}, expected {relation.expected}."


def _problems_of_idle(given: Collection[str], values: Mapping[str, Any]) -> Iterator[str]:
    for idle in IDLE:
        keys = [f"--{key}" for key in idle.keys if key in given]
        if keys and values.get(idle.flag) is idle.value:
            yield f"{', '.join(keys)}: no effect with {idle.flag}: {idle.value}. {idle.instead}."


def _problem(where: str, value: Any, option: Option, example: Any = None) -> str:
    if example is None or not option.fits(example):
        example = option.kind.example
    return f"{where}: found {shown(value)}, expected {option.expected}, such as {shown(example)}."


def shown(value: Any) -> str:
    """A value as one writes it.

    Example
    -------
    >>> shown(["en", "1", 1, True]), shown(None), shown(float("inf"))
    ("[en, '1', 1, True]", 'nothing', '.inf')
    """
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {shown(part)}' for key, part in value.items())}}}"
    if isinstance(value, float):
        return str(float(value)).replace("inf", ".inf")
    text = str(getattr(value, "value", value))  # of a tagged scalar
    text = text if len(text) <= 80 else f"{text[:80]}..."
    plain = not isinstance(value, str) or re.fullmatch(r"[A-Za-z./~][\w./:~*+-]*", text)
    return text if plain else repr(text)


def path_of(name: str) -> tuple[str, ...]:
    """The parts of a key's name.

    Example
    -------
    >>> path_of("valid_search[beam_size]")
    ('valid_search', 'beam_size')
    """
    return tuple(re.findall(r"[^\[\]]+", name))


def _name(path: tuple[str, ...]) -> str:
    return path[0] + "".join(f"[{key}]" for key in path[1:])


def _at(tree: Any, name: str) -> Any:
    for key in path_of(name):
        if not isinstance(tree, dict) or key not in tree:
            return _ABSENT
        tree = tree[key]
    return tree


def _is_object(node: Any) -> bool:
    return tag_of(node).startswith(_OBJECTS)


def _is_plain(node: Any) -> bool:
    return node is not _ABSENT and not _is_object(node)
