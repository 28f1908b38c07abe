"""A Brain that tests, and keeps for use, a moving average of the weights that it trains."""

from typing import Any

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vmsp_brain.run.resumable_brain import ResumableBrain


class AveragingBrain(ResumableBrain):
    """With ``ema_decay``, evaluations and checkpoints' models are of the averaged weights.

    After every optimizer step, average = decay x average + (1 - decay) x weights; after the first
    it is the weights. A checkpoint holds the average under the names that the model has without it,
    so all that reads a checkpoint reads the tested model; what is trained goes beside it.

    Arguments
    ---------
    modules, opt_class, hparams, run_opts, checkpointer
        As for SpeechBrain's Brain; ``hparams`` may hold ``ema_decay``, from 0 to below 1, or None.

    Attributes
    ----------
    tested : ModuleDict
        The modules that evaluations are of.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        decay = getattr(self.hparams, "ema_decay", None)
        self.average, self.tested = None, self.modules
        if decay is None:
            return
        self.average = AveragedModel(self.modules, multi_avg_fn=get_ema_multi_avg_fn(decay))
        self.average.requires_grad_(False).eval()
        self.tested = self.average.module
        if self.checkpointer is not None:
            self.checkpointer.add_recoverable("trained_weights", self.modules)
            self.checkpointer.add_recoverables(dict(self.tested.items()))

    def optimizers_step(self) -> None:
        """SpeechBrain's; the average follows."""
        super().optimizers_step()
        if self.average is not None:
            self.average.n_averaged.fill_(self.optimizer_step - 1)  # also of a run that goes on
            self.average.update_parameters(self.modules)
