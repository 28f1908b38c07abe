"""What an experiment declares of its data fits together."""

import pytest

from tests.helpers.untrained_runs import make_untrained_run, write_manifests
from vmsp_brain.data.loading import load_data
from vmsp_brain.data.vocabularies import load_tokenizers
from vmsp_brain.use.evaluation import ModelTest


def test_a_cache_in_processes_that_forget_it_is_refused_before_anything_is_read():
    hparams = {"cache_audio": True, "num_workers": 2}
    with pytest.raises(ValueError, match=r"cache_audio: found True with num_workers: 2"):
        load_data(hparams, {})


@pytest.mark.parametrize(
    ("only", "tested"), [("st/es-en", {"bleu": {"es-en"}}), ("asr/*", {"wer": {"es", "it"}})]
)
def test_what_no_objective_learns_from_is_not_read(tmp_path, only, tested):
    write_manifests(tmp_path / "manifests", ["es", "it"])
    hparams = make_untrained_run(
        tmp_path / "run", tmp_path / "manifests", "--languages=[es,it]", "--pairs=[es-en,it-en]",
        f"--only=[{only}]", file="baselines/single_task.yaml",
        scores=[{"primary_WER": 90.0, "primary_BLEU": 1.0}],
    )  # fmt: skip
    hparams["num_workers"] = 0
    tokenizers = load_tokenizers(hparams)
    data = load_data(hparams, tokenizers)
    languages = {"es"} if only == "st/es-en" else {"es", "it"}
    for split in ("train", "dev", "test"):
        batches = data[split].loader_kwargs["batch_sampler"]
        assert {source for batch in batches for _, source, _ in batch} == languages, split
    report = ModelTest(str(tmp_path / "run")).run()
    assert {key: set(report[key]) for key in ("wer", "bleu") if report.get(key)} == tested
    assert {*tokenizers} == {*hparams["objectives"]}
    with pytest.raises(ValueError, match=r"unlabelled_folders: found .*no objective learns"):
        load_data({**hparams, "unlabelled_folders": [str(tmp_path)]}, tokenizers)


def test_only_what_is_not_there_is_refused(tmp_path):
    write_manifests(tmp_path / "manifests", ["es"])
    with pytest.raises(ValueError, match=r"only: found ssl, expected, .* asr/es, st/es-en"):
        make_untrained_run(
            tmp_path / "run", tmp_path / "manifests", "--languages=[es]", "--pairs=[es-en]",
            "--only=[ssl]", file="baselines/single_task.yaml",
        )  # fmt: skip


def test_what_is_too_long_for_the_encoder_when_it_is_played_slowly_is_refused(tmp_path):
    write_manifests(tmp_path / "manifests", ["es"])
    hparams = make_untrained_run(
        tmp_path / "run", tmp_path / "manifests", "--languages=[es]", "--pairs=[es-en]",
    )  # fmt: skip
    hparams["num_workers"] = 0
    hparams["encoder"].max_seconds = 0.52
    tokenizers = load_tokenizers(hparams)
    load_data(hparams, tokenizers)
    load_data({**hparams, "wav_augment": {"speeds": [98, 200]}}, tokenizers)
    with pytest.raises(ValueError, match=r"es, train: 20 utterances are longer than the 0\.5 s"):
        load_data({**hparams, "wav_augment": {"speeds": [90, 100]}}, tokenizers)


@pytest.mark.parametrize("dynamic", [False, True])
def test_an_epoch_of_the_curriculum_goes_from_short_to_long(tmp_path, dynamic):
    write_manifests(tmp_path / "manifests", ["es"])
    path = tmp_path / "manifests" / "es_train.csv"
    header, *rows = path.read_text().splitlines()
    seconds = [0.5 + 0.1 * (7 * number % len(rows)) for number in range(len(rows))]
    timed = [row.replace(",0.5,", f",{own:.1f},") for row, own in zip(rows, seconds, strict=True)]
    path.write_text("\n".join([header, *timed]) + "\n")
    hparams = make_untrained_run(
        tmp_path / "run", tmp_path / "manifests", "--languages=[es]", "--pairs=[es-en]",
        "--curriculum_epochs=1",
    )  # fmt: skip
    hparams |= {"num_workers": 0, "dynamic_batching": dynamic, "max_batch_length": 4.0}
    data = load_data(hparams, load_tokenizers(hparams))["train"]
    sampler = data.loader_kwargs["batch_sampler"]
    ascends = {}
    for epoch in (1, 2):
        sampler.set_epoch(epoch)
        longest = [max(seconds[i] for _, name, i in keys if name == "es") for keys in sampler]
        ascends[epoch] = longest == sorted(longest)
    assert ascends == {1: True, 2: False}


def test_views_are_compared_in_training_batches_alone_and_need_an_augmentation(tmp_path):
    write_manifests(tmp_path / "manifests", ["es"])
    hparams = make_untrained_run(
        tmp_path / "run", tmp_path / "manifests", "--languages=[es]", "--pairs=[es-en]",
        "--objectives={recognition: {consistency_weight: 0.2}}",
    )  # fmt: skip
    hparams["num_workers"] = 0
    tokenizers = load_tokenizers(hparams)
    hparams["encoder"].augments = True
    data = load_data(hparams, tokenizers)
    sizes = {}
    for split in ("train", "dev"):
        keys = next(iter(data[split].loader_kwargs["batch_sampler"]))
        batch = data[split].loader_kwargs["collate_fn"]([data[split].dataset[key] for key in keys])
        for source, part in batch.draws[0].items():
            read = sum(key[:2] == (0, source) for key in keys)
            sizes[split, source] = len(part.id) / read
    assert sizes["train", "es"] == 2
    assert {size for key, size in sizes.items() if key != ("train", "es")} == {1}
    hparams["encoder"].augments = False
    with pytest.raises(ValueError, match="consistency_weight: found more than 0, but the encoder"):
        load_data(hparams, tokenizers)
