"""What each process sums up over an epoch, kept in checkpoints: a resumed epoch is whole."""

from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)

from vmsp_brain import processes
from vmsp_brain.method.jackknife import GroupedSums


@partial(register_checkpoint_hooks, save_on_main_only=False)
class EpochSums(ABC):
    """Sums that can be joined.

    Each process has its own, and a checkpoint all of them. If another number of processes goes on
    with it, each of them begins with the whole.
    """

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Count all that another one counted."""

    @abstractmethod
    def clear(self) -> None:
        """Start again."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that was counted."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what was counted."""

    def joined(self) -> Self:
        """Those of all processes in one, the same in every one."""
        joined = type(self)()
        for each in processes.gather(self):
            joined.merge(each)
        return joined

    @mark_as_saver
    def _save(self, path: str | Path) -> None:
        found = processes.gather(self.state_dict())
        if processes.rank() == 0:
            torch.save(found, path)

    @mark_as_loader
    def _load(self, path: str | Path, end_of_epoch: bool) -> None:
        found = torch.load(path, weights_only=True)
        if len(found) == processes.number():
            found = [found[processes.rank()]]
        self.clear()
        for saved in found:
            part = type(self)()
            part.load_state_dict(saved)
            self.merge(part)


class EpochProducts(GroupedSums, EpochSums):
    """The products of an epoch's gradients, of which `vmsp_brain.method.conflict` tells."""
