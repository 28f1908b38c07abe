"""Links of the documents to files and headings of the repository."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.commands import ROOT

DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "recipes").rglob("*.md")]
)
FENCED = re.compile(r"^( *)(```|:::).*?^\1\2", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^()\s]+)\)")


def broken_links(document: Path) -> Iterator[str]:
    """Those of a document that lead to no file, or to no heading of it."""
    text = FENCED.sub("", document.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        if not re.match(r"https?://", link):
            name, _, anchor = link.partition("#")
            target = (document.parent / name) if name else document
            if not target.exists() or (anchor and anchor not in anchors(target)):
                yield link


def anchors(document: Path) -> set[str]:
    """Of its headings, as GitHub and Sphinx make them."""
    text = FENCED.sub("", document.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path):
    assert list(broken_links(document)) == []


@pytest.mark.parametrize("link", ["nowhere.md", "here.md#nothing", "#nothing", "../here.md"])
def test_a_link_that_leads_nowhere_is_found(tmp_path: Path, link: str):
    document = tmp_path / "here.md"
    document.write_text(
        f"# A title\n\n[fine](#a-title), [fine](here.md), [web](https://x.org)\n\n[broken]({link})\n"
    )
    assert list(broken_links(document)) == [link]


def test_every_page_is_in_the_sites_contents():
    contents = re.findall(r"```{toctree}\n(.*?)```", (ROOT / "docs" / "index.md").read_text(), re.S)
    named = {line for block in contents for line in block.split() if not line.startswith(":")}
    pages = {path.stem for path in DOCUMENTS if path.parent == ROOT / "docs"}
    assert pages - {"index"} <= named
