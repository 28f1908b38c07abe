"""The environment is this interpreter's, whatever the PATH holds."""

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from vmsp_brain.run.environment import describe_environment


@pytest.fixture
def other_pip(tmp_path: Path, monkeypatch) -> None:
    """The first pip of the PATH is another Python's."""
    pip = tmp_path / "pip"
    pip.write_text("#!/bin/sh\necho torch==0.0.1\n")
    pip.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.slow
def test_packages_are_those_that_are_imported(other_pip):
    lines = describe_environment().splitlines()
    for package in ("torch", "speechbrain", "torchjd"):
        assert [line for line in lines if line.startswith(f"{package}==")] == [
            f"{package}=={version(package)}"
        ]
    assert sys.version.splitlines()[0] in lines
    assert sys.executable in lines


@pytest.mark.slow
def test_without_git_the_revision_says_so(other_pip):
    assert "is in no git repository, or there is no git" in describe_environment()
