"""The examples in the docstrings run and say what they print."""

import doctest
import importlib
import pkgutil

import pytest

import vmsp_brain

MODULES = ["vmsp_brain"] + [
    module.name for module in pkgutil.walk_packages(vmsp_brain.__path__, "vmsp_brain.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0, "see the captured output"


def test_there_are_examples_to_run():
    finder = doctest.DocTestFinder()
    modules = [importlib.import_module(name) for name in MODULES]
    assert sum(bool(test.examples) for module in modules for test in finder.find(module)) > 5
