"""A folder of manifests: prepared once, by one process, for all runs that name it."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from corpus.tsv import CorpusError
from vmsp_brain.data.manifests import SPLITS, manifest_path, preparation_path, preparation_report
from vmsp_brain.files import put_in_place

Contents = dict[str, dict[str, Any]]
"""By manifest: the number of utterances, and its SHA-256."""


def is_prepared(folder: Path, made_of: Mapping[str, Any]) -> bool:
    """Whether the manifests are there, made of just this.

    Raises
    ------
    ValueError
        If the report of the preparation is damaged.
    """
    return preparation_report(folder).get("made_of") == made_of and all(
        manifest_path(folder, language, split).exists()
        for language in made_of["languages"]
        for split in SPLITS
    )


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from preparing the same folder, even those of other machines."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise CorpusError(
            f"{folder}: the manifests' folder cannot be made, for a file has its name or that of a "
            "folder above. Give another one."
        ) from error
    lock = FileLock(folder / "preparation.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        print(f"{folder}: another process prepares it; waiting for its end.", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def changed_together(folder: Path) -> Iterator[Path]:
    """A folder for new manifests and their report; they take the old ones' places at the end.

    While they do, there is no report: what is half changed does not count as prepared.
    """
    new = folder / "new"
    shutil.rmtree(new, ignore_errors=True)  # of a killed run
    new.mkdir()
    try:
        yield new
        preparation_path(folder).unlink(missing_ok=True)
        for path in sorted(new.glob("*.csv")):
            put_in_place(path, folder / path.name)
        put_in_place(preparation_path(new), preparation_path(folder))
    finally:
        shutil.rmtree(new)


def contents(folder: Path) -> Contents:
    """What is in the manifests of a prepared folder."""
    found = {}
    for language, splits in preparation_report(folder)["kept"].items():
        for split in SPLITS:
            path = manifest_path(folder, language, split)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[path.name] = {"utterances": splits[split]["utterances"], "sha256": digest}
    return found


def check_contents(folder: Path, expected: Contents | None, before: Mapping[str, Any]) -> None:
    """Refuse other manifests than a run was begun with.

    Arguments
    ---------
    folder : Path
        The manifests, and their report.
    expected : dict, optional
        `contents` of then; anything is right if not given.
    before : dict
        The report of the manifests that are to be replaced; empty if none are.

    Raises
    ------
    CorpusError
        The message says which differ, and which files of the corpus changed.
    """
    found = contents(folder)
    differing = [name for name in expected or {} if found.get(name) != expected[name]]
    if not differing:
        return
    counts = [
        f"  {name}: {expected[name]['utterances']} utterances then, "
        f"{found[name]['utterances'] if name in found else 0} now"
        for name in differing
    ]
    now = preparation_report(folder)["made_of"]
    then = {**now, **before.get("made_of", {})}
    changed = sorted(
        name
        for name in now["files"].keys() | then["files"].keys()
        if now["files"].get(name) != then["files"].get(name)
    )
    if now["version"] != then["version"]:
        changed.append(f"the form of manifests (version {then['version']}, now {now['version']})")
    raise CorpusError(
        "The run was begun with other rows, and a run goes on with what it read before:\n"
        + "\n".join(counts)
        + f"\nChanged since: {', '.join(changed) or 'the manifests themselves'}. Undo that, or "
        "start a new run, with another --output_folder."
    )
