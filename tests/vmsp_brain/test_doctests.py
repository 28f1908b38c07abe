"""The examples in the docstrings run and say what they print."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import vmsp_brain
from tests.helpers.commands import ROOT
from tests.helpers.corpus import write_clip
from tests.helpers.saved_models import save_model
from tests.helpers.saved_speechbrain_models import CONFORMER, TOGETHER, save_speechbrain_model
from tests.helpers.untrained_runs import make_untrained_run, write_manifests
from vmsp_brain.use.export import export_run

MODULES = ["vmsp_brain"] + [
    module.name for module in pkgutil.walk_packages(vmsp_brain.__path__, "vmsp_brain.")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples speak of: a run of en and fr, its model, a clip, pretrained models."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "hparams").symlink_to(ROOT / "hparams")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run, manifests = Path("results/mini"), Path("data/manifests")
        write_manifests(manifests, ["en", "fr"])
        make_untrained_run(run, manifests, "--languages=[en, fr]", "--pairs=[fr-en]")
        export_run(run, "my_model")
        write_clip(Path("bonjour.wav"))
        save_model("wav2vec2", Path("xls_r"))
        save_model("whisper", Path("whisper"))
        save_speechbrain_model(Path("asr_conformer"), TOGETHER, CONFORMER)
    return folder


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name, folder, monkeypatch):
    monkeypatch.chdir(folder)
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0, "see the captured output"


IN_THE_PACKAGES = {"VMSPBrain"}
"""Public names that the package's own example shows, with what they need."""


@pytest.mark.parametrize("name", vmsp_brain.__all__)
def test_every_public_name_has_an_example_that_runs(name):
    item = vmsp_brain if name in IN_THE_PACKAGES else getattr(vmsp_brain, name)
    tests = doctest.DocTestFinder(exclude_empty=False).find(item, name, module=False)
    examples = [example for test in tests for example in test.examples]
    assert examples
    assert not any(doctest.SKIP in example.options for example in examples)
    assert name not in IN_THE_PACKAGES or any(f"{name}(" in each.source for each in examples)
