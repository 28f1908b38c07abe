"""`VMSPBrain`: SpeechBrain's Brain with the multilevel gradient step of VM-MSP.

This is the one place that knows both the speech side (encoder, objectives, batches) and the
algorithmic side (gradient rows, hierarchy).
"""

from collections.abc import Container, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.logger import get_logger
from torch import Tensor, nn
from torch.utils.data import Dataset

from vmsp_brain import processes
from vmsp_brain.data.batches import MultilingualBatch
from vmsp_brain.encoders.compilation import compile_layers
from vmsp_brain.encoders.interface import check_layers
from vmsp_brain.method.conflict import mean_per_layer
from vmsp_brain.method.hierarchy import Hierarchy
from vmsp_brain.method.step import GradientStep
from vmsp_brain.names import text_key
from vmsp_brain.objectives import Objective
from vmsp_brain.run.checkpoints import save_epoch
from vmsp_brain.run.cost import EpochCost
from vmsp_brain.run.evaluation import Evaluation
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.mean_cosines import MeanCosines
from vmsp_brain.run.out_of_memory import out_of_memory_names_the_batch
from vmsp_brain.run.primary import primary_metric, primary_score
from vmsp_brain.run.results import results_table
from vmsp_brain.run.running_means import RunningMeans
from vmsp_brain.run.scores import results
from vmsp_brain.run.termination import Termination, heed_parent_alone
from vmsp_brain.watch.monitor import Monitor

logger = get_logger(__name__)


