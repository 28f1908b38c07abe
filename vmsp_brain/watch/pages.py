"""Reports for people: Markdown with tables and pictures, and a page of it that needs no network."""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import markdown
from matplotlib.figure import Figure

from vmsp_brain.files import write_whole
from vmsp_brain.watch.plots import save_figures

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; color: #222 }}
table {{ border-collapse: collapse; margin: 1em 0 }}
th, td {{ border: 1px solid #bbb; padding: .25em .7em; text-align: right }}
th:first-child, td:first-child {{ text-align: left }}
th {{ background: #eee }}
.figures {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(30em, 1fr)); gap: 1em }}
figure {{ margin: 0; border: 1px solid #ddd; padding: .5em }}
figcaption {{ color: #555; font-size: 14px }}
img {{ width: 100% }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


Figures = Mapping[str, tuple[Figure, str]]
"""Figures and captions by file name."""


def check_folder(output: Path) -> None:
    """Refuse a report's folder that is a file.

    Raises
    ------
    ValueError
        If it is one.
    """
    if output.exists() and not output.is_dir():
        raise ValueError(f"--output: {output} is a file, expected a folder for the report.")


def save_pictures(figures: Figures, output: Path) -> dict[str, str]:
    """Write figures into the report's folder; captions by the pictures' paths in it."""
    drawn = {name: figure for name, (figure, _) in figures.items()}
    paths = [str(path.relative_to(output)) for path in save_figures(drawn, output / "figures")]
    captions = [caption for _, caption in figures.values()]
    return dict(zip(paths, captions, strict=True))


def with_pictures(parts: Iterable[str], captions: Mapping[str, str]) -> str:
    """Paragraphs in Markdown, and the pictures after them."""
    shown = [f"![{caption}]({path})" for path, caption in captions.items()]
    return "\n\n".join([*parts, "## Figures", *shown]) + "\n"


def write_report(output: Path, report: Mapping[str, Any], text: str) -> None:
    """Write ``report.md``, ``report.html`` and ``report.json``.

    Arguments
    ---------
    output : Path
        The report's folder, with the pictures.
    report : dict
        Every number.
    text : str
        In Markdown.
    """
    write_whole(output / "report.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    write_whole(output / "report.md", text)
    write_whole(output / "report.html", to_html(text, output))


def to_html(text: str, folder: Path) -> str:
    """The report as one page, with the pictures inside.

    Arguments
    ---------
    text : str
        In Markdown.
    folder : Path
        Where the pictures' paths lead from.
    """

    def embed(match: re.Match) -> str:
        caption, path = match.groups()
        picture = base64.b64encode((folder / path).read_bytes()).decode()
        image = f'<img alt="{caption}" src="data:image/png;base64,{picture}">'
        return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"

    body = markdown.markdown(text, extensions=["tables"])
    body = re.sub(r'<p><img alt="([^"]*)" src="([^"]+)" ?/?></p>', embed, body)
    body = re.sub(r"(<figure>.*</figure>)", r'<div class="figures">\1</div>', body, flags=re.DOTALL)
    title = text.partition("\n")[0].removeprefix("# ")
    return _PAGE.format(title=title, body=body)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown: names in the first column, numbers in the others."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence.

    Example
    -------
    >>> listed(["UAS", "USA", "joint"]), listed(["UAS"])
    ('UAS, USA and joint', 'UAS')
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
