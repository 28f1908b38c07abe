"""Files that are there whole or not at all."""

from pathlib import Path


def write_whole(path: str | Path, text: str) -> None:
    """Write a text file, in UTF-8 and with its folder; what was there stays until all is written.

    Arguments
    ---------
    path : Path
        The file.
    text : str
        All of it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8", newline="")
    partial.replace(path)
