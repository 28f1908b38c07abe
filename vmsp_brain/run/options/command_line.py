"""The command line: ``EXPERIMENT.yaml --KEY=VALUE ...``, as SpeechBrain's, but exact.

SpeechBrain's own parser takes ``--dev`` for ``--device``, cuts values at ``=``, and hides keys of
the file that are options of its own (``--max_grad_norm``) from the configuration that a run saves.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ruamel.yaml
from speechbrain.utils.run_opts import RunOptions

from vmsp_brain.run.experiment_file import ExperimentFile
from vmsp_brain.run.options.checks import check_experiment, doubts, nearest, shown
from vmsp_brain.run.options.keys import OPTIONS, Option
from vmsp_brain.run.options.kinds import Flag
from vmsp_brain.run.user_errors import speaks


def open_experiment(words: Sequence[str]) -> tuple[ExperimentFile, RunOptions]:
    """What a command line asks for, checked; nothing is written, and no object built.

    ``--help`` and ``--help KEY`` print what can be given, and end the program.

    Arguments
    ---------
    words : list of str
        The command line without the script's name.

    Returns
    -------
    ExperimentFile
        With the overrides.
    RunOptions
        SpeechBrain's options that are no keys of the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a word makes no sense; the message names the key.

    Example
    -------
    >>> experiment, run_opts = open_experiment(
    ...     ["hparams/mini.yaml", "--seed=7", "--precision=bf16"]
    ... )
    >>> experiment.document()["seed"], run_opts["precision"]
    (7, 'bf16')
    >>> open_experiment(["hparams/mini.yaml", "--sed=7"])
    Traceback (most recent call last):
    ValueError: --sed: hparams/mini.yaml has no such key. Is seed meant?
    """
    if set(words) & {"-h", "--help"}:
        print(_help([word for word in words if not word.startswith("-") and "." not in word]))
        sys.exit(0)
    path, given = _read(words)
    experiment = ExperimentFile(path, given)
    run_options = {
        key: experiment.overrides.pop(key)
        for key in given
        if key not in experiment.tree and key in OPTIONS and not OPTIONS[key].file
    }
    check_experiment(experiment, run_options)
    if speaks():
        print("".join(f"{doubt}\n" for doubt in doubts(experiment)), end="", file=sys.stderr)
    return experiment, RunOptions.from_dictionary(run_options)


def _read(words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The experiment's file, and what each key is set to."""
    files: list[str] = []
    given: dict[str, str] = {}
    words = list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            files.append(word)
            continue
        key, equals, value = word.removeprefix("--").partition("=")
        if not equals:
            value = _value_of(key, words)
        if key in given:
            raise ValueError(
                f"--{key}: is given twice, as {given[key]} and as {value}. Give it once."
            )
        given[key] = value
    if len(files) != 1:
        raise ValueError(f"Found {_experiments(files)}, expected one.\n{_usage()}")
    return files[0], {key: _parse(key, value) for key, value in given.items()}


def _value_of(key: str, following: list[str]) -> str:
    """What a key without ``=`` is set to: the next word, or True if it is a flag."""
    is_flag = key in OPTIONS and isinstance(OPTIONS[key].kind, Flag)
    is_value = bool(following) and not following[0].startswith("--")
    if is_flag and not (is_value and following[0].lower() in ("true", "false")):
        return "True"
    return following.pop(0) if is_value else ""


def _parse(key: str, value: str) -> Any:
    try:
        return ruamel.yaml.YAML().load(value)
    except ruamel.yaml.YAMLError as error:
        option = OPTIONS.get(key)
        expected = f"{option.expected}, such as {shown(option.kind.example)}" if option else "YAML"
        problem = str(getattr(error, "problem", "")) or "it is no YAML"
        raise ValueError(f"--{key}: found {value!r} ({problem}), expected {expected}.") from error


def _experiments(files: Sequence[str]) -> str:
    return f"{len(files)} experiment files ({', '.join(files)})" if files else "no experiment file"


def _usage() -> str:
    return (
        f"Usage: {Path(sys.argv[0]).name} EXPERIMENT.yaml [--KEY=VALUE ...], such as "
        "hparams/mini.yaml --seed=1 --languages=[en,fr]. Quote a value with spaces, such as "
        "'--test_search={beam_size: 4}'. --help lists all keys."
    )


def _help(names: Sequence[str]) -> str:
    unknown = [name for name in names if name not in OPTIONS]
    if unknown:
        raise ValueError(f"--help {unknown[0]}: no such key. {nearest(unknown[0], OPTIONS)}")
    options = [OPTIONS[name] for name in names] or OPTIONS.values()
    return "\n".join([*([] if names else [_usage(), ""]), *map(_described, options)])


def _described(option: Option) -> str:
    where = option.file or "the command line alone"
    change = " A run may go on with another." if option.may_change and option.file else ""
    return f"{option.name}: {option.expected}\n    {option.says}{change} ({where})"
