"""The declaration of all keys against the experiments' files."""

import json
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.helpers.commands import ROOT
from vmsp_brain.run.configuration import MAY_CHANGE
from vmsp_brain.run.moved_paths import tag_of
from vmsp_brain.run.options.checks import path_of
from vmsp_brain.run.options.command_line import open_experiment
from vmsp_brain.run.options.keys import OPTIONS, RELATIONS, Option
from vmsp_brain.run.options.kinds import Text

FILES = sorted(path for path in (ROOT / "hparams").rglob("*.yaml") if path.parent.name != "parts")


LEFT_OUT = {"conformer", "conformer[augment]", "spec_augment", "wav_augment"}
"""Objects that are null where there is no use for them."""


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


@pytest.mark.parametrize("file", sorted({o.file for o in OPTIONS.values() if o.file}))
def test_every_declared_key_stands_in_its_file(file: str):
    for option in OPTIONS.values():
        if option.file == file:
            node = document(ROOT / "hparams" / file)
            for key in path_of(option.name):
                assert key in node, option.name
                node = node[key]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_experiments_pass_as_they_are(file: Path):
    experiment, run_options = open_experiment([str(file), "--data_folder=anywhere"])
    assert experiment.overrides == {"data_folder": "anywhere"}
    assert run_options.overridden_args == set()


SETTABLE = [option for option in OPTIONS.values() if option.name != "base"]


def in_one_file(option: Option) -> tuple[str, int]:
    """Those that are equal in it can be given together: none is within another."""
    return option.file or "uas.yaml", len(path_of(option.name))


@pytest.mark.parametrize("together", sorted({*map(in_one_file, SETTABLE)}))
def test_every_key_refuses_what_does_not_fit_and_names_what_does(together):
    options = [option for option in SETTABLE if in_one_file(option) == together]
    values: dict = {}
    for option in options:
        node = values
        *above, last = path_of(option.name)
        for key in above:
            node = node.setdefault(key, {})
        node[last] = ["no", "text"] if isinstance(option.kind, Text) else "no such value"
    words = [f"--{key}={json.dumps(value)}" for key, value in values.items()]
    if "data_folder" not in values:
        words.append("--data_folder=x")
    with pytest.raises(ValueError, match="found") as error:
        open_experiment([str(ROOT / "hparams" / together[0]), *words])
    messages = {line.partition(": found ")[0]: line for line in str(error.value).splitlines()}
    assert sorted(messages) == sorted(f"--{option.name}" for option in options)
    assert len(messages) == len(str(error.value).splitlines())
    for option in options:
        assert f"expected {option.expected}, such as " in messages[f"--{option.name}"]


def test_every_key_has_a_sentence_and_an_example_that_fits():
    for option in OPTIONS.values():
        assert option.says[0].isupper() or option.says[0].isdigit(), option.name
        assert option.says.endswith("."), option.name
        assert option.fits(option.kind.example), option.name


def test_relations_are_of_declared_keys():
    assert {key for relation in RELATIONS for key in relation.keys} <= OPTIONS.keys()


def test_what_may_change_when_a_run_goes_on():
    assert {"number_of_epochs", "epoch_counter", "test_search", "data_folder"} <= MAY_CHANGE
    assert not {"seed", "batch_size", "max_grad_norm", "languages"} & MAY_CHANGE
