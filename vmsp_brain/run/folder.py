"""The output folder of a run: whose it is, and where things are in it."""

import fcntl
import os
import socket
from pathlib import Path
from typing import IO, Any

import ruamel.yaml

from vmsp_brain.run.experiment_file import ExperimentFile

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
    output_folder = Path(str(now["output_folder"]))
    saved_file = output_folder / "hyperparams.yaml"
    if not saved_file.exists():
        return
    before = _flatten(saved_file.read_text(encoding="utf-8"))
    moved_from = before["output_folder"]  # a run's folder may be moved
    before = {key: value.replace(moved_from, now["output_folder"]) for key, value in before.items()}
    changed = [
        f"  {key}: was {before.get(key, 'absent')}, is now {now.get(key, 'absent')}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and key.partition("[")[0] not in MAY_CHANGE
    ]
    if changed:
        raise ValueError(
            f"{output_folder} holds a run with another configuration:\n"
            + "\n".join(changed)
            + "\nGive the same values to go on with it, or another --output_folder to start anew."
        )


def lock_run_folder(output_folder: str) -> IO:
    """Keep other runs out of a folder for as long as this process lives, even if it is killed.

    Arguments
    ---------
    output_folder : str
        The run's folder, which exists.

    Returns
    -------
    file
        Holds the lock while it is open.

    Raises
    ------
    RuntimeError
        If another run holds it; the message says which.
    """
    lock = (Path(output_folder) / "lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise RuntimeError(
            f"{output_folder} is in use by another run ({lock.read().strip()}). Wait for it to "
            "end, or choose another --output_folder."
        ) from None
    lock.truncate(0)
    lock.write(f"process {os.getpid()} on {socket.gethostname()}")
    lock.flush()
    return lock


def save_configuration(experiment: ExperimentFile, output_folder: str) -> None:
    """Write ``hyperparams.yaml``, which `check_run_folder` reads and which can be run itself."""
    text = f"# Made from {experiment.path.name} and the command line.\n{experiment.resolved()}"
    (Path(output_folder) / "hyperparams.yaml").write_text(text, encoding="utf-8")


class RunFolder:
    """The output folder of a run, wherever it is now.

    Arguments
    ---------
    folder : Path
        The folder; it may have been moved since the run.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        text = (self.folder / "hyperparams.yaml").read_text(encoding="utf-8")
        self.settings: dict[str, Any] = ruamel.yaml.YAML().load(text)

    @staticmethod
    def is_run(folder: str | Path) -> bool:
        """Whether a folder is a run's: a run has a log, an exported model has none."""
        return (Path(folder) / "hyperparams.yaml").is_file() and (
            Path(folder) / "log.txt"
        ).is_file()

    def path(self, key: str) -> Path:
        """A folder that the configuration names; one inside the run has moved with it."""
        path, before = Path(self.settings[key]), Path(self.settings["output_folder"])
        inside = path.is_relative_to(before)
        return self.folder / path.relative_to(before) if inside else path


def _flatten(text: str) -> dict[str, str]:
    """Leaves of a resolved HyperPyYAML document by their path, such as ``conformer[d_model]``."""
    leaves: dict[str, str] = {}

    def walk(path: str, node: Any) -> None:
        tag = getattr(getattr(node, "tag", None), "value", None) or ""
        if isinstance(node, dict):
            children = node.items()
        elif isinstance(node, list):
            children = enumerate(node)
        else:
            leaves[path] = f"{tag} {getattr(node, 'value', node)}".strip()
            return
        if tag:
            leaves[f"{path}[]"] = tag
        for key, child in children:
            walk(f"{path}[{key}]" if path else str(key), child)

    walk("", ruamel.yaml.YAML().load(text))
    return leaves
