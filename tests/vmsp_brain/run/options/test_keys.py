"""The declaration of all keys against the experiments' files."""

from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.helpers.commands import ROOT
from vmsp_brain.run.configuration import MAY_CHANGE
from vmsp_brain.run.moved_paths import tag_of
from vmsp_brain.run.options.command_line import open_experiment
from vmsp_brain.run.options.keys import OPTIONS, RELATIONS
from vmsp_brain.run.options.kinds import Text

FILES = sorted(path for path in (ROOT / "hparams").rglob("*.yaml") if path.parent.name != "parts")


LEFT_OUT = {"conformer", "conformer[augment]", "spec_augment"}
"""Objects that another encoder has no use for: null there."""


@cache
def document(file: Path) -> dict:
    """Not to be changed."""
    return YAML().load(file.read_text(encoding="utf-8"))


def plain_values(node: dict, above: str = ""):
    """Names of all that is neither a reference nor an object; hierarchies are left out."""
    for key, value in node.items():
        name = f"{above}[{key}]" if above else key
        if isinstance(value, dict):
            if ".hierarchy." not in tag_of(value):
                yield from plain_values(value, name)
        elif not tag_of(value) and not (value is None and name in LEFT_OUT):
            yield name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_plain_value_of_the_experiments_is_declared(file: Path):
    names = list(plain_values(document(file)))
    assert names
    assert [name for name in names if name not in OPTIONS] == []


@pytest.mark.parametrize("option", [o for o in OPTIONS.values() if o.file], ids=lambda o: o.name)
def test_every_declared_key_stands_in_its_file(option):
    node = document(ROOT / "hparams" / option.file)
    for key in option.name.replace("]", "").split("["):
        assert key in node
        node = node[key]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_experiments_pass_as_they_are(file: Path):
    experiment, run_options = open_experiment([str(file), "--data_folder=anywhere"])
    assert experiment.overrides == {"data_folder": "anywhere"}
    assert run_options.overridden_args == set()


@pytest.mark.parametrize(
    "option", [o for o in OPTIONS.values() if o.name != "base"], ids=lambda option: option.name
)
def test_every_key_refuses_what_does_not_fit_and_names_what_does(option):
    value = "[no, text]" if isinstance(option.kind, Text) else "no such value"
    key, *inner = option.name.replace("]", "").split("[")
    for part in reversed(inner):
        value = f"{{{part}: {value}}}"
    words = [str(ROOT / "hparams" / (option.file or "uas.yaml")), f"--{key}={value}"]
    if option.name != "data_folder":
        words.append("--data_folder=x")
    with pytest.raises(ValueError, match="found") as error:
        open_experiment(words)
    [message] = str(error.value).splitlines()
    assert message.startswith(f"--{option.name}: found ")
    assert f"expected {option.expected}, such as " in message


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.name)
def test_every_key_has_a_sentence_and_an_example_that_fits(option):
    assert option.says[0].isupper() or option.says[0].isdigit()
    assert option.says.endswith(".")
    assert option.fits(option.kind.example)


def test_relations_are_of_declared_keys():
    assert {key for relation in RELATIONS for key in relation.keys} <= OPTIONS.keys()


def test_what_may_change_when_a_run_goes_on():
    assert {"number_of_epochs", "epoch_counter", "test_search", "data_folder"} <= MAY_CHANGE
    assert not {"seed", "batch_size", "max_grad_norm", "languages"} & MAY_CHANGE
