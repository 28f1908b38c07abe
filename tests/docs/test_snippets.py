"""The documents' Python runs and prints what its comments say."""

import contextlib
import io
import re

import pytest

from tests.helpers.commands import ROOT

OTHERS = ("tutorial.md",)
"""Tested by themselves."""

SNIPPETS = [
    pytest.param(snippet, id=f"{page.name} {number}")
    for page in sorted((ROOT / "docs").glob("*.md"))
    if page.name not in OTHERS
    for number, snippet in enumerate(
        re.findall(r"^```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S | re.M)
    )
]


def test_there_are_snippets():
    assert len(SNIPPETS) > 1


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_prints_what_its_comments_say(snippet: str):
    expected = re.findall(r"^print\(.*\)  # (.*)$", snippet, re.MULTILINE)
    assert expected
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(snippet, {})
    assert printed.getvalue().splitlines() == expected
