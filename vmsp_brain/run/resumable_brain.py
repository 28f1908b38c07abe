"""A Brain of SpeechBrain's that ends where nothing is lost, and goes on as if it had not ended."""

import random
from typing import Any

import numpy as np
import speechbrain as sb
import torch
from torch.utils.data import Dataset

from vmsp_brain import processes
from vmsp_brain.run.termination import Termination, heed_parent_alone


class ResumableBrain(sb.Brain):
    """Ends with a checkpoint when SIGTERM or Ctrl-C asks for it, and repeats what was to come.

    Randomness comes from a generator that is seeded anew in every step, so that nothing but the
    step's number needs to be restored: a subclass calls `seed_from`. The sampler of the training
    batches shuffles and shards by itself.

    Arguments
    ---------
    modules, opt_class, hparams, run_opts, checkpointer
        As for SpeechBrain's Brain; ``hparams`` holds ``seed``.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.termination = Termination()
        self.epoch = 1

    def seed_from(self, *position: int) -> None:
        """Let what follows draw from (seed, process, position), such as (epoch, step)."""
        sequence = np.random.SeedSequence([self.hparams.seed, processes.rank(), *position])
        torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0]))
        random.seed(int(sequence.generate_state(1)[0]))  # SpeechBrain's Augmenter draws from it
        np.random.seed(sequence.generate_state(2)[1])  # transformers' masks draw from numpy

    def common_seed(self) -> int:
        """Of this optimizer step, the same in all processes."""
        sequence = np.random.SeedSequence([self.hparams.seed, self.optimizer_step])
        return int(sequence.generate_state(1, np.uint64)[0])

    def stop_if_requested(self, where: str) -> None:
        """Every process comes here; if any of them was asked to, all end.

        Arguments
        ---------
        where : str
            Where the run is. All that it has done is in a checkpoint, if it has a checkpointer.
        """
        if processes.any_of(self.termination.requested, self.device):
            saved = "a checkpoint was saved. Give the same command to go on."
            saved = "nothing was saved." if self.checkpointer is None else saved
            self.termination.stop(f"{where}; {saved}")

    def stop_evaluation_if_requested(self, stage: sb.Stage) -> None:
        """Every process comes here once in an evaluation: at its end, or when asked to stop."""
        is_test = stage == sb.Stage.TEST
        self.stop_if_requested("the test" if is_test else f"the validation of epoch {self.epoch}")

    # ---------------------------------------------------------------- SpeechBrain's hooks

    def fit(self, *arguments: Any, **options: Any) -> None:
        """SpeechBrain's; SIGTERM and Ctrl-C end it with a checkpoint."""
        with self.termination:
            super().fit(*arguments, **options)

    def evaluate(self, *arguments: Any, **options: Any) -> float:
        """SpeechBrain's; SIGTERM and Ctrl-C end it between two batches."""
        with self.termination:
            return super().evaluate(*arguments, **options)

    def on_evaluate_start(self, max_key: str | None = None, min_key: str | None = None) -> None:
        """SpeechBrain's; a model that nothing has trained is not tested.

        Raises
        ------
        ValueError
            If there is a checkpointer, without a checkpoint to test, and no step was made.
        """
        super().on_evaluate_start(max_key, min_key)
        if self.checkpointer is None or self.optimizer_step:
            return
        if self.checkpointer.find_checkpoint(max_key=max_key, min_key=min_key) is None:
            raise ValueError(
                f"{self.checkpointer.checkpoints_dir} holds no checkpoint of a whole epoch, so "
                "there is nothing to test. Train first: without --test_only, and with "
                "number_of_epochs of 1 or more."
            )

    def make_dataloader(
        self, dataset: Dataset, stage: sb.Stage, *arguments: Any, **loader_kwargs: Any
    ) -> Any:
        """SpeechBrain's; workers leave signals to this process, batches go to a GPU unawaited."""
        loader_kwargs.setdefault("pin_memory", torch.device(self.device).type == "cuda")
        if loader_kwargs.get("num_workers"):
            loader_kwargs.setdefault("worker_init_fn", heed_parent_alone)
        return super().make_dataloader(dataset, stage, *arguments, **loader_kwargs)

    def on_stage_start(self, stage: sb.Stage, epoch: int | None = None) -> None:
        """Remember the epoch."""
        if epoch is not None:  # a test has none
            self.epoch = epoch

    def _train_loader_specifics(self, dataset: Dataset, loader_kwargs: dict) -> dict:
        self.train_sampler = loader_kwargs["batch_sampler"]
        return loader_kwargs

    def _should_save_intra_epoch_ckpt(self, last_ckpt_time: float, steps_since_ckpt: int) -> bool:
        if self.step % self.grad_accumulation_factor:
            return False  # accumulated gradients are not in a checkpoint: wait until they are used
        due = super()._should_save_intra_epoch_ckpt(last_ckpt_time, steps_since_ckpt)
        if self.checkpointer is None:
            self.stop_if_requested(f"epoch {self.epoch}, step {self.step}")
            return False
        return due or processes.any_of(self.termination.requested, self.device)

    def _save_intra_epoch_ckpt(self) -> None:
        super()._save_intra_epoch_ckpt()
        self.stop_if_requested(f"epoch {self.epoch}, step {self.step}")
