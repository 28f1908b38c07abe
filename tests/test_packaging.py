"""What a wheel says of itself: its dependencies, its commands."""

import importlib
import re
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.helpers.commands import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = [
    Requirement(line)
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    if re.match(r"\w", line)
]


def test_the_pinned_versions_are_within_the_librarys_ranges():
    ranges = {each.name: each for each in map(Requirement, PROJECT["dependencies"])}
    assert {pin.name for pin in PINS} == ranges.keys()
    for pin in PINS:
        [version] = [clause.version for clause in pin.specifier]
        assert version in ranges[pin.name].specifier, pin
        assert pin.extras == ranges[pin.name].extras
        assert {clause.operator for clause in ranges[pin.name].specifier} == {">=", "<"}


def test_the_lowest_versions_that_are_tested_are_the_ranges_ends():
    lowest = (ROOT / "requirements-lowest.txt").read_text(encoding="utf-8").splitlines()[1:]
    ends = {}
    for each in map(Requirement, PROJECT["dependencies"]):
        [least] = [clause.version for clause in each.specifier if clause.operator == ">="]
        ends[each.name, *each.extras] = f"=={least}"
    found = {(each.name, *each.extras): str(each.specifier) for each in map(Requirement, lowest)}
    assert found == ends


@pytest.mark.parametrize("name", PROJECT["scripts"])
def test_a_console_command_says_how_it_is_used(name, capsys):
    module, _, function = PROJECT["scripts"][name].partition(":")
    with pytest.raises(SystemExit) as ended:
        getattr(importlib.import_module(module), function)(["--help"])
    assert ended.value.code == 0
    assert name in capsys.readouterr().out
