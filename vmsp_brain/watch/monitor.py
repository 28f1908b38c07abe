"""What a run shows while it trains: a log line per epoch, TensorBoard, tables of conflicts."""

import math
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING

from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from vmsp_brain.audio import SAMPLE_RATE
from vmsp_brain.method.conflict import (
    ALL_LAYERS,
    Conflicts,
    Estimate,
    mean_per_layer,
    mean_per_tasks,
    shares,
)
from vmsp_brain.method.hierarchy import Hierarchy
from vmsp_brain.method.layer_selection import LayerSelection
from vmsp_brain.run.curves import numbered_tag
from vmsp_brain.run.evaluation import Evaluation
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.results import results_table, score_lines, score_rows
from vmsp_brain.run.scores import Hypothesis
from vmsp_brain.watch.plots import draw_conflicts, draw_conflicts_by_layer

if TYPE_CHECKING:
    from vmsp_brain.watch.tracking import Tracker

logger = get_logger(__name__)

SHOWN = 3
"""Utterances of each objective whose hypotheses are shown."""


class Monitor:
    """Writes what the Brain has measured into the run's folder; on the main process alone.

    Arguments
    ---------
    hparams : SimpleNamespace
        The Brain's: ``output_folder``, ``train_logger`` (SpeechBrain's, a line per epoch),
        ``tensorboard_logger`` and, if wanted, ``track`` (see `vmsp_brain.watch.tracking`).
    """

    def __init__(self, hparams: SimpleNamespace) -> None:
        self.hparams = hparams
        places = getattr(hparams, "track", ())
        self.trackers: list[Tracker] = []
        if places:  # SpeechBrain's loggers complain of a missing torchvision when they are loaded
            from vmsp_brain.watch.tracking import open_trackers

            self.trackers = open_trackers(places, self._run, self._settings())

    def write_scalars(self, group: str, values: Mapping[str, float | None], step: int) -> None:
        """Write values that belong together to TensorBoard, and to where else runs are kept.

        None and what is no number is left out.

        Arguments
        ---------
        group : str
            One of `vmsp_brain.run.curves.GROUPS`.
        values : dict
            By name.
        step : int
            The optimizer step or the epoch.
        """
        if not if_main_process():
            return
        known = {
            n: value for n, value in values.items() if value is not None and not math.isnan(value)
        }
        for name, value in known.items():
            self._writer.add_scalar(numbered_tag(group, name), value, step)
        for tracker in self.trackers:
            tracker.write(group, known, step)

    @property
    def _run(self) -> RunFolder:
        return RunFolder(self.hparams.output_folder)

    @property
    def _writer(self) -> SummaryWriter:
        return self.hparams.tensorboard_logger.writer

    def write_lambdas(self, lambdas: Mapping[str, float], step: int) -> None:
        """Write each objective's λ after an optimizer step."""
        self.write_scalars("lambda", lambdas, step)

    def write_conflicts(self, conflicts: Conflicts, epoch: int) -> None:
        """Write what an epoch tells of the expected gradients: tables, heat maps, means as curves.

        Arguments
        ---------
        conflicts : Conflicts
            Of the epoch.
        epoch : int
            1, 2, ...
        """
        if not if_main_process():
            return
        similarities, strengths = conflicts.similarities(), conflicts.strengths()
        self._run.write_conflicts(epoch, similarities, strengths)
        self.write_scalars("conflict", shares(similarities), epoch)
        self.write_scalars("conflict_by_task", mean_per_tasks(similarities), epoch)
        self.write_scalars("conflict_by_layer", mean_per_layer(similarities), epoch)
        signal = {name: found.signal_share for name, found in strengths[ALL_LAYERS].items()}
        self.write_scalars("signal_share", signal, epoch)
        figures = {
            "objectives": draw_conflicts(similarities, epoch),
            "layers": draw_conflicts_by_layer(similarities, epoch),
        }
        for name, figure in figures.items():
            self._writer.add_figure(numbered_tag("conflict", name), figure, epoch)

    def write_selection(
        self, selection: LayerSelection, similarities: Mapping[str, Estimate], epoch: int
    ) -> None:
        """Write which of the encoder's layers are selected, if any were chosen yet.

        Arguments
        ---------
        selection : LayerSelection
            As it is after this epoch.
        similarities : dict
            Means by layer, from which it was chosen.
        epoch : int
            1, 2, ...
        """
        if selection.selected is None:
            return
        chosen = selection.layers(list(similarities))
        values = ", ".join(
            f"{layer} ({found.value:+.3f} ± {found.standard_error:.3f})"
            for layer, found in similarities.items()
            if layer in chosen
        )
        under = sum(found.value < selection.threshold for found in similarities.values())
        sure = sum(found.upper < selection.threshold for found in similarities.values())
        logger.info(
            f"Epoch {epoch}: {len(chosen)} of {len(similarities)} layers selected; the mean of "
            f"{under} is under the threshold {selection.threshold}, that of {sure} beyond doubt: "
            f"{values or 'none'}"
        )
        shown = {layer: float(layer in chosen) for layer in similarities}
        self.write_scalars("selected_layer", shown, epoch)

    def write_epoch(
        self,
        epoch: int,
        hierarchy: Hierarchy,
        rates: Mapping[str, float],
        train_losses: Mapping[str, float],
        evaluation: Evaluation,
        report: Mapping,
        cost: Mapping[str, float],
    ) -> None:
        """Write an epoch's log line, curves and samples, and say its scores.

        Arguments
        ---------
        epoch : int
            1, 2, ...
        hierarchy : Hierarchy
            Whose λ and penalties are written.
        rates : dict
            Learning rate of each optimizer.
        train_losses : dict
            Each objective's mean loss.
        evaluation : Evaluation
            The epoch's validation.
        report : dict
            Its scores, from `vmsp_brain.run.scores.results`.
        cost : dict
            From `EpochCost.stop`.
        """
        penalties, valid_losses = hierarchy.named_penalties(epoch), evaluation.losses.summary()
        keys = ("wer", "wer_normalized", "bleu", "lid")
        means = {key: report[f"{key}_mean"] for key in keys if key in report}
        self.hparams.train_logger.log_stats(
            stats_meta={
                "epoch": epoch,
                **penalties,
                **{f"lambda {name}": value for name, value in hierarchy.lambdas.items()},
            },
            train_stats={f"loss {name}": value for name, value in train_losses.items()},
            valid_stats={
                **{f"loss {name}": value for name, value in valid_losses.items()},
                **means,
            },
            verbose=False,
        )
        total = getattr(self.hparams, "number_of_epochs", "?")
        loss = sum(valid_losses.values()) / len(valid_losses)
        title = f"Epoch {epoch} of {total}, loss {loss:.2f}"
        logger.info(score_lines(title, score_rows(report)))
        for group, values in {
            "penalty": penalties,
            "learning_rate": rates,
            "loss_train": train_losses,
            "loss_valid": valid_losses,
            "WER_valid": {**report.get("wer", {}), "mean": means.get("wer")},
            "BLEU_valid": {**report.get("bleu", {}), "mean": means.get("bleu")},
            "LID_valid": {**report.get("lid", {}), "mean": means.get("lid")},
            "WER_normalized_valid": {
                **report.get("wer_normalized", {}),
                "mean": means.get("wer_normalized"),
            },
            "cost": cost,
        }.items():
            self.write_scalars(group, values, epoch)
        audio = evaluation.samples if epoch == 1 else {}  # it is the same in every epoch
        self.write_samples(evaluation.hypotheses, audio, epoch)
        if if_main_process():
            self._writer.flush()  # before the checkpoint, after which a killed run goes on

    def write_test(self, report: Mapping, hypotheses: Mapping[str, list[Hypothesis]]) -> None:
        """Write the results of the test, and say its scores."""
        if if_main_process():
            self._run.write_results(report, hypotheses)
            print(results_table(report), flush=True)

    def write_samples(
        self,
        hypotheses: Mapping[str, Sequence[Hypothesis]],
        audio: Mapping[str, Tensor],
        epoch: int,
    ) -> None:
        """Write the first hypotheses of each objective beside their references, and audio.

        Arguments
        ---------
        hypotheses : dict
            By objective.
        audio : dict
            By language, the waveform (samples,) at 16 kHz of the first utterance.
        epoch : int
            1, 2, ...
        """
        if not if_main_process():
            return
        for name, made in hypotheses.items():
            rows = [f"| {h.id} | {h.reference} | {h.hypothesis} |" for h in made[:SHOWN]]
            table = "\n".join(["| utterance | reference | hypothesis |", "|---|---|---|", *rows])
            self._writer.add_text(numbered_tag("sample", name), table, epoch)
        for language, wav in audio.items():
            self._writer.add_audio(numbered_tag("sample", language), wav, epoch, SAMPLE_RATE)

    def write_hyperparameters(self) -> None:
        """Write the experiment's numbers and order, and its test scores: the run is at its end."""
        report = self._run.read_report()
        names = ("wer", "wer_normalized", "bleu", "cer", "chrf", "comet", "lid")
        means = [f"{name}_mean" for name in names]
        scores = {key: report[key] for key in means if key in report}
        tagged = {numbered_tag("test", key): score for key, score in scores.items()}
        self._writer.add_hparams(self._settings(), tagged, run_name=".")
        self._writer.flush()
        for tracker in self.trackers:
            tracker.write("test", scores, getattr(self.hparams, "number_of_epochs", 0))
            tracker.close()

    def _settings(self) -> dict[str, int | float | str]:
        """The experiment's numbers and order."""
        given = vars(self.hparams).items()
        numbers = {key: value for key, value in given if isinstance(value, int | float)}
        return {"order": self.hparams.order, **numbers}
