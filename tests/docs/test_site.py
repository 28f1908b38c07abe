"""The site that `make docs` has built: whole, and without anything from elsewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import vmsp_brain
from tests.helpers.commands import ROOT

SITE = ROOT / "docs" / "_build" / "html"

pytestmark = pytest.mark.skipif(not SITE.exists(), reason="`make docs` builds the site")


class Page(HTMLParser):
    """The links of a page, and the anchors that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag refers to."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif "src" in given or (tag == "link" and "href" in given):
            self.loaded.append(given.get("src") or given["href"])


@pytest.fixture(scope="module")
def pages() -> dict[Path, Page]:
    return {path: Page(path) for path in SITE.rglob("*.html") if "_static" not in path.parts}


def test_every_link_leads_somewhere(pages):
    broken = []
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            there = target.exists() and (
                not anchor or target not in pages or anchor in pages[target].anchors
            )
            if not parts.scheme and not there:
                broken.append(f"{path.relative_to(SITE)}: {link}")
    assert broken == []


def test_nothing_is_loaded_from_elsewhere(pages):
    assert [link for page in pages.values() for link in page.loaded if urlsplit(link).netloc] == []
    styles = (path.read_text(encoding="utf-8") for path in SITE.rglob("_static/**/*.css"))
    assert [found for style in styles for found in re.findall(r"url\(['\"]?https?:", style)] == []


def test_every_public_name_has_its_place_and_is_found_by_the_search(pages):
    anchors = {anchor for page in pages.values() for anchor in page.anchors}
    words = (SITE / "searchindex.js").read_text(encoding="utf-8")
    for name in vmsp_brain.__all__:
        item = getattr(vmsp_brain, name)
        assert f"{item.__module__}.{name}" in anchors
        assert name.lower() in words.lower()
