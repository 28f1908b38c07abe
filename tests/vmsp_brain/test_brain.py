"""The gradient step against oracles made of plain separate backward passes."""

import math
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from speechbrain import Stage
from torchjd.aggregation import UPGradWeighting

from tests.helpers.oracles import (
    assert_close,
    assert_steps_are_the_oracles,
    lambdas_of,
    make_batch,
    make_brain,
    make_items,
    oracle_gradients,
    oracle_step,
    step_gradients,
)
from tests.helpers.small_models import ENCODERS, SSL
from vmsp_brain.brain import VMSPBrain
from vmsp_brain.data.batches import MultilingualBatch
from vmsp_brain.method.hierarchy import Level
from vmsp_brain.method.penalties import ConstantPenalty
from vmsp_brain.names import text_key
from vmsp_brain.run.checkpoints import AtomicCheckpointer
from vmsp_brain.run.evaluation import Evaluation
from vmsp_brain.run.scores import Hypothesis, results

CASES = [
    ("UAS", ["en", "fr", "de"], ["fr-en", "de-en"]),
    ("USA", ["en", "fr", "de"], ["fr-en", "de-en"]),
    ("UAS", ["fr", "de"], ["fr-en", "fr-de", "de-en"]),
    ("USA", ["en", "fr"], ["fr-en"]),
]


ONE_CASE = ("UAS", ["en", "fr"], ["fr-en"])
MODELS = [
    (*ONE_CASE, encoder, ssl)
    for encoder in ENCODERS
    for ssl in SSL
    if (encoder, ssl) != ("conformer", "wav2vec2")  # those of all CASES
]


@pytest.mark.parametrize(
    ("order", "languages", "pairs", "encoder", "ssl"),
    [*((*case, "conformer", "wav2vec2") for case in CASES), *MODELS],
)
def test_gradients_and_lambda_are_those_of_separate_backward_passes(
    order, languages, pairs, encoder, ssl
):
    brain = make_brain(order, languages, pairs, encoder, ssl)
    assert_steps_are_the_oracles(brain)
    spread = max(float(values.max() - values.min()) for values in lambdas_of(brain))
    assert spread > 0.01, "γ is too small for λ to tell anything"


def test_the_loss_of_language_identification_is_the_mean_over_all_languages():
    """Its row is collected from every language's forward, which it shares."""
    brain = make_brain("UAS", ["en", "fr", "de"], ["fr-en"], heads={"lid": True})
    assert brain.hierarchy.levels[-1].names == ["lid"]
    calls = []
    brain.modules.encoder.register_forward_hook(lambda *_: calls.append(1))
    brain.on_stage_start(Stage.TRAIN, 7)
    batch = make_batch(brain)
    gradients = oracle_gradients(brain, batch)
    calls.clear()
    expected, lambdas = oracle_step(brain, [gradients], lambdas_of(brain))
    assert expected["objectives.lid.output.w.weight"].norm() > 1e-3
    assert_close(step_gradients(brain, batch), expected)
    for found, value in zip(lambdas_of(brain), lambdas, strict=True):
        torch.testing.assert_close(found, value, rtol=1e-5, atol=1e-7)
    assert len(calls) == 2 * 3  # draws x languages, as without it
    assert brain.train_losses.counts["lid"] == 2
    assert brain.train_losses.summary()["lid"] == pytest.approx(math.log(3), rel=0.5)


def test_a_level_that_takes_losses_is_told_the_mean_loss_of_language_identification():
    level = Level(["*", "lid"], scale_by="loss")
    brain = make_brain([level], ["en", "fr"], [], heads={"lid": True})
    told = {}
    brain.hierarchy.update_lambdas = lambda gramians, seed, losses, epoch: told.update(
        zip(brain.hierarchy.objectives, losses.tolist(), strict=True)
    )
    step_gradients(brain, make_batch(brain))
    assert told == pytest.approx(brain.train_losses.summary(), rel=1e-5)
    assert "lid" in told


@pytest.mark.parametrize("changed", [0, 1])
def test_each_draw_changes_the_update(changed: int):
    seeds = [1, 2]
    reference = make_brain("UAS", ["en", "fr"], ["fr-en"])
    before = step_gradients(reference, make_batch(reference, *seeds))
    seeds[changed] = 9
    brain = make_brain("UAS", ["en", "fr"], ["fr-en"])
    after = step_gradients(brain, make_batch(brain, *seeds))
    for name in before:
        if before[name].norm() > 0:
            assert not torch.allclose(before[name], after[name]), name
    assert not torch.equal(lambdas_of(reference)[0], lambdas_of(brain)[0])


