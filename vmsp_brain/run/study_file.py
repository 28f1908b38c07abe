"""A study's file: experiments, the seeds that each is run with, and what they are measured against.

.. code-block:: yaml

    base: hparams/mini.yaml        # from the folder where the command is given
    seeds: [1234, 1235, 1236]
    common: {number_of_epochs: 12} # keys of all runs
    experiments:
        UAS: {}                    # the base itself
        joint: {file: joint.yaml}  # a file beside the base, which takes all else from the base
        joint_half: {file: joint.yaml, encoder_lr: 0.0015}
    reference: joint               # what Δm is measured against
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import ruamel.yaml

from vmsp_brain.run.experiment_file import bases
from vmsp_brain.run.options.checks import shown
from vmsp_brain.run.options.command_line import open_experiment
from vmsp_brain.run.options.keys import OPTIONS
from vmsp_brain.run.options.kinds import Kind, ListOf, Text

EXPERIMENT = Text(
    "a name of letters, digits, _, + or -, which will be a folder's",
    "UAS",
    lambda text: bool(re.fullmatch(r"[\w+-][\w+.-]*", text)),
)
FILE = Text("an experiment file", "hparams/mini.yaml")
KEYS: dict[str, Kind] = {
    "base": FILE,
    "seeds": ListOf(OPTIONS["seed"].kind, "seeds", may_be_empty=False),
}
"""Those of a study's file that are plain values."""

MAPPINGS = ("experiments", "common", "reference")
SET_BY_STUDY = ("seed", "output_folder")
"""Keys of a run that an experiment cannot give."""


@dataclass(frozen=True)
class PlannedRun:
    """One experiment with one seed.

    Arguments
    ---------
    experiment : str
        Its name.
    seed : int
        Its seed.
    words : tuple of str
        The command line of train.py, but for the output folder.
    epochs : int
        How many it trains.
    """

    experiment: str
    seed: int
    words: tuple[str, ...]
    epochs: int

    @property
    def name(self) -> str:
        """For people, such as ``UAS 1234``."""
        return f"{self.experiment} {self.seed}"


@dataclass(frozen=True)
class Study:
    """What a study's file asks for.

    Arguments
    ---------
    experiments : list of str
        Names, in the order of the file.
    seeds : list of int
        Of each experiment.
    reference : dict
        By pattern of objectives (``asr/*``), the experiment that Δm is measured against.
    runs : list of PlannedRun
        Seed by seed, so that a part of the study has all experiments.
    """

    experiments: list[str]
    seeds: list[int]
    reference: dict[str, str]
    runs: list[PlannedRun]


def read_study(path: Path) -> Study:
    """Read a study's file, and check every experiment of it.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file, or an experiment's file or key, cannot be meant; the message names each.
    """
    found = _load(path)
    _refuse(path, _problems(found))
    experiments = {name: dict(keys or {}) for name, keys in found["experiments"].items()}
    common = dict(found.get("common") or {})
    plans: dict[str, tuple[tuple[str, ...], int]] = {}
    problems = []
    for name, keys in experiments.items():
        try:
            plans[name] = _planned(found["base"], _merged(common, keys), found["seeds"][0])
        except (OSError, ValueError) as error:
            problems += [f"experiments[{name}]: {line}" for line in str(error).splitlines()]
    _refuse(path, problems)
    runs = [
        PlannedRun(name, seed, (*words, f"--seed={seed}"), epochs)
        for seed in found["seeds"]
        for name, (words, epochs) in plans.items()
    ]
    reference = found.get("reference") or {}
    reference = {"*": reference} if isinstance(reference, str) else dict(reference)
    return Study(list(experiments), list(found["seeds"]), reference, runs)


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such study, expected a YAML file.")
    try:
        found = ruamel.yaml.YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except ruamel.yaml.error.MarkedYAMLError as error:
        line = error.problem_mark.line + 1
        problem = str(error.problem).splitlines()[0]
        raise ValueError(
            f"{path}, line {line}: is not plain YAML: {problem}. (Objects, !new: and the like, "
            "belong into an experiment file that the study names.)"
        ) from error
    except (ruamel.yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is not YAML: {error}.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path}: found no keys, expected base, seeds and experiments.")
    return found


def _refuse(path: Path, problems: Iterator[str] | Sequence[str]) -> None:
    listed = [f"{path}, {problem}" for problem in problems]
    if listed:
        raise ValueError("\n".join(listed))


