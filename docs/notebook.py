"""Makes the tutorial's notebook of its page, so that nothing is written twice.

    python docs/notebook.py

A block of bash or Python is a cell. So is what the page does not show, in a comment

    <!-- cell
    ...
    -->
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("tutorial.md")
NOTEBOOK = PAGE.with_suffix(".ipynb")
CODE = re.compile(
    r"^(?:```(bash|python)\n(.*?)\n```|<!-- cell\n(.*?)\n-->)$", re.DOTALL | re.MULTILINE
)
BASH = "%%bash -e"  # ends at the first command that fails
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def notebook(page: str) -> str:
    """The notebook of a page in Markdown, without outputs.

    Example
    -------
    >>> cells = json.loads(notebook("# Two\\n\\n```bash\\nls\\n```\\n"))["cells"]
    >>> [(cell["cell_type"], cell["source"]) for cell in cells]
    [('markdown', ['# Two']), ('code', ['%%bash -e\\n', 'ls'])]
    """
    cells = [_cell(number, *each) for number, each in enumerate(_parts(page))]
    whole = {
        "cells": cells,
        "metadata": {"kernelspec": KERNEL, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def _parts(page: str) -> Iterator[tuple[str, str]]:
    """Kind and text of each cell."""
    end = 0
    for code in CODE.finditer(page):
        if between := page[end : code.start()].strip():
            yield "markdown", between
        language, shown, hidden = code.groups()
        yield "code", f"{BASH}\n{shown}" if language == "bash" else shown or hidden
        end = code.end()
    if rest := page[end:].strip():
        yield "markdown", rest


def _cell(number: int, kind: str, text: str) -> dict[str, Any]:
    cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
    outputs = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return cell | outputs | {"source": text.splitlines(keepends=True)}


if __name__ == "__main__":
    NOTEBOOK.write_text(notebook(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
