"""A run, made in a moment, and the model that is exported from it."""

from pathlib import Path

import pytest

from tests.helpers.untrained_runs import make_untrained_run, write_manifests
from vmsp_brain.use.export import export_run


@pytest.fixture(scope="session")
def untrained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on en and es; not to be changed."""
    folder = tmp_path_factory.mktemp("untrained")
    write_manifests(folder / "manifests", ["en", "es"])
    options = ("--languages=[en, es]", "--pairs=[es-en]")
    make_untrained_run(folder / "run", folder / "manifests", *options)
    return folder / "run"


@pytest.fixture(scope="session")
def exported(untrained_run: Path) -> Path:
    """The run's model; not to be changed."""
    export_run(untrained_run, untrained_run.parent / "model")
    return untrained_run.parent / "model"
