"""The API's page names what there is."""

import re

import vmsp_brain
from tests.helpers.commands import ROOT

PAGE = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")


def test_every_public_name_is_on_the_page_with_its_home():
    named = re.findall(r"^   ~(\S+)$", PAGE, re.MULTILINE)
    items = [getattr(vmsp_brain, name) for name in vmsp_brain.__all__]
    assert sorted(named) == sorted(f"{item.__module__}.{item.__name__}" for item in items)


def test_every_room_is_on_the_page():
    rooms = re.findall(r"^   vmsp_brain\.(\S+)$", PAGE, re.MULTILINE)
    paths = (ROOT / "vmsp_brain").iterdir()
    there = {path.stem for path in paths if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert sorted(rooms) == sorted(there - {"__init__"})
