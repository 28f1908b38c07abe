"""A run goes on with the configuration that it was begun with."""

from typing import Any

import ruamel.yaml

from vmsp_brain.files import write_whole
from vmsp_brain.run.experiment_file import ExperimentFile
from vmsp_brain.run.folder import RunFolder

MAY_CHANGE = {
    "number_of_epochs",
    "epoch_counter",
    "num_workers",
    "valid_batch_size",
    "ckpt_interval_minutes",
    "checkpoints_to_keep",
    "cache_audio",
    "valid_search",
    "test_search",
    "data_folder",
}
"""Keys that may differ when a run goes on: they do not change what was trained so far."""


def check_run_folder(experiment: ExperimentFile) -> None:
    """Refuse to go on with a run that was started with another configuration.

    Compares with the ``hyperparams.yaml`` that the run saved, key by key.

    Arguments
    ---------
    experiment : ExperimentFile
        What is to be run now.

    Raises
    ------
    ValueError
        If another configuration was used; the message names the keys and both values.
    """
    now = _flatten(experiment.resolved())
    run = RunFolder(now["output_folder"])
    if not run.configuration.exists():
        return
    before = _flatten(run.configuration.read_text(encoding="utf-8"))
    moved_from = before["output_folder"]  # a run's folder may be moved
    before = {key: value.replace(moved_from, now["output_folder"]) for key, value in before.items()}
    changed = [
        f"  {key}: was {before.get(key, 'absent')}, is now {now.get(key, 'absent')}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and key.partition("[")[0] not in MAY_CHANGE
    ]
    if changed:
        raise ValueError(
            f"{run.folder} holds a run with another configuration:\n"
            + "\n".join(changed)
            + "\nGive the same values to go on with it, or another --output_folder to start anew."
        )


def save_configuration(experiment: ExperimentFile, output_folder: str) -> None:
    """Write ``hyperparams.yaml``, which `check_run_folder` reads and which can be run itself."""
    text = f"# Made from {experiment.path.name} and the command line.\n{experiment.resolved()}"
    write_whole(RunFolder(output_folder).configuration, text)


def _flatten(text: str) -> dict[str, str]:
    """Leaves of a resolved HyperPyYAML document by their path, such as ``conformer[d_model]``."""
    leaves: dict[str, str] = {}

    def walk(path: str, node: Any) -> None:
        tag = getattr(getattr(node, "tag", None), "value", None) or ""
        if isinstance(node, dict):
            children = list(node.items())
        elif isinstance(node, list):
            children = list(enumerate(node))
        else:
            leaves[path] = f"{tag} {getattr(node, 'value', node)}".strip()
            return
        if tag:
            leaves[f"{path}[]"] = tag
        for key, child in children:
            walk(f"{path}[{key}]" if path else str(key), child)

    walk("", ruamel.yaml.YAML().load(text))
    return leaves
