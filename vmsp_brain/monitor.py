"""What a run shows while it trains: a log line per epoch, TensorBoard, tables of conflicts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

from speechbrain.utils.distributed import if_main_process

from vmsp_brain.conflict import (
    Cosines,
    mean_per_layer,
    mean_per_tasks,
    share_of_conflicts,
    write_cosines,
)


class Monitor:
    """Writes what the Brain has measured into the run's folder; on the main process alone.

    Arguments
    ---------
    hparams : SimpleNamespace
        The Brain's: ``output_folder``, ``train_logger`` (SpeechBrain's, a line per epoch) and
        ``tensorboard_logger``.
    """

    def __init__(self, hparams: SimpleNamespace) -> None:
        self.hparams = hparams

    def write_scalars(self, group: str, values: Mapping[str, float | None], step: int) -> None:
        """Write values that belong together to TensorBoard; None is left out.

        Arguments
        ---------
        group : str
            What they are.
        values : dict
            By name.
        step : int
            The optimizer step or the epoch.
        """
        if if_main_process():
            for name, value in values.items():
                if value is not None:
                    self.hparams.tensorboard_logger.writer.add_scalar(
                        f"{group}/{name}", value, step
                    )

    def write_lambdas(self, lambdas: Mapping[str, float], step: int) -> None:
        """Write each objective's λ after an optimizer step."""
        self.write_scalars("lambda", lambdas, step)

    def write_conflicts(self, cosines: Cosines, epoch: int) -> None:
        """Write an epoch's mean similarities of gradients as a table, and their means as curves.

        Arguments
        ---------
        cosines : dict
            By layer and pair of objectives; nothing is written if it is empty.
        epoch : int
            1, 2, ...
        """
        if not cosines or not if_main_process():
            return
        folder = Path(self.hparams.output_folder)
        write_cosines(folder / f"conflicts/epoch_{epoch:04d}.csv", cosines)
        self.write_scalars("conflict_by_layer", mean_per_layer(cosines), epoch)
        self.write_scalars("conflict_by_task", mean_per_tasks(cosines), epoch)
        share = {"share_of_conflicting_pairs": share_of_conflicts(cosines)}
        self.write_scalars("conflict", share, epoch)

    def write_epoch(
        self,
        epoch: int,
        penalties: Sequence[float],
        lambdas: Mapping[str, float],
        rates: Mapping[str, float],
        train_losses: Mapping[str, float],
        valid_losses: Mapping[str, float],
        report: Mapping,
    ) -> None:
        """Write an epoch's log line and curves.

        Arguments
        ---------
        epoch : int
            1, 2, ...
        penalties : list of float
            η_1, η_2, ...
        lambdas : dict
            Each objective's λ.
        rates : dict
            Learning rate of each optimizer.
        train_losses, valid_losses : dict
            Each objective's mean loss.
        report : dict
            Validation scores, from `vmsp_brain.metrics.results`.
        """
        etas = {f"eta_{number}": value for number, value in enumerate(penalties, start=1)}
        means = {key: report[f"{key}_mean"] for key in ("wer", "bleu") if key in report}
        self.hparams.train_logger.log_stats(
            stats_meta={
                "epoch": epoch,
                **etas,
                **{f"lambda {name}": value for name, value in lambdas.items()},
            },
            train_stats={f"loss {name}": value for name, value in train_losses.items()},
            valid_stats={
                **{f"loss {name}": value for name, value in valid_losses.items()},
                **means,
            },
        )
        for group, values in {
            "penalty": etas,
            "learning_rate": rates,
            "loss_train": train_losses,
            "loss_valid": valid_losses,
            "WER_valid": {**report.get("wer", {}), "mean": means.get("wer")},
            "BLEU_valid": {**report.get("bleu", {}), "mean": means.get("bleu")},
        }.items():
            self.write_scalars(group, values, epoch)
