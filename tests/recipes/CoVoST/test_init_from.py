"""Adding a language and a pair to a trained model."""

from pathlib import Path

import pytest
import torch
from speechbrain import parse_arguments

from corpus.experiment import prepare_corpus
from tests.helpers.commands import command, train
from vmsp_brain.data.vocabularies import train_tokenizers
from vmsp_brain.run.experiment_file import ExperimentFile
from vmsp_brain.run.init_from import adopt_tokenizers, start_from_earlier_run

pytestmark = pytest.mark.slow


def hparams_of(*arguments) -> dict:
    """What a command line makes of the experiment, in this process."""
    file, _, overrides = parse_arguments(command(*arguments)[2:])
    return ExperimentFile(file, overrides).load()


@pytest.fixture(scope="module")
def first_run(mini_covost: Path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("first") / "run"
    train(
        "uas.yaml", mini_covost, out, "--languages=[en, fr]", "--pairs=[fr-en]",
        "--number_of_epochs=1",
    )  # fmt: skip
    return out


def last(run_folder: Path, part: str) -> dict[str, torch.Tensor]:
    folder = max((run_folder / "save").glob("CKPT*"))
    return torch.load(folder / f"{part}.ckpt", weights_only=True)


def test_a_language_is_added_to_a_trained_model(mini_covost, first_run, tmp_path, capsys):
    more = ("--languages=[en, fr, it]", "--pairs=[fr-en, it-en]", f"--init_from={first_run}")
    arguments = ("uas.yaml", mini_covost, tmp_path / "run", *more)
    hparams = hparams_of("train.py", *arguments)
    prepare_corpus(hparams)
    adopt_tokenizers(hparams)
    train_tokenizers(hparams)
    start_from_earlier_run(hparams)
    before = {name: tensor.clone() for name, tensor in hparams["objectives"].state_dict().items()}
    old = last(first_run, "objectives")
    assert {name.partition(".")[0] for name in old} == {"asr/en", "asr/fr", "st/fr-en", "ssl"}
    assert all(torch.equal(before[name], tensor) for name, tensor in old.items())
    encoder = hparams["encoder"].state_dict()
    assert all(torch.equal(encoder[k], tensor) for k, tensor in last(first_run, "encoder").items())
    for name in ("asr_en.model", "asr_fr.model", "st_joint.model"):
        theirs, ours = (folder / "tokenizers" / name for folder in (first_run, tmp_path / "run"))
        assert theirs.read_bytes() == ours.read_bytes()
    assert "New heads: asr/it, st/it-en. Left out: none." in capsys.readouterr().out

    done = train(*arguments, "--number_of_epochs=1")
    assert "New heads: asr/it, st/it-en." in done.stdout
    trained = last(tmp_path / "run", "objectives")
    for head in ("asr/en", "asr/it", "st/it-en"):
        moved = [n for n in before if n.startswith(head) and not torch.equal(before[n], trained[n])]
        assert moved, head
    again = train(*arguments, "--number_of_epochs=1")  # its own checkpoint, not the earlier run's
    assert "New heads" not in again.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--init_from=nowhere"], "init_from: nowhere is neither a run's output_folder"),
        (["--d_model=32"], "encoder.ckpt: tensors of other shapes than the model's"),
        (["--asr_vocab_size=40"], "has 300 tokens, but asr_vocab_size is 40"),
    ],
)
def test_what_cannot_be_taken_over_stops_before_training(
    mini_covost, first_run, tmp_path, options, message
):
    done = train(
        "uas.yaml", mini_covost, tmp_path / "run", "--languages=[en, fr]",
        "--pairs=[fr-en]", f"--init_from={first_run}", *options, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert not (tmp_path / "run" / "train_log.txt").exists()
