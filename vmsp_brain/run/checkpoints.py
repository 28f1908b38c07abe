"""Checkpoints: each is whole or not there at all."""

import logging
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
import yaml
from speechbrain.utils.checkpoints import CKPT_PREFIX, METAFNAME, Checkpoint, Checkpointer
from speechbrain.utils.distributed import ddp_barrier, if_main_process
from speechbrain.utils.logger import get_logger

from vmsp_brain.files import put_in_place

logger = get_logger(__name__)


def save_epoch(
    checkpointer: Checkpointer, meta: Mapping[str, Any], number: int, **metric: str
) -> None:
    """Save the end of an epoch; those from within an epoch have then served.

    Arguments
    ---------
    checkpointer : Checkpointer
        With what is to be saved.
    meta : dict
        What is known of the epoch.
    number : int
        How many are kept of the best ones, and of the last ones.
    **metric : str
        ``min_key`` or ``max_key``: by which entry of ``meta`` the best are found.
    """
    checkpointer.save_and_keep_only(
        meta=meta,
        num_to_keep=number,
        verbosity=logging.DEBUG,
        ckpt_predicate=lambda checkpoint: checkpoint.meta["end-of-epoch"],
        **{f"{key}s": [name] for key, name in metric.items()},
    )
    checkpointer.delete_checkpoints(
        num_to_keep=0, ckpt_predicate=lambda checkpoint: not checkpoint.meta["end-of-epoch"]
    )


class CheckpointError(ValueError):
    """A checkpoint cannot be saved or loaded; the message says which and what to do."""


class AtomicCheckpointer(Checkpointer):
    """SpeechBrain's ``Checkpointer``, made safe against being killed while it saves.

    SpeechBrain writes a checkpoint's metadata first and its parameters after, so a killed run can
    leave a folder that a later run takes for a checkpoint. Here it is written into the subfolder
    ``incomplete`` and moved into place when all of it is there.
    """

    checkpoints_dir: Path

    def save_checkpoint(
        self,
        meta: dict[str, Any] | None = None,
        end_of_epoch: bool = True,
        name: str | None = None,
        verbosity: int = logging.INFO,
    ) -> Checkpoint | None:
        """See SpeechBrain's ``Checkpointer.save_checkpoint``.

        Raises
        ------
        CheckpointError
            If the disk takes no more; the message says what is kept.
        """
        folder = Path(self.checkpoints_dir)
        if name is None:
            name = self._new_checkpoint_dirpath().name.removeprefix(f"{CKPT_PREFIX}+")
        incomplete = folder / "incomplete"
        if if_main_process() and incomplete.exists():
            shutil.rmtree(incomplete)  # a killed run's
        self.checkpoints_dir = incomplete
        try:
            checkpoint = super().save_checkpoint(meta or {}, end_of_epoch, name, logging.DEBUG)
        except (OSError, RuntimeError) as error:  # torch's writer does not say what went wrong
            refusal = refused_write(folder)
            if refusal is None:
                raise
            shutil.rmtree(incomplete, ignore_errors=True)
            kept = ", ".join(path.name for path in sorted(folder.glob(f"{CKPT_PREFIX}+*")))
            raise CheckpointError(
                f"{folder}: a checkpoint could not be saved: {refusal.strerror} "
                f"({shutil.disk_usage(folder).free / 2**20:.0f} MiB are free on the disk). Whole "
                f"checkpoints: {kept or 'none'}. Make room, then give the same command to go on."
            ) from error
        finally:
            self.checkpoints_dir = folder
        if checkpoint is not None:  # the main process
            checkpoint = self._put_in_place(checkpoint)
            logger.log(verbosity, f"Saved the checkpoint {checkpoint.path}")
        ddp_barrier()  # else another process may count the checkpoints before this one is there
        return checkpoint

    def _put_in_place(self, checkpoint: Checkpoint) -> Checkpoint:
        path = Path(self.checkpoints_dir) / checkpoint.path.name
        if path.exists():  # saved again under the same name
            shutil.rmtree(path)
        put_in_place(checkpoint.path, path)
        files = {key: path / file.name for key, file in checkpoint.paramfiles.items()}
        return Checkpoint(path, checkpoint.meta, files)

    @staticmethod
    def _construct_checkpoint_objects(checkpoint_dirs: Sequence[Path]) -> list[Checkpoint]:
        """SpeechBrain's, but a folder whose metadata are damaged is named."""
        found: list[Checkpoint] = []
        for folder in checkpoint_dirs:
            try:
                [checkpoint] = Checkpointer._construct_checkpoint_objects([folder])
                checkpoint.meta["unixtime"], checkpoint.meta["end-of-epoch"]
            except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError) as error:
                raise CheckpointError(
                    f"{folder / METAFNAME} is empty or damaged ({type(error).__name__}). Remove "
                    f"the folder {folder}: the run goes on from the checkpoint before it, or from "
                    "the start."
                ) from error
            found.append(checkpoint)
        return found

    def load_checkpoint(self, checkpoint: Checkpoint) -> None:
        """See SpeechBrain's ``Checkpointer.load_checkpoint``.

        Raises
        ------
        CheckpointError
            If it is damaged, or of another model; the message names the folder.
        """
        try:
            super().load_checkpoint(checkpoint)
        except Exception as error:  # whatever a file may hold
            raise CheckpointError(
                f"{checkpoint.path} cannot be loaded: {type(error).__name__}: {error}\nIf the "
                "folder is damaged, remove it: the run goes on from the checkpoint before it, or "
                "from the start. If it is of another model, choose another output_folder."
            ) from error
        logger.info(f"Loaded the checkpoint {checkpoint.path}")


def refused_write(folder: Path) -> OSError | None:
    """What the system says if a file may not grow in a folder: no space, quota, limit; or None."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(2**20))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error
    return None


class Stateful(Protocol):
    """What has a state of tensors and plain values."""

    def state_dict(self) -> dict[str, Any]:
        """The state."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state."""


def add_states(checkpointer: Checkpointer, **items: Stateful) -> None:
    """Let checkpoints hold the states of objects that are no modules, by name."""
    for name, item in items.items():
        checkpointer.add_recoverable(name, item, _load_state, _save_state)


def _save_state(item: Stateful, path: Path) -> None:
    if if_main_process():
        torch.save(item.state_dict(), path)


def _load_state(item: Stateful, path: Path, end_of_epoch: bool) -> None:
    item.load_state_dict(torch.load(path, weights_only=True))
