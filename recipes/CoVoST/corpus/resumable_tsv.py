"""A TSV file whose rows come from a stream, and which a killed run goes on with."""

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vmsp_brain.files import put_in_place, write_whole


class ResumableTsv:
    """A TSV file in the making (``NAME.partial``), with the position in its stream beside it.

    The form is CoVoST's: unquoted, backslash-escaped. As a context it is open for writing.

    Arguments
    ---------
    path : Path
        Its final name, see `finish`.
    origin : str
        Where the rows come from; rows from elsewhere are not gone on with.
    columns : list of str
        Its header.

    Attributes
    ----------
    rows : int
        How many there are.
    position : dict or None
        What was given to `save` after these rows; None if the file starts anew.
    """

    def __init__(self, path: Path, origin: str, columns: Sequence[str]) -> None:
        self.path = path
        self.origin = origin
        self.columns = columns
        self.partial = path.with_name(f"{path.name}.partial")
        self.saved = path.with_name(f"{path.name}.position")
        self.rows = 0
        self.position: dict[str, Any] | None = None
        if self.partial.exists() and self.saved.exists():
            before = json.loads(self.saved.read_text(encoding="utf-8"))
            if before["origin"] == origin:
                self.rows, self.position = before["rows"], before["position"]
                os.truncate(self.partial, before["bytes"])

    def __enter__(self) -> "ResumableTsv":
        mode = "a" if self.position else "w"
        self.file = self.partial.open(mode, newline="", encoding="utf-8")
        self.writer = csv.writer(
            self.file,
            delimiter="\t",
            quoting=csv.QUOTE_NONE,
            quotechar=None,
            escapechar="\\",
            lineterminator="\n",
        )
        if not self.position:
            self.writer.writerow(self.columns)
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, row: Sequence[str]) -> None:
        """Append a row."""
        self.writer.writerow(row)
        self.rows += 1

    def save(self, position: dict[str, Any]) -> None:
        """Make the rows so far, and the position after them, survive a kill."""
        self.file.flush()
        state = {
            "origin": self.origin,
            "rows": self.rows,
            "bytes": self.partial.stat().st_size,
            "position": position,
        }
        write_whole(self.saved, json.dumps(state))

    def finish(self) -> None:
        """Give the file its name."""
        put_in_place(self.partial, self.path)
        self.saved.unlink(missing_ok=True)