def test_accumulation_averages_the_rows_over_the_micro_batches():
    brain = make_brain("UAS", ["en", "fr"], ["fr-en"], grad_accumulation_factor=2)
    brain.step = 0
    batches = [make_batch(brain, 1, 2), make_batch(brain, 3, 4)]
    gradients = {}
    for batch in batches:
        for key, value in oracle_gradients(brain, batch).items():
            total = gradients.setdefault(key, {k: torch.zeros_like(v) for k, v in value.items()})
            for name in value:
                total[name] += value[name] / 2
        brain.step += 1
    brain.step = 0
    expected, lambdas = oracle_step(brain, [gradients], lambdas_of(brain))
    assert_close(step_gradients(brain, *batches), expected)
    torch.testing.assert_close(lambdas_of(brain)[0], lambdas[0], rtol=1e-5, atol=1e-7)


def test_a_gradient_scaler_changes_neither_lambda_nor_the_unscaled_update():
    plain = make_brain("UAS", ["en", "fr"], ["fr-en"])
    expected = step_gradients(plain, make_batch(plain))
    scaled = make_brain("UAS", ["en", "fr"], ["fr-en"])
    scaled.scaler = torch.GradScaler("cpu", init_scale=1024.0)
    found = step_gradients(scaled, make_batch(scaled))
    assert_close({name: value / 1024 for name, value in found.items()}, expected)
    assert scaled.hierarchy.lambdas == pytest.approx(plain.hierarchy.lambdas, rel=1e-6)


def test_a_draw_without_targets_counts_in_no_mean():
    """It has no loss; its row is zero."""
    brain = make_brain("UAS", ["en", "fr"], ["fr-en"])
    items = make_items(brain, 0, 1) + make_items(brain, 1, 2)
    for draw, source, item in items:
        if (draw, source) == (0, "fr"):
            item |= {"st/fr-en": item["st/fr-en"][:0], text_key("st/fr-en"): ""}
    batch = MultilingualBatch(items)
    gradients = oracle_gradients(brain, batch)
    expected, lambdas = oracle_step(brain, [gradients], lambdas_of(brain))
    assert_close(step_gradients(brain, batch), expected)
    for found, value in zip(lambdas_of(brain), lambdas, strict=True):
        torch.testing.assert_close(found, value, rtol=1e-5, atol=1e-7)
    assert brain.train_losses.counts == {"asr/en": 2, "asr/fr": 2, "st/fr-en": 1, "ssl": 2}
    brain.hparams.valid_search = {}
    brain.on_stage_start(Stage.VALID, 1)
    for draw in (0, 1):
        french = [(0, source, item) for d, source, item in items if (d, source) == (draw, "fr")]
        brain.evaluate_batch(MultilingualBatch(french), Stage.VALID)
    assert brain.evaluation.losses.counts == {"asr/fr": 2, "st/fr-en": 1}
    assert all(value > 0.5 for value in brain.evaluation.losses.summary().values())


def test_one_encoder_forward_serves_all_objectives_of_a_source():
    brain = make_brain("UAS", ["en", "fr"], ["fr-en", "fr-de"])
    calls = []
    brain.modules.encoder.register_forward_hook(lambda *_: calls.append(1))
    step_gradients(brain, make_batch(brain))
    assert len(calls) == 2 * 2  # draws x languages; SSL calls the encoder's halves


