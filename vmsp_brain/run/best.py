"""Which of a run's checkpoints count, found from its folder alone."""

from io import StringIO

import ruamel.yaml
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.checkpoints import Checkpoint

from vmsp_brain.run.checkpoints import AtomicCheckpointer
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.primary import primary_metric


def best_checkpoint(run: RunFolder) -> Checkpoint:
    """The checkpoint that is best by the run's own primary metric.

    Raises
    ------
    FileNotFoundError
        If no epoch was validated.
    """
    found = AtomicCheckpointer(run.checkpoints).find_checkpoint(**run_metric(run))
    if found is None:
        raise FileNotFoundError(
            f"{run.checkpoints} holds no checkpoint of a whole epoch, with a score to "
            "choose it by. Train first."
        )
    return found


def last_checkpoints(run: RunFolder, number: int) -> list[Checkpoint]:
    """The checkpoints of so many last epochs.

    Raises
    ------
    FileNotFoundError
        If there are fewer.
    """
    found = AtomicCheckpointer(run.checkpoints).find_checkpoints(
        max_num_checkpoints=number,
        ckpt_predicate=lambda checkpoint: checkpoint.meta["end-of-epoch"],
    )
    if len(found) < number:
        raise FileNotFoundError(
            f"{run.checkpoints} holds {len(found)} checkpoints, expected {number}. "
            "Train first; to average over several, train with --checkpoints_to_keep."
        )
    return found


def run_metric(run: RunFolder) -> dict[str, str]:
    """How a run's best checkpoint is found, see `vmsp_brain.run.primary.primary_metric`."""
    return primary_metric(primary_objectives(run))


def primary_objectives(run: RunFolder) -> list[str]:
    """Those of a run's primary level."""
    stream = StringIO()
    ruamel.yaml.YAML().dump({"hierarchy": run.settings["hierarchy"]}, stream)
    try:
        hierarchy = load_hyperpyyaml(stream.getvalue())["hierarchy"]
    except Exception as error:  # whatever a file may hold
        raise run.damaged_configuration(error) from error
    return list(hierarchy.levels[0].names)
