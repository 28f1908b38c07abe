"""A decoder for all languages in a run's life: checkpoint, export, use, and a new language."""

from pathlib import Path

import pytest
import torch

from tests.helpers.untrained_runs import experiment_of, make_untrained_run, write_manifests
from vmsp_brain.data.vocabularies import train_tokenizers
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.init_from import adopt_tokenizers, start_from_earlier_run
from vmsp_brain.use.export import export_run
from vmsp_brain.use.loading import load_model

SHARED = ("--asr_decoder=shared", "--st_decoder=shared")
LANGUAGES = ("--languages=[en, de]", "--pairs=[de-en]")
MORE = ("--languages=[en, de, es]", "--pairs=[de-en, es-en]")


@pytest.fixture(scope="module")
def manifests(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("manifests")
    write_manifests(folder, ["en", "de", "es"])
    return folder


@pytest.fixture(scope="module")
def earlier(tmp_path_factory, manifests: Path) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("earlier") / "run"
    scores = [{"primary_WER": 90.0}, {"primary_WER": 40.0}]
    return folder, make_untrained_run(folder, manifests, *LANGUAGES, *SHARED, scores=scores)


def test_recognition_has_one_vocabulary(earlier):
    names = sorted(path.name for path in RunFolder(earlier[0]).tokenizers.glob("*.model"))
    assert names == ["asr_joint.model", "st_joint.model"]


@pytest.mark.parametrize("average", [None, 2])
def test_an_exported_model_has_the_decoder_once_and_writes_what_the_run_would(
    earlier, tmp_path, average
):
    folder, hparams = earlier
    export_run(folder, tmp_path / "model", average)
    saved = torch.load(tmp_path / "model" / "objectives.ckpt", weights_only=True)
    places = {tensor.data_ptr() for tensor in saved.values()}
    own = hparams["objectives"].state_dict()
    assert len(places) == len({tensor.data_ptr() for tensor in own.values()}) < len(own)
    for name, tensor in own.items():  # equal in both epochs
        torch.testing.assert_close(saved[name], tensor.to(saved[name].dtype), msg=name)
    model = load_model(str(tmp_path / "model"))
    assert model.mods.objectives["asr/de"].decoder is model.mods.objectives["asr/en"].decoder
    wavs = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    texts = model.decode_batch(wavs, torch.ones(1), ["asr/en", "asr/de", "st/de-en"])
    assert texts.keys() == {"asr/en", "asr/de", "st/de-en"}


def begun(earlier: Path, out: Path, manifests: Path, *options: str) -> dict:
    """The hyperparameters of a run that starts from an earlier one."""
    _, hparams = experiment_of(out, manifests, *options, f"--init_from={earlier}")
    adopt_tokenizers(hparams)
    train_tokenizers(hparams)
    start_from_earlier_run(hparams)
    return hparams


def test_a_new_language_writes_with_the_decoder_that_was_loaded(
    earlier, manifests, tmp_path, capsys
):
    folder, before = earlier
    hparams = begun(folder, tmp_path / "run", manifests, *MORE, *SHARED)
    printed = capsys.readouterr().out
    assert "New heads: asr/es, st/es-en. Left out: none." in printed
    assert "With a decoder that was loaded, for they share it: asr/es, st/es-en." in printed
    objectives, theirs = hparams["objectives"], before["objectives"].state_dict()
    for ours, known in (("asr/es", "asr/en"), ("st/es-en", "st/de-en")):
        for name, tensor in objectives[ours].state_dict().items():
            if not name.startswith("embedding.language"):
                assert torch.equal(tensor, theirs[f"{known}.{name}"]), name
    english = theirs["st/de-en.embedding.language"]
    assert torch.equal(objectives["st/es-en"].embedding.language, english), "it writes English too"


def test_decoders_of_another_kind_start_new(earlier, manifests, tmp_path, capsys):
    begun(earlier[0], tmp_path / "run", manifests, *LANGUAGES)
    printed = capsys.readouterr().out
    assert "Heads of st start new: st_decoder was shared, is now separate." in printed
    assert "New heads: asr/en, asr/de, st/de-en." in printed
