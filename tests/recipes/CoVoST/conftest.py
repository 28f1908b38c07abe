"""Fixtures of the recipe's tests."""

import shutil
from pathlib import Path

import pytest

from mini_covost.make import make_mini_covost
from tests.helpers.commands import run
from tests.helpers.made_once import made_once


@pytest.fixture(scope="session")
def mini_covost(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mini-CoVoST with a few utterances of en, fr and es, and a copy of es under the name of it.

    The copy stands for a language that the recipe's files do not name.
    """

    def make(folder: Path) -> None:
        make_mini_covost(folder, train=24, dev=3, test=3, languages=["en", "fr", "es"], workers=2)
        shutil.copytree(folder / "es", folder / "it")
        (folder / "it" / "covost_v2.es_en.tsv").rename(folder / "it" / "covost_v2.it_en.tsv")

    return made_once(tmp_path_factory, "mini_covost", make)


@pytest.fixture(scope="session")
def uas_run(mini_covost: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run of uas.yaml on other languages than it names, and its output; not to be changed."""

    def make(folder: Path) -> None:
        done = run(
            "train.py", "uas.yaml", mini_covost, folder / "run",
            "--languages=[en, es, it]", "--pairs=[es-en, it-en]", "--checkpoints_to_keep=2",
        )  # fmt: skip
        (folder / "printed.txt").write_text(done.stdout, encoding="utf-8")

    folder = made_once(tmp_path_factory, "uas", make)
    return folder / "run", (folder / "printed.txt").read_text(encoding="utf-8")