def test_a_step_moves_the_encoder_and_every_head():
    brain = make_brain("UAS", ["en", "fr"], ["fr-en"])
    before = {name: p.clone() for name, p in brain.modules.named_parameters()}
    brain.step += 1
    brain.fit_batch(make_batch(brain))
    still = {name for name, p in brain.modules.named_parameters() if torch.equal(before[name], p)}
    trainable = {name for name, p in brain.modules.named_parameters() if p.requires_grad}
    assert brain.optimizer_step == 1
    # A key's bias shifts all attention scores alike, and unseen tokens have no gradient.
    assert not {name for name in still & trainable if "emb" not in name and "bias" not in name}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_left_out_and_named(caplog, bad):
    brain = make_brain("UAS", ["en", "fr"], ["fr-en"], nonfinite_patience=1)
    brain.nonfinite_count = 0
    objective = brain.modules.objectives["asr/fr"]
    loss, calls = objective.loss, []

    def sometimes_bad(frames, part):
        calls.append(1)
        return loss(frames, part) * (bad if len(calls) % 2 else 1.0)  # in the first draw

    batch = make_batch(brain)
    gradients = oracle_gradients(brain, batch)
    gradients[0, "asr/fr"] = {k: torch.zeros_like(v) for k, v in gradients[0, "asr/fr"].items()}
    _, lambdas = oracle_step(brain, [gradients], lambdas_of(brain))
    lambdas[0] = lambdas_of(brain)[0]  # rests: a row of the level's Gramian is missing
    objective.loss = sometimes_bad
    found = step_gradients(brain, batch)
    expected = {
        name: sum(
            weight * gradients[draw, objective][name] / 2
            for objective, weight in zip(
                brain.hierarchy.objectives, brain.hierarchy.weights(1).float(), strict=True
            )
            for draw in (0, 1)
        )
        for name in found
        if name.startswith("encoder.")
    }
    assert_close({name: found[name] for name in expected}, expected)
    for value, oracle in zip(lambdas_of(brain), lambdas, strict=True):
        torch.testing.assert_close(value.double(), oracle.double(), rtol=1e-5, atol=1e-7)
    assert "the loss of asr/fr is not finite" in caplog.text
    assert "asr/en" not in caplog.text
    assert all(math.isfinite(value) for value in brain.train_losses.summary().values())
    brain.step += 1
    with pytest.raises(ValueError, match="patience is exhausted"):
        brain.fit_batch(make_batch(brain))


def test_a_gradient_that_alone_is_not_finite_leaves_the_step_out(caplog):
    brain = make_brain("UAS", ["en", "fr"], ["fr-en"], nonfinite_patience=1)
    brain.nonfinite_count = 0
    before = {name: p.clone() for name, p in brain.modules.named_parameters()}
    weight = brain.modules.objectives["asr/fr"].ctc.w.weight
    weight.register_hook(lambda gradient: gradient * float("inf"))
    brain.step += 1
    brain.fit_batch(make_batch(brain))
    assert all(torch.equal(before[name], p) for name, p in brain.modules.named_parameters())
    assert "the gradient of finite losses is not finite" in caplog.text
    brain.step += 1
    with pytest.raises(ValueError, match="patience is exhausted"):
        brain.fit_batch(make_batch(brain))


@pytest.mark.parametrize("weights", [{"*": 1.0}, None], ids=["constant", "MoDo"])
def test_similarities_of_gradients_that_overflowed_are_not_counted(weights):
    """fp16: the scaler leaves such a step out, and goes on with a smaller scale."""
    brain = make_brain([Level(["*"], weights=weights)], ["en", "fr"], ["fr-en"])
    brain.scaler = torch.GradScaler("cpu", init_scale=1024.0)
    objective = brain.modules.objectives["asr/fr"]
    loss = objective.loss

    def overflows(frames, part):
        frames.data.register_hook(lambda gradient: gradient * torch.inf)
        return loss(frames, part)

    objective.loss = overflows
    brain.step += 1
    brain.fit_batch(make_batch(brain))
    assert len(brain.products) == 0
    objective.loss = loss
    brain.optimizer_step, brain.step = 0, 2
    brain.fit_batch(make_batch(brain))
    assert len(brain.products) == 1
    assert brain.products.sums.isfinite().all()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_when_no_loss_is_finite_nothing_moves_until_patience_ends(precision):
    brain = make_brain("UAS", ["en", "fr"], ["fr-en"], nonfinite_patience=2)
    brain.nonfinite_count = 0
    brain.scaler = torch.amp.GradScaler(device="cpu", enabled=precision == "fp16")
    before = {name: p.clone() for name, p in brain.modules.named_parameters()}
    for objective in brain.modules.objectives.values():
        objective.loss = lambda frames, part, loss=objective.loss: loss(frames, part) * torch.nan
    for _ in range(2):
        brain.step += 1
        brain.fit_batch(make_batch(brain))
    assert brain.optimizer_step == 0
    assert all(torch.equal(before[name], p) for name, p in brain.modules.named_parameters())
    brain.step += 1
    with pytest.raises(ValueError, match="patience is exhausted"):
        brain.fit_batch(make_batch(brain))