class VMSPBrain(sb.Brain):
    """Trains a shared encoder under a hierarchy of objectives.

    A step goes source by source: one encoder forward for each draw, the losses of all objectives of
    that source from the same hidden states, and each loss's gradient on its own: the part of the
    objective's head goes to the head's ``.grad``, unweighted; the encoder's part to the gradient
    step (`vmsp_brain.method.step`), which finds every level's λ and combines the gradients into
    the encoder's ``.grad``. With gradient accumulation the rows are averaged over the micro-batches
    first, which is the step of one batch of that size.

    Between processes, the Gramians are averaged, or the rows, if they are sketched (see
    `GradientStep.gramians`), so that λ is the same everywhere, and the combined gradient is
    averaged in one all-reduce. Each evaluates its share of the batches; the results are of all.

    Dropout, masks and augmentation draw from a generator that is seeded anew in every step from
    (seed, epoch, step, rank), so that a resumed run repeats an uninterrupted one.

    Arguments
    ---------
    modules : dict
        ``encoder`` (see `vmsp_brain.encoders`) and ``objectives``, a ``ModuleDict`` by name (see
        `vmsp_brain.objectives`).
    hierarchy : Hierarchy
        Over those objectives.
    tokenizers : dict
        The tokenizer of every objective that produces text.
    hparams : dict
        ``seed``, ``output_folder``, ``encoder_opt_class`` and ``head_opt_class`` (optimizers but
        for their parameters), ``encoder_lr_schedule`` and ``head_lr_schedule`` (SpeechBrain
        schedulers, called every step), ``gradient_step`` (makes a `GradientStep` of the hierarchy
        and the encoder's layers), ``decode_every`` (epochs from one validation that decodes to the
        next), ``valid_search`` and ``test_search`` (keyword arguments of the objectives'
        ``search``), ``checkpoints_to_keep`` (so many of the best and of the last),
        ``train_logger``, ``tensorboard_logger``.
    run_opts, checkpointer, ...
        As for SpeechBrain's Brain.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        hierarchy: Hierarchy,
        tokenizers: Mapping[str, sentencepiece.SentencePieceProcessor],
        hparams: Mapping,
        run_opts: Mapping | None = None,
        checkpointer: Checkpointer | None = None,
    ) -> None:
        super().__init__(modules, None, hparams, run_opts, checkpointer)
        self.hierarchy = hierarchy
        self.tokenizers = tokenizers
        self.objectives_of: dict[str, list[Objective]] = {}
        for objective in self.modules.objectives.values():
            self.objectives_of.setdefault(objective.source, []).append(objective)
        layers = self.modules.encoder.layers()
        check_layers(self.modules.encoder)
        self.gradient: GradientStep = self.hparams.gradient_step(hierarchy, layers)
        self.heads = {
            name: [parameter for parameter in objective.parameters() if parameter.requires_grad]
            for name, objective in self.modules.objectives.items()
        }
        self.train_losses = RunningMeans()
        self.cosines = MeanCosines()
        self.cost = EpochCost()
        self.monitor = Monitor(self.hparams)
        self.termination = Termination()
        self.epoch = 1
        if checkpointer is not None:
            checkpointer.add_recoverable("train_losses", self.train_losses)
            checkpointer.add_recoverable("cosines", self.cosines)
            checkpointer.add_recoverable("cost", self.cost)
            for name, item in (("hierarchy", hierarchy), ("selection", self.gradient.selection)):
                checkpointer.add_recoverable(name, item, _load_state, _save_state)

    # ---------------------------------------------------------------- the step

    def fit_batch(self, batch: MultilingualBatch) -> Tensor:
        """One step of VM-MSP (or one micro-batch of it); the mean loss, on the CPU."""
        should_step = (self.step % self.grad_accumulation_factor) == 0
        self.on_fit_batch_start(batch, should_step)
        self._seed(self.epoch, self.step)
        losses = self.collect_gradients(batch.to(self.device))
        finite = self._finite(losses)
        if should_step:
            self.combine_gradients()
        for draw in finite:
            self.train_losses.add(draw)
        mean = torch.tensor([loss for draw in finite for loss in draw.values()]).mean()
        self.on_fit_batch_end(batch, losses, mean, should_step)
        return mean

    def collect_gradients(self, batch: MultilingualBatch) -> list[dict[str, float]]:
        """Differentiate every loss of one (micro-)batch; each draw's losses."""
        self.gradient.begin(self.epoch, self.optimizer_step)
        collected: list[dict[str, Tensor]] = []
        for draw, sources in enumerate(batch.draws):
            collected.append({})
            for source, part in sources.items():
                with out_of_memory_names_the_batch(source, part):
                    collected[draw] |= self._collect_source(draw, source, part)
        # Read at the end: each reading waits for the device.
        return [{name: float(loss) for name, loss in draw.items()} for draw in collected]

    def _collect_source(self, draw: int, source: str, part: PaddedBatch) -> dict[str, Tensor]:
        trained = self._objectives(source, self.hierarchy.trained(self.epoch))
        objectives = [objective for objective in trained if _has_targets(objective, part)]
        if not objectives:
            return {}
        scales = {
            "average": 1.0 / self.grad_accumulation_factor,
            "loss_scale": self.scaler.get_scale(),
        }
        with self.training_ctx, self.gradient.forward(draw, len(objectives), **scales) as forward:
            frames = objectives[0].encode(self.modules.encoder, part)

        def differentiate(objective: Objective) -> Tensor:
            with self.training_ctx:
                loss = objective.loss(frames, part)
            head = self.heads[objective.name]
            self.gradient.add(forward, objective.name, self.scaler.scale(loss), head)
            return loss.detach()

        # One head's graph at a time: it is free before the next one's is made.
        return {objective.name: differentiate(objective) for objective in objectives}

    def _objectives(self, source: str, wanted: Container[str]) -> list[Objective]:
        return [item for item in self.objectives_of[source] if item.name in wanted]

    def compute_losses(
        self, source: str, part: PaddedBatch, wanted: Container[str]
    ) -> tuple[Any, dict[str, Tensor]]:
        """One encoder forward, and from it the loss of every wanted objective of the source that
        the batch has targets for."""
        objectives = self._objectives(source, wanted)
        if not objectives:
            return None, {}
        frames = objectives[0].encode(self.modules.encoder, part)
        return frames, {
            objective.name: objective.loss(frames, part)
            for objective in objectives
            if _has_targets(objective, part)
        }

    def combine_gradients(self) -> None:
        """From the gradients to λ, to the encoder's ``.grad``, to the optimizers' step."""
        gramians = self.gradient.gramians(partial(processes.mean, device=self.device))
        if gramians:
            self.hierarchy.update_lambdas(gramians, self._common_seed())
        plan = self.gradient.plan
        cosines = self.gradient.cosines() if plan.measures else {}
        self.gradient.combine(self.scaler.get_scale())
        processes.average_gradients(self._trained_parameters())
        if all(parameter.grad is None for parameter in self.modules.parameters()):
            return  # no loss was finite, and each was counted
        # A gradient scaler skips a step that is not finite, and lowers its scale, by itself.
        if not self.scaler.is_enabled() and not self._gradients_are_finite():
            self._count_nonfinite(
                "all losses are finite, but their gradient", "the step is left out"
            )
            self.zero_grad(set_to_none=True)
            return
        if all(np.isfinite(value) for pairs in cosines.values() for value in pairs.values()):
            self.cosines.add_cosines(cosines)
        self.hparams.encoder_lr_schedule(self.optimizers_dict["encoder"])
        self.hparams.head_lr_schedule(self.optimizers_dict["heads"])
        self.optimizers_step()
        if plan.measures:
            self.monitor.write_lambdas(self.lambdas(), self.optimizer_step)

    def _trained_parameters(self) -> list[nn.Parameter]:
        """Those that are trained in this epoch, in the same order in all processes."""
        trained = self.hierarchy.trained(self.epoch)
        heads = (head for name, head in self.heads.items() if name in trained)
        return [*self.gradient.shared, *(parameter for head in heads for parameter in head)]

    def _gradients_are_finite(self) -> bool:
        gradients = [p.grad for p in self.modules.parameters() if p.grad is not None]
        return bool(torch.nn.utils.get_total_norm(gradients).isfinite())

    def _finite(self, losses: list[dict[str, float]]) -> list[dict[str, float]]:
        """The losses that are finite; others are named, and end the run when patience does."""
        finite = [{n: loss for n, loss in draw.items() if np.isfinite(loss)} for draw in losses]
        names = {
            name for draw, kept in zip(losses, finite, strict=True) for name in draw.keys() - kept
        }
        if names:
            named = [name for name in self.hierarchy.objectives if name in names]
            self._count_nonfinite(
                f"the loss of {', '.join(named)}", "it is left out of the step, its level's λ rests"
            )
        return finite

    def _count_nonfinite(self, what: str, consequence: str) -> None:
        logger.warning(
            f"Epoch {self.epoch}, step {self.step}: {what} is not finite; {consequence} "
            f"({self.nonfinite_count + 1} of at most {self.nonfinite_patience} in an epoch)."
        )
        self.check_loss_isfinite(torch.tensor(torch.nan))

    def lambdas(self) -> dict[str, float]:
        """Each objective's λ, on the simplex of its level."""
        return {
            name: float(value)
            for level in self.hierarchy.levels
            for name, value in zip(level.names, level.lambdas, strict=True)
        }

    # ---------------------------------------------------------------- SpeechBrain's hooks

    def fit(self, *arguments: Any, **options: Any) -> None:
        """SpeechBrain's; SIGTERM and Ctrl-C end it with a checkpoint."""
        with self.termination:
            super().fit(*arguments, **options)

    def evaluate(self, *arguments: Any, **options: Any) -> float:
        """SpeechBrain's; SIGTERM and Ctrl-C end it between two batches."""
        with self.termination:
            return super().evaluate(*arguments, **options)

    def make_dataloader(
        self, dataset: Dataset, stage: sb.Stage, *arguments: Any, **loader_kwargs: Any
    ) -> Any:
        """SpeechBrain's; workers leave signals to this process."""
        if loader_kwargs.get("num_workers"):
            loader_kwargs.setdefault("worker_init_fn", heed_parent_alone)
        return super().make_dataloader(dataset, stage, *arguments, **loader_kwargs)

    def init_optimizers(self) -> None:
        """One optimizer for the encoder and one for the heads, each clipped and stepped whole."""
        self.optimizers_dict = {
            "encoder": self.hparams.encoder_opt_class(self.gradient.shared),
            "heads": self.hparams.head_opt_class(
                [parameter for head in self.heads.values() for parameter in head]
            ),
        }
        if self.checkpointer is not None:
            for name, optimizer in self.optimizers_dict.items():
                self.checkpointer.add_recoverable(f"{name}_optimizer", optimizer)

    def _compile(self) -> None:
        """With ``--compile``: the encoder's layers, see `vmsp_brain.encoders.compilation`.

        In torch's default mode: SpeechBrain's default, CUDA graphs, asks for one shape of batch.
        """
        keys = self.compile_module_keys
        if self.jit or self.jit_module_keys or set(keys or ["encoder"]) != {"encoder"}:
            raise ValueError(
                "--jit and --compile_module_keys: only the encoder can be compiled, by "
                "torch.compile. Give --compile alone."
            )
        if self.compile:
            dynamic = self.compile_using_dynamic_shape_tracing
            compile_layers(self.modules.encoder.layers(), dynamic=dynamic)

    def optimizers_step(self) -> None:
        """SpeechBrain's, after showing the gradients' norms in measuring steps, before clipping."""
        if self.gradient.plan.measures:
            parameters = {"encoder": self.gradient.shared, **self.heads}
            norms = {name: _gradient_norm(own) for name, own in parameters.items()}
            scale = self.scaler.get_scale()
            norms = {name: norm / scale for name, norm in norms.items()}
            self.monitor.write_scalars("gradient_norm", norms, self.optimizer_step + 1)
        super().optimizers_step()

    def on_fit_batch_start(self, batch: MultilingualBatch, should_step: bool) -> None:
        """Tell the objectives how far training is."""
        for objective in self.modules.objectives.values():
            objective.begin_step(self.optimizer_step)

    @torch.no_grad()
    def evaluate_batch(self, batch: MultilingualBatch, stage: sb.Stage) -> Tensor:
        """Losses of one source's batch, and the hypotheses of its objectives that make text."""
        if self.termination.requested:
            self._stop_evaluation_if_requested(stage)
        [(source, part)] = batch.to(self.device).draws[0].items()
        self._seed(0, self.step)  # the same masks in every epoch
        with self.evaluation_ctx:
            frames, losses = self.compute_losses(source, part, self.hierarchy.objectives)
            options = (
                self.hparams.test_search if stage == sb.Stage.TEST else self.hparams.valid_search
            )
            for objective in self._objectives(source, self.evaluation.tokenizers):
                tokens = objective.search(frames, **options)
                self.evaluation.add_tokens(objective.name, tokens, part)
                self.evaluation.add_sample(source, part)
        values = {name: loss.item() for name, loss in losses.items()}
        self.evaluation.losses.add(values)
        return torch.tensor(list(values.values())).mean()

    def on_stage_start(self, stage: sb.Stage, epoch: int | None = None) -> None:
        """Forget the last evaluation."""
        if epoch is not None:  # a test has none
            self.epoch = epoch
        if stage == sb.Stage.TRAIN:
            self.cost.start()
            return
        self.evaluation = Evaluation(self.tokenizers if self._decodes(stage) else {})

    def _decodes(self, stage: sb.Stage) -> bool:
        """A validation without scores cannot make its checkpoint the best one."""
        every = 1 if stage == sb.Stage.TEST else self.hparams.decode_every
        return self.epoch == 1 or self.epoch % every == 0

    def on_stage_end(self, stage: sb.Stage, stage_loss: float, epoch: int | None = None) -> None:
        """Log an epoch and save its checkpoint, or write the test results."""
        if stage == sb.Stage.TRAIN:
            self._end_training(self.epoch)
            return
        self._stop_evaluation_if_requested(stage)
        evaluation = self.evaluation.joined()
        report = results(evaluation.hypotheses)
        if stage == sb.Stage.VALID:
            self._end_validation(self.epoch, evaluation, report)
        elif if_main_process():
            RunFolder(self.hparams.output_folder).write_results(report, evaluation.hypotheses)
            print(results_table(report), flush=True)

    def _end_training(self, epoch: int) -> None:
        """The epoch's means, and the layers that conflict in it."""
        if self.checkpointer is not None:  # a validation may take longer than a step
            self._save_intra_epoch_ckpt()
        self.gradient.clear()  # an incomplete accumulation, as SpeechBrain drops it
        self.train_stats = self.train_losses.joined().summary()
        self.train_losses.clear()
        cosines = self.cosines.over_processes()
        self.cosines.clear()
        if cosines:
            self._select_layers(epoch, mean_per_layer(cosines))
            self.monitor.write_conflicts(cosines, epoch)
            self.monitor.write_selection(self.gradient.selection, list(cosines), epoch)

    def _select_layers(self, epoch: int, similarities: Mapping[str, float]) -> None:
        selection = self.gradient.selection
        selected = selection.update(epoch, similarities)
        if selected is not None:
            under = sum(value < selection.threshold for value in similarities.values())
            values = ", ".join(f"{layer} ({similarities[layer]:+.3f})" for layer in selected)
            logger.info(
                f"Epoch {epoch}: {len(selected)} of {len(similarities)} layers selected, {under} "
                f"are under the threshold {selection.threshold}: {values or 'none'}"
            )

    def _end_validation(self, epoch: int, evaluation: Evaluation, report: dict) -> None:
        """The epoch's log and checkpoint."""
        valid_losses = evaluation.losses.summary()
        self.monitor.write_epoch(
            epoch,
            dict(zip(self.hierarchy.penalty_names, self.hierarchy.penalties(epoch), strict=True)),
            self.lambdas(),
            {name: made.param_groups[0]["lr"] for name, made in self.optimizers_dict.items()},
            self.train_stats,
            valid_losses,
            report,
        )
        audio = evaluation.samples if epoch == 1 else {}  # it is the same in every epoch
        self.monitor.write_samples(evaluation.hypotheses, audio, epoch)
        self.monitor.write_scalars("cost", self.cost.stop(torch.device(self.device)), epoch)
        self.hierarchy.record_validation(valid_losses)
        meta = {"epoch": epoch, "WER": report.get("wer_mean"), "BLEU": report.get("bleu_mean")}
        meta["loss"] = float(np.mean(list(valid_losses.values())))
        primary = self.hierarchy.levels[0].names
        meta |= primary_score(primary, evaluation.hypotheses, valid_losses)
        known = {key: value for key, value in meta.items() if value is not None}
        kept = self.hparams.checkpoints_to_keep
        save_epoch(self.checkpointer, known, kept, **self.primary_metric())
        self._stop_if_requested(f"epoch {epoch}")

    def primary_metric(self) -> dict[str, str]:
        """How the best checkpoint is found, see `vmsp_brain.run.primary.primary_metric`."""
        return primary_metric(self.hierarchy.levels[0].names)

    # ---------------------------------------------------------------- processes, data, randomness

    def _wrap_distributed(self) -> None:
        """Start all processes from the same weights.

        DDP's hooks do not fire for ``torch.autograd.grad``, so the modules stay unwrapped and the
        combined gradient is reduced in `combine_gradients`.
        """
        processes.share_weights(self.modules)

    def _train_loader_specifics(self, dataset: Dataset, loader_kwargs: dict) -> dict:
        self.train_sampler = loader_kwargs["batch_sampler"]  # shards and shuffles by itself
        return loader_kwargs

    def _should_save_intra_epoch_ckpt(self, last_ckpt_time: float, steps_since_ckpt: int) -> bool:
        if self.step % self.grad_accumulation_factor:
            return False  # accumulated gradients are not in a checkpoint: wait until they are used
        due = super()._should_save_intra_epoch_ckpt(last_ckpt_time, steps_since_ckpt)
        if self.checkpointer is None:
            self._stop_if_requested(f"epoch {self.epoch}, step {self.step}")
            return False
        return due or processes.any_of(self.termination.requested, self.device)

    def _save_intra_epoch_ckpt(self) -> None:
        super()._save_intra_epoch_ckpt()
        self._stop_if_requested(f"epoch {self.epoch}, step {self.step}")

    def _stop_evaluation_if_requested(self, stage: sb.Stage) -> None:
        """Every process comes here once in an evaluation: at its end, or when asked to stop."""
        is_test = stage == sb.Stage.TEST
        self._stop_if_requested("the test" if is_test else f"the validation of epoch {self.epoch}")

    def _stop_if_requested(self, where: str) -> None:
        """Every process comes here; if any of them was asked to, all end."""
        if processes.any_of(self.termination.requested, self.device):
            saved = "a checkpoint was saved. Give the same command to go on."
            saved = "nothing was saved." if self.checkpointer is None else saved
            self.termination.stop(f"{where}; {saved}")

    def _common_seed(self) -> int:
        """Of this optimizer step, the same in all processes."""
        sequence = np.random.SeedSequence([self.hparams.seed, self.optimizer_step])
        return int(sequence.generate_state(1, np.uint64)[0])

    def _seed(self, *position: int) -> None:
        sequence = np.random.SeedSequence([self.hparams.seed, processes.rank(), *position])
        torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0]))
        np.random.seed(sequence.generate_state(2)[1])  # transformers' masks draw from numpy


def _has_targets(objective: Objective, part: PaddedBatch) -> bool:
    """Whether a batch holds anything to learn from, such as one clip with this translation: else
    the loss, zero, would count in the means."""
    texts = getattr(part, text_key(objective.name), None)  # self-supervision has none
    return texts is None or any(texts)


def _gradient_norm(parameters: list[nn.Parameter]) -> float:
    gradients = [p.grad for p in parameters if p.grad is not None]
    return float(torch.nn.utils.get_total_norm(gradients))


def _save_state(hierarchy: Hierarchy, path: Path) -> None:
    if if_main_process():
        torch.save(hierarchy.state_dict(), path)


def _load_state(hierarchy: Hierarchy, path: Path, end_of_epoch: bool) -> None:
    hierarchy.load_state_dict(torch.load(path, weights_only=True))
