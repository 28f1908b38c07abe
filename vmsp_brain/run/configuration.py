"""A run goes on with the configuration that it was begun with."""

from collections.abc import Mapping
from typing import Any

from vmsp_brain.files import write_whole
from vmsp_brain.run.experiment_file import ExperimentFile
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.moved_paths import leaves, moved, tag_of
from vmsp_brain.run.options.keys import OPTIONS

MAY_CHANGE = {name.partition("[")[0] for name, option in OPTIONS.items() if option.may_change}
MAY_CHANGE |= {"epoch_counter"}  # made of number_of_epochs
"""Keys that may differ when a run goes on: they do not change what was trained so far."""


def check_run_folder(run: RunFolder, experiment: ExperimentFile) -> None:
    """Refuse to go on with a run that was started with another configuration.

    Compares with the ``hyperparams.yaml`` that the run saved, key by key. Where nothing was trained
    with it, any other may take its place.

    Arguments
    ---------
    run : RunFolder
        The folder that it is to be run in.
    experiment : ExperimentFile
        What is to be run now.

    Raises
    ------
    ValueError
        If another configuration was used, and the message names the keys and both values; or if
        the saved one is damaged.

    Example
    -------
    >>> experiment = ExperimentFile("results/mini/hyperparams.yaml", {"batch_size": 4})
    >>> check_run_folder(RunFolder("results/mini"), experiment)
    Traceback (most recent call last):
    ValueError: results/mini holds a run with another configuration:
      batch_size: was 2, is now 4
    Give the same values to go on with it, or another --output_folder to start anew.
    """
    if not run.configuration.exists() or not run.was_trained():
        return
    now = experiment.document()
    changed = _changes(run, now)
    if changed:
        raise ValueError(
            f"{run.folder} holds a run with another configuration:\n"
            + "\n".join(f"  {line}" for line in changed)
            + "\nGive the same values to go on with it, or another --output_folder to start anew."
        )
    _say_how_it_goes_on(run.settings["number_of_epochs"], now)


def save_configuration(run: RunFolder, experiment: ExperimentFile) -> None:
    """Write ``hyperparams.yaml``, which `check_run_folder` reads and which can be run itself.

    In place of one with which nothing was trained, whose vocabularies go with it.

    Example
    -------
    >>> run = RunFolder("results/new")
    >>> experiment = ExperimentFile("hparams/mini.yaml", {"output_folder": "results/new"})
    >>> save_configuration(run, experiment)
    >>> run.settings["output_folder"]
    'results/new'
    """
    if run.configuration.exists() and not run.was_trained():
        _forget_start(run, _changes(run, experiment.document()))
    write_whole(run.configuration, experiment.saved())


def _forget_start(run: RunFolder, changed: list[str]) -> None:
    if not changed:
        return
    print(
        f"{run.folder}: nothing was trained with its earlier configuration, which this one "
        f"replaces: {'; '.join(changed)}."
    )
    if run.tokenizers.is_relative_to(run.folder):  # others may belong to another run
        for model in run.tokenizers.glob("*.model"):
            model.unlink()


def _changes(run: RunFolder, now: Mapping[str, Any]) -> list[str]:
    """What differs from the saved configuration, but for where the run is, and what may change."""
    folders = run.settings["output_folder"], now["output_folder"]
    before = {key: moved(value, *folders) for key, value in _values(run.settings).items()}
    wanted = _values(now)
    return [
        f"{key}: was {before.get(key, 'absent')}, is now {wanted.get(key, 'absent')}"
        for key in sorted(before.keys() | wanted.keys())
        if before.get(key) != wanted.get(key) and key.partition("[")[0] not in MAY_CHANGE
    ]


def _values(document: Mapping[str, Any]) -> dict[str, str]:
    """Values by their path, such as ``conformer[d_model]``."""
    return {
        leaf.path: f"{tag_of(leaf.value)} {getattr(leaf.value, 'value', leaf.value)}".strip()
        for leaf in leaves(document)
    }


def _say_how_it_goes_on(epochs: int, now: Mapping[str, Any]) -> None:
    """A run that is made longer keeps its schedules, whose fall may have ended."""
    if now["number_of_epochs"] <= epochs:
        return
    print(f"Training goes on to epoch {now['number_of_epochs']} in place of {epochs}.")
    ends: dict[int, list[str]] = {}
    for leaf in leaves(now):
        if leaf.key == "total_steps":
            ends.setdefault(leaf.value, []).append(leaf.path.partition("[")[0])
    for step, schedules in ends.items():
        print(
            f"{', '.join(schedules)}: as before, down by step {step}; little more is learned from "
            "there on. For a longer schedule start another run with --init_from."
        )
