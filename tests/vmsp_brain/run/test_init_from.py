"""What a run takes over from an earlier one means the same in both, and is said."""

import re
from pathlib import Path

import pytest
import torch

from tests.helpers.untrained_runs import experiment_of, make_untrained_run, write_manifests
from vmsp_brain.data.tokenizers import coverage, load_tokenizer
from vmsp_brain.data.vocabularies import train_tokenizers
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.init_from import (
    adopt_tokenizers,
    check_earlier_run,
    start_from_earlier_run,
)

LANGUAGES = ["en", "de", "it", "es"]


@pytest.fixture(scope="module")
def manifests(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("manifests")
    write_manifests(folder, LANGUAGES, targets=["en", "de"])
    return folder


@pytest.fixture(scope="module")
def earlier(tmp_path_factory, manifests: Path) -> Path:
    """A run that translates into English alone; its second epoch was its best."""
    folder = tmp_path_factory.mktemp("earlier") / "run"
    scores = [{"primary_WER": 90.0}, {"primary_WER": 40.0}, {"primary_WER": 70.0}]
    options = ("--languages=[en, de, it]", "--pairs=[de-en, it-en]")
    hparams = make_untrained_run(folder, manifests, *options, scores=scores)
    hparams["checkpointer"].save_checkpoint({}, end_of_epoch=False, name="within_epoch_4")
    return folder


def started(folder: Path, manifests: Path, earlier: Path, *options: str) -> dict:
    """What a run has before its first step."""
    _, hparams = experiment_of(folder, manifests, f"--init_from={earlier}", *options)
    check_earlier_run(hparams)
    adopt_tokenizers(hparams)
    train_tokenizers(hparams)
    start_from_earlier_run(hparams)
    return hparams


def loaded_heads(hparams: dict, checkpoint: Path) -> set[str]:
    saved = torch.load(checkpoint / "objectives.ckpt", weights_only=True)
    own = hparams["objectives"].state_dict()
    heads = {name.partition(".")[0] for name in own}
    same = {name for name in own if name in saved and torch.equal(own[name], saved[name])}
    return {h for h in heads if all(n in same for n in own if n.startswith(f"{h}."))}


def test_new_target_languages_are_refused_where_the_vocabulary_lacks_their_letters(
    manifests, earlier, tmp_path
):
    with pytest.raises(ValueError, match=r"init_from: st/en-de: st_joint\.model lacks") as refused:
        started(
            tmp_path / "run", manifests, earlier, "--languages=[en, de]", "--pairs=[de-en, en-de]"
        )
    for words in ("19 of 20 sentences", "expected at most 0.10%", "st_vocabulary=separate", "ü"):
        assert words in str(refused.value)
    assert not RunFolder(tmp_path / "run").tokenizers.exists(), "nothing is adopted"


def test_the_advice_of_the_refusal_works(manifests, earlier, tmp_path, capsys):
    hparams = started(
        tmp_path / "run", manifests, earlier, "--languages=[en, de]", "--pairs=[de-en, en-de]",
        "--st_vocabulary=separate",
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert "Heads of another vocabulary than this run's start new: st/de-en." in printed
    assert "New heads: st/de-en, st/en-de. Left out: asr/it, st/de-en, st/it-en." in printed
    checkpoint = RunFolder(earlier).checkpoints / "CKPT+epoch_2"
    assert loaded_heads(hparams, checkpoint) == {"asr/en", "asr/de", "ssl"}


def test_a_tokenizer_of_ones_own_makes_a_new_head(manifests, earlier, tmp_path, capsys):
    options = ("--languages=[en, de]", "--pairs=[de-en, en-de]")
    _, own = experiment_of(tmp_path / "own", manifests, *options)
    train_tokenizers(own)
    folder = f"--tokenizer_folder={own['tokenizer_folder']}"
    started(tmp_path / "run", manifests, earlier, *options, folder)
    printed = capsys.readouterr().out
    assert "Heads of another vocabulary than this run's start new: st/de-en." in printed


def test_what_adopted_vocabularies_lack_is_reported_for_every_objective(
    manifests, earlier, tmp_path, capsys
):
    hparams = started(
        tmp_path / "run", manifests, earlier, "--languages=[en, de, es]", "--pairs=[de-en]"
    )
    printed = capsys.readouterr().out
    for name, model in (("asr/en", "asr_en"), ("asr/de", "asr_de"), ("st/de-en", "st_joint")):
        assert f"{name}: {model}.model lacks 0.00% of the training characters, in 0 of" in printed
    assert "asr/es:" not in printed, "it has a new one"
    checkpoint = RunFolder(earlier).checkpoints / "CKPT+epoch_2"
    assert loaded_heads(hparams, checkpoint) == {"asr/en", "asr/de", "st/de-en", "ssl"}


def test_the_best_checkpoint_is_taken_and_named(manifests, earlier, tmp_path, capsys):
    hparams = started(
        tmp_path / "run", manifests, earlier, "--languages=[en, de]", "--pairs=[de-en]"
    )
    best = RunFolder(earlier).checkpoints / "CKPT+epoch_2"
    printed = capsys.readouterr().out
    assert f"{best}, the best of the run's by validation WER (40.00), of epoch 2" in printed
    saved = torch.load(best / "encoder.ckpt", weights_only=True)
    found = hparams["encoder"].state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in saved.items())


def test_a_checkpoint_may_be_given_itself(manifests, earlier, tmp_path, capsys):
    given = RunFolder(earlier).checkpoints / "CKPT+within_epoch_4"
    started(tmp_path / "run", manifests, given, "--languages=[en, de]", "--pairs=[de-en]")
    assert f"init_from: the checkpoint {given}, as given." in capsys.readouterr().out


def test_a_run_without_a_validated_epoch_is_refused(manifests, earlier, tmp_path):
    _, hparams = experiment_of(tmp_path / "run", manifests, f"--init_from={tmp_path / 'first'}")
    options = ("--languages=[en, de]", "--pairs=[de-en]")
    make_untrained_run(tmp_path / "first", manifests, *options, scores=[{}])
    with pytest.raises(FileNotFoundError, match="holds no checkpoint of a whole epoch"):
        check_earlier_run(hparams)


def test_what_is_no_run_is_refused_before_the_corpus_is_prepared(manifests, tmp_path):
    _, hparams = experiment_of(tmp_path / "run", manifests, f"--init_from={manifests}")
    with pytest.raises(FileNotFoundError, match=r"manifests0 is neither a run's output_folder"):
        check_earlier_run(hparams)


def tensors(state: dict, head: str) -> dict[str, torch.Tensor]:
    return {n.removeprefix(f"{head}."): t for n, t in state.items() if n.startswith(f"{head}.")}


PAIRS = ("--languages=[en, de, es]", "--pairs=[es-en, es-de, de-en]", "--st_vocabulary=separate")


@pytest.mark.parametrize("decoder", ["separate", "shared"])
def test_decoders_start_from_those_of_other_heads(manifests, earlier, tmp_path, capsys, decoder):
    """Of another vocabulary all but what its tokens mean; of the same, all."""
    options = [*PAIRS, f"--st_decoder={decoder}", "--init_heads={st/*: asr/en, asr/es: asr/de}"]
    if decoder == "shared":
        options += ["--st_vocabulary=joint", "--pairs=[es-en, de-en]"]
    hparams = started(tmp_path / "run", manifests, earlier, *options)
    printed = capsys.readouterr().out
    saved = torch.load(
        RunFolder(earlier).checkpoints / "CKPT+epoch_2" / "objectives.ckpt", weights_only=True
    )
    own = hparams["objectives"].state_dict()
    for name in (f"st/{pair}" for pair in hparams["pairs"]):
        assert f"init_heads, {name}: " in printed
        found, theirs = tensors(own, name), tensors(saved, "asr/en")
        taken = {n for n, t in found.items() if n in theirs and torch.equal(t, theirs[n])}
        assert {n for n in taken if n.startswith("decoder.")} == {
            n for n in theirs if n.startswith("decoder.")
        }
        assert not any(n.endswith("weight") for n in taken if not n.startswith("decoder."))
    assert re.search(r"stay as they were: embedding.*, decoder.layers \(", printed), "it has more"
    assert {"asr/en", "asr/de"} <= loaded_heads(
        hparams, RunFolder(earlier).checkpoints / "CKPT+epoch_2"
    )


def test_a_head_of_the_same_vocabulary_is_taken_whole(manifests, earlier, tmp_path):
    """From another pair's: the vocabulary of English comes with it."""
    hparams = started(
        tmp_path / "run", manifests, earlier, "--languages=[en, es]", "--pairs=[es-en]",
        "--init_heads={st/es-en: st/it-en}",
    )  # fmt: skip
    joint = Path(hparams["tokenizer_folder"]) / "st_joint.model"
    assert joint.read_bytes() == (RunFolder(earlier).tokenizers / "st_joint.model").read_bytes()
    checkpoint = RunFolder(earlier).checkpoints / "CKPT+epoch_2"
    saved = torch.load(checkpoint / "objectives.ckpt", weights_only=True)
    found = tensors(hparams["objectives"].state_dict(), "st/es-en")
    assert found
    assert all(torch.equal(found[n], t) for n, t in tensors(saved, "st/it-en").items())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "{st/fr-*: asr/en}",
            r"init_heads: found st/fr-\*, expected, by name or pattern,",
        ),
        (
            "{st/*: asr/fr}",
            r"init_heads\[st/\*\]: found asr/fr, expected .*asr/en, asr/de",
        ),
        ("{st/*: asr/en, st/de-en: asr/de}", "found both asr/en and asr/de for st/de-en"),
    ],
)
def test_heads_that_are_not_there_are_named(manifests, earlier, tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        started(
            tmp_path / "run", manifests, earlier, "--languages=[en, de]", "--pairs=[de-en]",
            f"--init_heads={given}",
        )  # fmt: skip


def test_heads_that_share_a_decoder_start_from_one(manifests, earlier, tmp_path):
    options = ["--languages=[en, de, it]", "--pairs=[de-en, it-en]", "--st_decoder=shared"]
    given = "--init_heads={st/de-en: asr/de, st/it-en: asr/it}"
    with pytest.raises(ValueError, match="heads that share a decoder start from the same"):
        started(tmp_path / "run", manifests, earlier, *options, given)


def test_heads_of_no_run_are_refused(manifests, tmp_path):
    _, hparams = experiment_of(tmp_path / "run", manifests, "--init_heads={st/*: asr/en}")
    with pytest.raises(ValueError, match=r"init_heads: found .* without init_from"):
        check_earlier_run(hparams)


def test_recognition_of_another_text_has_new_vocabularies_and_heads(
    manifests, earlier, tmp_path, capsys
):
    started(
        tmp_path / "run", manifests, earlier, "--languages=[en, de]", "--pairs=[de-en]",
        "--asr_text=cased",
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert "Recognition's vocabularies are new: asr_text was normalized, is now cased." in printed
    assert "Heads of another vocabulary than this run's start new: asr/en, asr/de." in printed
    assert "New heads: asr/en, asr/de. Left out: asr/en, asr/de, asr/it, st/it-en." in printed
    own = RunFolder(tmp_path / "run").tokenizers / "asr_en.model"
    assert coverage(load_tokenizer(own), ["."]).unknown_characters == 0