def test_batches_for_a_gpu_are_pinned():
    brain = make_brain("UAS", ["en", "fr"], ["fr-en"])
    for device, pinned in (("cpu", False), ("cuda", True)):
        brain.device = device
        options = {"batch_sampler": [], "collate_fn": MultilingualBatch}
        assert brain.make_dataloader([], Stage.TRAIN, **options).pin_memory == pinned


def test_checkpoints_wait_until_the_rows_are_used():
    brain = make_brain("UAS", ["en", "fr"], ["fr-en"], grad_accumulation_factor=2)
    brain.checkpointer, brain.ckpt_interval_steps = object(), 1
    brain.step = 1  # not a multiple of 2: gradients are only collected
    brain.fit_batch(make_batch(brain))
    assert brain.gradient.rows.layers
    assert not brain._should_save_intra_epoch_ckpt(0.0, 5)
    brain.step = 2
    brain.fit_batch(make_batch(brain))
    assert brain._should_save_intra_epoch_ckpt(0.0, 5)


def test_autocast_keeps_rows_and_update_in_float32_and_close():
    plain = make_brain("UAS", ["en", "fr"], ["fr-en"])
    expected = step_gradients(plain, make_batch(plain))
    brain = make_brain("UAS", ["en", "fr"], ["fr-en"], precision="bf16")
    found = step_gradients(brain, make_batch(brain))
    encoder = [name for name in expected if name.startswith("encoder.")]
    expected = torch.cat([expected[name].flatten() for name in encoder])
    found = torch.cat([found[name].flatten() for name in encoder])
    assert found.dtype == torch.float32
    assert torch.cosine_similarity(found, expected, dim=0) > 0.98
    assert found.norm() == pytest.approx(float(expected.norm()), rel=0.1)


def test_one_level_with_constant_weights_is_joint_training():
    weights = {"asr/*": 1.0, "st/*": 0.5, "ssl": 0.1}
    brain = make_brain([Level(["*"], weights=weights)], ["en", "fr"], ["fr-en"])
    batch = make_batch(brain)
    gradients = oracle_gradients(brain, batch)
    found = step_gradients(brain, batch)
    for key, value in found.items():
        if key.startswith("encoder."):
            joint = sum(
                weights[name if name == "ssl" else f"{name[: name.index('/')]}/*"] * g[key] / 2
                for (_, name), g in gradients.items()
            )
            assert (value - joint).norm() <= 1e-5 * joint.norm() + 1e-8, key


