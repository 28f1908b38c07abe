"""`VMSPBrain`: SpeechBrain's Brain with the multilevel gradient step of VM-MSP.

This is the one place that knows both the speech side (encoder, objectives, batches) and the
algorithmic side (gradient rows, hierarchy).
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.logger import get_logger
from torch import Tensor, nn

from vmsp_brain import processes
from vmsp_brain.data.batches import MultilingualBatch
from vmsp_brain.data.tokenizers import Tokenizer
from vmsp_brain.data.wav_augment import augment_waveforms
from vmsp_brain.encoders.compilation import compile_layers
from vmsp_brain.encoders.interface import check_layers
from vmsp_brain.method.conflict import Conflicts
from vmsp_brain.method.hierarchy import Hierarchy
from vmsp_brain.method.rows import distinct, gradient_norm
from vmsp_brain.method.step import GradientStep
from vmsp_brain.objectives import Objective, by_source
from vmsp_brain.objectives.losses import encode, has_targets, inner_layers, read_losses
from vmsp_brain.run.averaging_brain import AveragingBrain
from vmsp_brain.run.checkpoints import add_states, save_epoch
from vmsp_brain.run.cost import EpochCost
from vmsp_brain.run.epoch_sums import EpochProducts
from vmsp_brain.run.evaluation import Evaluation
from vmsp_brain.run.out_of_memory import out_of_memory_names_the_batch
from vmsp_brain.run.primary import epoch_scores, primary_metric
from vmsp_brain.run.running_means import RunningMeans
from vmsp_brain.run.scores import results
from vmsp_brain.watch.monitor import Monitor

logger = get_logger(__name__)


class VMSPBrain(AveragingBrain):
    """Trains a shared encoder under a hierarchy of objectives.

    A step goes source by source: one encoder forward for each draw, the losses of all objectives of
    that source from the same hidden states, and each loss's gradient on its own: the part of the
    objective's head goes to the head's ``.grad``, unweighted; the encoder's part to the gradient
    step (`vmsp_brain.method.step`), which finds every level's λ and combines the gradients into
    the encoder's ``.grad``. With gradient accumulation the rows are averaged over the micro-batches
    first, which is the step of one batch of that size.

    Between processes, the Gramians (or G λ, or sketched rows, see `GradientStep.gramians`) and the
    combined gradient are averaged: λ is the same everywhere. Each evaluates its share of batches.

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
        schedulers, called with an optimizer and the steps so far), ``gradient_step`` (makes a
        `GradientStep` of the hierarchy and the encoder's layers), ``decode_every`` (epochs from one
        validation that decodes to the next), ``valid_search`` and ``test_search`` (keyword
        arguments of the objectives' ``search``), ``checkpoints_to_keep`` (so many of the best and
        of the last), ``train_logger``, ``tensorboard_logger`` and, if wanted, ``wav_augment``.
    run_opts, checkpointer, ...
        As for SpeechBrain's Brain.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        hierarchy: Hierarchy,
        tokenizers: Mapping[str, Tokenizer],
        hparams: Mapping,
        run_opts: Mapping | None = None,
        checkpointer: Checkpointer | None = None,
    ) -> None:
        super().__init__(modules, None, hparams, run_opts, checkpointer)
        self.hierarchy = hierarchy
        self.tokenizers = tokenizers
        self.objectives_of = by_source(self.modules.objectives.values())
        layers = self.modules.encoder.layers()
        check_layers(self.modules.encoder)
        self.gradient: GradientStep = self.hparams.gradient_step(hierarchy, layers)
        self.heads = {
            name: [parameter for parameter in objective.parameters() if parameter.requires_grad]
            for name, objective in self.modules.objectives.items()
        }
        self.train_losses, self.products = RunningMeans(), EpochProducts()
        self.cost = EpochCost()
        self.monitor = Monitor(self.hparams)
        if checkpointer is not None:
            sums = {"train_losses": self.train_losses, "products": self.products, "cost": self.cost}
            checkpointer.add_recoverables(sums)
            add_states(checkpointer, hierarchy=hierarchy, selection=self.gradient.selection)

    # ---------------------------------------------------------------- the step

    def fit_batch(self, batch: MultilingualBatch) -> Tensor:
        """One step of VM-MSP (or one micro-batch of it); the mean loss, on the CPU."""
        should_step = (self.step % self.grad_accumulation_factor) == 0
        self.on_fit_batch_start(batch, should_step)
        self.seed_from(self.epoch, self.step)
        losses = self.collect_gradients(batch.to(self.device, non_blocking=True))
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
        scales = 1.0 / self.grad_accumulation_factor, self.scaler.get_scale()
        collected: list[dict[str, Tensor]] = [{} for _ in batch.draws]
        for draw, sources in enumerate(batch.draws):
            for source, part in sources.items():
                with out_of_memory_names_the_batch(source, part):
                    for name, loss in self._collect_source(draw, source, part, scales).items():
                        collected[draw][name] = collected[draw].get(name, 0.0) + loss
        return read_losses(collected)

    def _collect_source(
        self, draw: int, source: str, part: PaddedBatch, scales: tuple[float, float]
    ) -> dict[str, Tensor]:
        trained = self.hierarchy.trained(self.epoch)
        heard = (objective for objective in self.objectives_of[source] if objective.name in trained)
        objectives = [objective for objective in heard if has_targets(objective, part)]
        if not objectives:
            return {}
        augment_waveforms(part, getattr(self.hparams, "wav_augment", None))
        started = self.gradient.forward(draw, len(objectives), *scales, inner_layers(objectives))
        with self.training_ctx, started as forward:
            frames = encode(self.modules.encoder, objectives, part)

        def differentiate(objective: Objective) -> Tensor:
            with self.training_ctx:
                loss = objective.loss(frames, part)
            head = self.heads[objective.name]
            share = 1.0 / len(objective.sources)
            self.gradient.add(forward, objective.name, self.scaler.scale(loss), head, share)
            return loss.detach() * share

        # One head's graph at a time: it is free before the next one's is made.
        return {objective.name: differentiate(objective) for objective in objectives}

    def combine_gradients(self) -> None:
        """From the gradients to λ, to the encoder's ``.grad``, to the optimizers' step."""
        plan = self.gradient.plan
        products = self.gradient.products() if plan.measures else None
        mean = partial(processes.mean, device=self.device)
        gramians, losses = self.gradient.gramians(mean), self.gradient.losses(mean)
        self.hierarchy.update_lambdas(gramians, self.common_seed(), losses, self.epoch)
        self.gradient.combine(self.scaler.get_scale())
        trained = self.hierarchy.trained(self.epoch)
        heads = distinct(self.heads[name] for name in self.heads if name in trained)
        processes.average_gradients([*self.gradient.shared, *heads])
        if all(parameter.grad is None for parameter in self.modules.parameters()):
            return  # no loss was finite, and each was counted
        # A gradient scaler skips a step that is not finite, and lowers its scale, by itself.
        norm = gradient_norm(self.modules.parameters())
        if not self.scaler.is_enabled() and not np.isfinite(norm):
            self._count_nonfinite("the gradient of finite losses", "the step is left out")
            self.zero_grad(set_to_none=True)
            return
        if products is not None and products.isfinite().all():
            self.products.add(products)
        self.hparams.encoder_lr_schedule(self.optimizers_dict["encoder"], self.optimizer_step)
        self.hparams.head_lr_schedule(self.optimizers_dict["heads"], self.optimizer_step)
        self.optimizers_step()
        if plan.shows:
            self.monitor.write_lambdas(self.hierarchy.lambdas, self.optimizer_step)

    def _finite(self, losses: list[dict[str, float]]) -> list[dict[str, float]]:
        """The losses that are finite; others are named, and end the run when patience does."""
        finite = [{n: loss for n, loss in draw.items() if np.isfinite(loss)} for draw in losses]
        names = {n for draw, kept in zip(losses, finite, strict=True) for n in draw.keys() - kept}
        if names:
            named = ", ".join(name for name in self.hierarchy.objectives if name in names)
            self._count_nonfinite(
                f"the loss of {named}", "it is left out of the step, its level's λ rests"
            )
        return finite

    def _count_nonfinite(self, what: str, consequence: str) -> None:
        logger.warning(
            f"Epoch {self.epoch}, step {self.step}: {what} is not finite; {consequence} "
            f"({self.nonfinite_count + 1} of at most {self.nonfinite_patience} in an epoch)."
        )
        self.check_loss_isfinite(torch.tensor(torch.nan))

    # ---------------------------------------------------------------- SpeechBrain's hooks

    def init_optimizers(self) -> None:
        """One optimizer for the encoder and one for the heads, each clipped and stepped whole."""
        self.optimizers_dict = {
            "encoder": self.hparams.encoder_opt_class(self.gradient.shared),
            "heads": self.hparams.head_opt_class(distinct(self.heads.values())),
        }
        if self.checkpointer is not None:
            for name, optimizer in self.optimizers_dict.items():
                self.checkpointer.add_recoverable(f"{name}_optimizer", optimizer)

    def _compile(self) -> None:
        """With ``--compile``: the encoder's layers, in torch's default mode.

        SpeechBrain's default, CUDA graphs, asks for one shape of batch.
        """
        keys = set(self.compile_module_keys or ["encoder"])
        if self.jit or self.jit_module_keys or keys != {"encoder"}:
            raise ValueError(
                "--jit and --compile_module_keys: only the encoder can be compiled, by "
                "torch.compile. Give --compile alone."
            )
        if self.compile:
            dynamic = self.compile_using_dynamic_shape_tracing
            compile_layers(self.modules.encoder.layers(), dynamic=dynamic)

    def optimizers_step(self) -> None:
        """SpeechBrain's, after showing the gradients' norms in measuring steps, before clipping."""
        if self.gradient.plan.shows:
            parts = {"encoder": self.gradient.shared, **self.heads}
            scale = self.scaler.get_scale()
            norms = {name: gradient_norm(part) / scale for name, part in parts.items()}
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
            self.stop_evaluation_if_requested(stage)
        [(source, part)] = batch.to(self.device, non_blocking=True).draws[0].items()
        self.seed_from(0, self.step)  # the same masks in every epoch
        search = self.hparams.test_search if stage == sb.Stage.TEST else self.hparams.valid_search
        with self.evaluation_ctx:
            objectives = [self.tested.objectives[each.name] for each in self.objectives_of[source]]
            return self.evaluation.add(self.tested.encoder, objectives, source, part, search)

    def on_stage_start(self, stage: sb.Stage, epoch: int | None = None) -> None:
        """Forget the last evaluation."""
        super().on_stage_start(stage, epoch)
        if stage == sb.Stage.TRAIN:
            self.cost.start()
            return
        # A validation without scores cannot make its checkpoint the best one.
        decodes = stage == sb.Stage.TEST or self.epoch == 1
        decodes = decodes or self.epoch % self.hparams.decode_every == 0
        self.evaluation = Evaluation(self.tokenizers if decodes else {})

    def on_stage_end(self, stage: sb.Stage, stage_loss: float, epoch: int | None = None) -> None:
        """Log an epoch and save its checkpoint, or write the test results."""
        if stage == sb.Stage.TRAIN:
            self._end_training(self.epoch)
            return
        self.stop_evaluation_if_requested(stage)
        evaluation = self.evaluation.joined()
        report = results(evaluation.hypotheses, vars(self.hparams))
        if stage == sb.Stage.VALID:
            self._end_validation(self.epoch, evaluation, report)
        else:
            self.monitor.write_test(report, evaluation.hypotheses)

    def _end_training(self, epoch: int) -> None:
        """The epoch's means, and the layers that conflict in it."""
        if self.checkpointer is not None:  # a validation may take longer than a step
            self._save_intra_epoch_ckpt()
        self.gradient.clear()  # an incomplete accumulation, as SpeechBrain drops it
        self.train_stats = self.train_losses.joined().summary()
        self.train_losses.clear()
        sample = self.products.joined()
        self.products.clear()
        trained = self.hierarchy.trained(epoch)
        if len(sample) and len(trained) > 1:  # else there is no pair
            layers = self.gradient.parameters
            conflicts = Conflicts(sample, layers, self.hierarchy.objectives, trained)
            means = conflicts.means()
            self.gradient.end_epoch(epoch, means, sample)
            self.monitor.write_conflicts(conflicts, epoch)
            self.monitor.write_selection(self.gradient.selection, means, epoch)

    def _end_validation(self, epoch: int, evaluation: Evaluation, report: dict) -> None:
        """The epoch's log and checkpoint."""
        rates = {name: made.param_groups[0]["lr"] for name, made in self.optimizers_dict.items()}
        cost = self.cost.stop(torch.device(self.device))
        self.monitor.write_epoch(
            epoch, self.hierarchy, rates, self.train_stats, evaluation, report, cost
        )
        losses = evaluation.losses.summary()
        self.hierarchy.record_validation(losses)
        primary = self.hierarchy.levels[0].names
        meta = {"epoch": epoch, **epoch_scores(primary, report, evaluation.hypotheses, losses)}
        kept = self.hparams.checkpoints_to_keep
        save_epoch(self.checkpointer, meta, kept, **self.primary_metric())
        self.stop_if_requested(f"epoch {epoch}")

    def primary_metric(self) -> dict[str, str]:
        """How the best checkpoint is found, see `vmsp_brain.run.primary.primary_metric`."""
        return primary_metric(self.hierarchy.levels[0].names)

    def _wrap_distributed(self) -> None:
        """Equal weights, but no DDP, whose hooks do not fire for ``torch.autograd.grad``."""
        processes.share_weights(self.modules)