def _problems(found: Mapping[str, Any]) -> Iterator[str]:
    """Of the study's own keys; those of the runs are checked as train.py does."""
    known = [*KEYS, *MAPPINGS]
    for key in [key for key in found if key not in known]:
        yield f"{key}: a study has no such key, it has {', '.join(known)}."
    for key, kind in KEYS.items():
        if not kind.fits(found.get(key)):
            yield _problem(key, found.get(key), kind.expected, shown(kind.example))
    experiments = found.get("experiments")
    if not isinstance(experiments, dict) or not experiments:
        yield _problem("experiments", experiments, "a name and keys for each", "{UAS: {}}")
        experiments = {}
    for name in experiments:
        if not EXPERIMENT.fits(name):
            yield _problem("experiments", name, EXPERIMENT.expected, EXPERIMENT.example)
    for where, keys in _of_runs(found.get("common"), experiments):
        yield from _problems_of_keys(where, keys)
    yield from _problems_of_reference(found.get("reference"), experiments)


def _of_runs(common: Any, experiments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "common", common
    for name, keys in experiments.items():
        yield f"experiments[{name}]", keys


def _problems_of_keys(where: str, keys: Any) -> Iterator[str]:
    if keys is None:
        return
    if not isinstance(keys, dict):
        yield _problem(where, keys, "keys of a run", "{number_of_epochs: 12}")
        return
    for key in SET_BY_STUDY:
        if key in keys:
            yield f"{where}[{key}]: found {shown(keys[key])}, but the study sets it. Leave it out."
    for key in ("file", "base"):
        if key in keys and keys[key] is not None and not FILE.fits(keys[key]):
            yield _problem(f"{where}[{key}]", keys[key], FILE.expected, "joint.yaml")


def _problems_of_reference(reference: Any, experiments: Mapping[str, Any]) -> Iterator[str]:
    by_pattern = reference if isinstance(reference, dict) else {"": reference}
    for pattern, name in by_pattern.items():
        if name not in experiments and reference is not None:
            where = f"reference[{pattern}]" if pattern else "reference"
            expected = f"one of the experiments {', '.join(map(str, experiments))}"
            yield _problem(where, name, expected, next(iter(experiments), "UAS"))


def _problem(where: str, found: Any, expected: str, example: Any) -> str:
    return f"{where}: found {shown(found)}, expected {expected}, such as {example}."


def _merged(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """All keys; in a mapping that both have, the experiment's own change those of all."""
    merged = {**common, **own}
    for key in common.keys() & own.keys():
        if isinstance(common[key], dict) and isinstance(own[key], dict):
            merged[key] = _merged(common[key], own[key])
    return merged


def _planned(base: str, keys: dict[str, Any], seed: int) -> tuple[tuple[str, ...], int]:
    """Words of a command line, but for seed and folder; and how many epochs it trains."""
    whole = Path(base)
    file = whole.parent / keys.pop("file", whole.name)
    if file != whole:
        keys = _with_base(file, whole, keys)
    words = (str(file), *(f"--{key}={_as_yaml(value)}" for key, value in keys.items()))
    experiment, _ = open_experiment([*words, f"--seed={seed}"])
    return words, experiment.document()["number_of_epochs"]


def _with_base(file: Path, whole: Path, keys: Mapping[str, Any]) -> dict[str, Any]:
    """The keys with the base that takes the place of the file's own, which it must have itself.

    Else the experiment would be another one. An experiment's key ``base`` is left to it; null: the
    file's own.
    """
    if "base" in keys:
        return {key: value for key, value in keys.items() if value is not None or key != "base"}
    declared = bases(file)[:1]
    had = [path.resolve() for path in (whole, *bases(whole))]
    if declared and declared[0].resolve() not in had:
        raise ValueError(
            f"file: {file} has the base {declared[0]}, in whose place {whole} would come, which "
            "does not have its keys. Give the experiment a base that has, or base: null for the "
            "file's own."
        )
    beside = declared[0].parent if declared else file.parent
    return {"base": os.path.relpath(whole, beside), **keys}


def _as_yaml(value: Any) -> str:
    """A value in a word of the command line.

    Example
    -------
    >>> _as_yaml({"num_layers": 2, "augment": None}), _as_yaml(0.001), _as_yaml(["en", "fr"])
    ('{num_layers: 2, augment: null}', '0.001', '[en, fr]')
    """
    yaml: Any = ruamel.yaml.YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.width = True, 2**20
    yaml.sort_base_mapping_type_on_output = False
    stream = StringIO()
    yaml.dump(value, stream)
    return stream.getvalue().removesuffix("...\n").strip()