def test_a_symmetric_weighting_sees_the_gramian_of_the_mean_gradients():
    seen = []

    class Spy(UPGradWeighting):
        def forward(self, gramian):
            seen.append(gramian)
            return super().forward(gramian)

    brain = make_brain([Level(["*"], Spy())], ["en", "fr"], ["fr-en"])
    batch = make_batch(brain)
    gradients = oracle_gradients(brain, batch)
    step_gradients(brain, batch)
    rows = [
        sum(
            torch.cat([g.flatten() for k, g in gradients[d, n].items() if k.startswith("encoder.")])
            for d in (0, 1)
        )
        / 2
        for n in brain.hierarchy.objectives
    ]
    expected = torch.stack(rows).double() @ torch.stack(rows).double().T
    torch.testing.assert_close(seen[0], expected, rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(seen[0], seen[0].T)


def test_an_encoder_whose_layers_leave_a_parameter_out_is_refused():
    brain = make_brain("UAS", ["en", "fr"], ["fr-en"])
    encoder = brain.modules.encoder
    layers = encoder.layers()
    del layers["norm"]
    encoder.layers = lambda: layers
    with pytest.raises(ValueError, match=r"leave out conformer\.encoder\.norm"):
        VMSPBrain(dict(brain.modules.items()), brain.hierarchy, {}, {}, {"device": "cpu"})


def test_training_in_stages_leaves_the_other_stages_objectives_alone():
    levels = [
        Level(["asr/*", "st/*"], weights={"*": 1.0}, epochs=(2, None)),
        Level(["ssl"], penalty=ConstantPenalty(1.0), epochs=(1, 1)),
    ]
    brain = make_brain(levels, ["en", "fr"], ["fr-en"])
    for epoch, ssl_is_trained in ((1, True), (2, False)):
        brain.on_stage_start(Stage.TRAIN, epoch)
        batch = make_batch(brain)
        gradients = oracle_gradients(brain, batch)
        found = step_gradients(brain, batch)
        for (_, name), of_objective in gradients.items():
            for key, value in of_objective.items():
                in_head = key.startswith("objectives.") and value.norm() > 0
                if in_head and (name == "ssl") != ssl_is_trained:
                    assert found[key].norm() == 0, (epoch, key)
        key = "encoder.conformer.encoder.norm.norm.weight"
        trained = [n for n in brain.hierarchy.objectives if (n == "ssl") == ssl_is_trained]
        expected = sum(gradients[draw, name][key] / 2 for draw in (0, 1) for name in trained)
        torch.testing.assert_close(found[key], expected, rtol=1e-5, atol=1e-8)


def test_the_best_checkpoint_is_the_best_of_the_primary_levels_own_languages(tmp_path):
    """As of `by_language.yaml`: English alone is primary, and the mean of all is another's best."""
    brain = make_brain([Level(["asr/en"]), Level(["*/fr*", "ssl"], penalty=ConstantPenalty(1.0))],
                       ["en", "fr"], ["fr-en"])  # fmt: skip
    brain.monitor, brain.cost, brain.train_stats = Mock(), Mock(), {}
    brain.checkpointer = AtomicCheckpointer(tmp_path, {"model": brain.modules})
    brain.hparams.checkpoints_to_keep = 1
    words = {1: ("a b c d", "x x x x"), 2: ("a b c x", "a b c d"), 3: ("a b x x", "a b c d")}
    for epoch, texts in words.items():
        evaluation = Evaluation({})
        for name, text in zip(("asr/en", "asr/fr"), texts, strict=True):
            evaluation.hypotheses[name] = [Hypothesis("1", "a b c d", text)]
        evaluation.losses.add({"asr/en": 1.0, "asr/fr": 1.0})
        brain._end_validation(epoch, evaluation, results(evaluation.hypotheses))
    best = brain.checkpointer.find_checkpoint(**brain.primary_metric())
    assert best.meta["epoch"] == 1
    assert best.meta["primary_WER"] == 0.0
    assert best.meta["WER"] == 50.0
    kept = brain.checkpointer.list_checkpoints()
    assert sorted(checkpoint.meta["epoch"] for checkpoint in kept) == [1, 3]


def test_only_a_validation_that_decodes_can_have_the_best_checkpoint(tmp_path):
    """Of every second epoch, and of the first: losses are those of all."""
    brain = make_brain("UAS", ["en", "fr"], ["fr-en"])
    brain.monitor, brain.cost, brain.train_stats = Mock(), Mock(), {}
    brain.checkpointer = AtomicCheckpointer(tmp_path, {"model": brain.modules})
    tokenizer = SimpleNamespace(decode=lambda tokens: ["text"] * len(tokens))
    brain.tokenizers = {"asr/en": tokenizer}
    vars(brain.hparams).update(valid_search={}, decode_every=2, checkpoints_to_keep=9)
    objective = brain.modules.objectives["asr/en"]
    searches = []
    objective.search = lambda frames: searches.append(brain.epoch) or [[4]] * len(frames.data)
    items = [item for item in make_items(brain, 0, 1) if item[1] == "en"]
    for epoch in range(1, 5):
        brain.on_stage_start(Stage.VALID, epoch)
        brain.evaluate_batch(MultilingualBatch(items), Stage.VALID)
        brain.on_stage_end(Stage.VALID, 0.0, epoch)
    assert searches == [1, 2, 4]
    found = {c.meta["epoch"]: c.meta for c in brain.checkpointer.list_checkpoints()}
    assert {epoch for epoch, meta in found.items() if "primary_WER" in meta} == {1, 2, 4}
    assert all(meta["loss"] > 0 for meta in found.values())
    assert brain.checkpointer.find_checkpoint(**brain.primary_metric()).meta["epoch"] != 3
    brain.epoch = 3  # a test is decoded whichever epoch's it is
    brain.on_stage_start(Stage.TEST)
    assert brain.evaluation.tokenizers


def test_running_out_of_memory_names_the_batch():
    brain = make_brain("UAS", ["en", "fr"], ["fr-en"])
    brain.modules.objectives["st/fr-en"].loss = lambda *_: torch.empty(2**60)
    message = r"batch of 2 utterances of fr, the longest of 0\.5 s \(fr1\)\. Lower max_batch_length"
    with pytest.raises(MemoryError, match=message):
        step_gradients(brain, make_batch(brain))
