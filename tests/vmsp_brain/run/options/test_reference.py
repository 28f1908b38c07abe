"""What is made of the declaration of all keys: the documents' table, the editors' schema."""

import json
from pathlib import Path

import fastjsonschema
import pytest
from ruamel.yaml import YAML

from tests.helpers.commands import ROOT
from vmsp_brain.run.moved_paths import tag_of
from vmsp_brain.run.options.keys import GROUPS, OPTIONS, Option
from vmsp_brain.run.options.kinds import Number, Whole
from vmsp_brain.run.options.reference import keys_table, schema

HPARAMS = ROOT / "hparams"
CHECK = fastjsonschema.compile(schema())
FILES = sorted(HPARAMS.rglob("*.yaml"))


def test_a_key_that_is_declared_stands_in_the_table():
    new = Option("rho", Number(above=7), "What nobody has thought of.", may_change=True)
    before = keys_table(HPARAMS)
    after = keys_table(HPARAMS, {**GROUPS, "Of tomorrow": (new,)})
    assert before in after
    assert after.removeprefix(before).strip().splitlines()[-1] == (
        "| `rho` | `0.0` | What nobody has thought of. *Fits: a number above 7.* "
        "A run may go on with another value. |"
    )


def test_every_key_stands_in_the_table_once():
    rows = [line for line in keys_table(HPARAMS).splitlines() if line.startswith("| `")]
    assert sorted(row.split("`")[1] for row in rows) == sorted(OPTIONS)


def test_the_schema_that_editors_read_is_that_of_the_declaration():
    found = json.loads((HPARAMS / "schema.json").read_text(encoding="utf-8"))
    how = "python -m vmsp_brain.run.options.reference hparams/schema.json"
    assert found == json.loads(json.dumps(schema())), f"made again by {how}"


def plain(node):
    """A file as an editor's schema sees it: tags are no part of the values."""
    if isinstance(node, dict):
        parts = {key: value for key, value in node.items() if tag_of(value) != "!PLACEHOLDER"}
        return {key: plain(value) for key, value in parts.items()}
    if isinstance(node, list):
        return [plain(value) for value in node]
    return getattr(node, "value", node)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_experiment_fits_the_schema(file: Path):
    CHECK(plain(YAML().load(file.read_text(encoding="utf-8"))))


WRONG = {Whole: 0.5, Number: "much"}


@pytest.mark.parametrize("option", [o for o in OPTIONS.values() if o.file], ids=lambda o: o.name)
def test_the_schema_takes_what_fits_and_refuses_another_kind(option):
    def document(value):
        for key in reversed(option.name.replace("]", "").split("[")):
            value = {key: value}
        return value

    CHECK(document(option.kind.example))
    CHECK(document("<another_key>"))
    wrong = WRONG.get(type(option.kind), 0.5)
    assert not option.fits(wrong)
    with pytest.raises(fastjsonschema.JsonSchemaValueException):
        CHECK(document(wrong))
