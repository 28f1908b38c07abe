"""Random damage to files, the same in every run."""

from collections.abc import Callable
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st

TEXTS = [
    "\t",
    "\n",
    "\r",
    "\\",
    "\0",
    '"',
    "\u200b",
    "\ufeff",
    "Train",
    "dev",
    " ",
    "../",
    "x" * 400,
]
HITS = st.lists(
    st.tuples(
        st.floats(0, 1),  # where in the file
        st.sampled_from(["put", "replace", "remove", "repeat", "end"]),
        st.one_of(st.sampled_from([text.encode() for text in TEXTS]), st.binary(max_size=6)),
    ),
    min_size=1,
    max_size=3,
)


def repeatable(examples: int) -> settings:
    """Fixed seeds; more examples look further."""
    return settings(max_examples=examples, derandomize=True, database=None, deadline=None)


def damaged(whole: bytes, hits: list[tuple[float, str, bytes]]) -> bytes:
    """A file's content after these `HITS`."""
    for where, kind, content in hits:
        start = int(where * len(whole))
        end = start + len(content)
        whole = {
            "put": whole[:start] + content + whole[start:],
            "replace": whole[:start] + content + whole[end:],
            "remove": whole[:start] + whole[end:],
            "repeat": whole[:start] + whole[start : start + 40] + whole[start:],
            "end": whole[:start],
        }[kind]
    return whole


def hit(hits: list[tuple[float, str, bytes]]) -> Callable[[Path], None]:
    """Damages a file by these `HITS`."""

    def change(path: Path) -> None:
        path.write_bytes(damaged(path.read_bytes(), hits))

    return change


def lose(kind: str) -> Callable[[Path], None]:
    """Empties a file, removes it, or puts a folder in its place."""

    def change(path: Path) -> None:
        path.unlink()
        if kind == "emptied":
            path.touch()
        elif kind == "a folder":
            path.mkdir()

    return change


def reorder(kind: str, first: float, second: float) -> Callable[[Path], None]:
    """Deletes a line, says it twice, or swaps it with another; both by where they are in a file."""

    def change(path: Path) -> None:
        lines = path.read_bytes().splitlines(keepends=True)
        one, other = (int(where * (len(lines) - 1)) for where in (first, second))
        if kind == "deleted":
            del lines[one]
        elif kind == "twice":
            lines.insert(other, lines[one])
        else:
            lines[one], lines[other] = lines[other], lines[one]
        path.write_bytes(b"".join(lines))

    return change


WHERE = st.floats(0, 1)
DAMAGE = st.one_of(
    st.builds(hit, HITS),
    st.builds(lose, st.sampled_from(["emptied", "removed", "a folder"])),
    st.builds(reorder, st.sampled_from(["deleted", "twice", "swapped"]), WHERE, WHERE),
)
"""Functions that damage the file at a path."""


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file of a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
