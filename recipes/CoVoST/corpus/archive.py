"""Taking one file out of a stranger's tar archive, and nothing else."""

import filecmp
import gzip
import shutil
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

BLOCK = 2**20


class ArchiveError(ValueError):
    """An archive is damaged or holds what it should not; the message says what and where."""


def check_archive(path: Path, member: str) -> None:
    """Refuse an archive that is damaged, lacks a file, or could write anywhere but in its folder.

    Arguments
    ---------
    path : Path
        A tar.gz archive.
    member : str
        The name of a file that it has to hold, in any folder.

    Raises
    ------
    ArchiveError
        If it is truncated or not an archive; if any member is a link, a device, or has a path that
        leads out of the folder; if the file is not in it.
    """
    _find_member(path, member)


def extract_member(path: Path, member: str, target: Path, check: Callable[[Path], None]) -> None:
    """Take one file out of an archive, unless it is there already.

    Arguments
    ---------
    path, member
        See `check_archive`.
    target : Path
        Where the file goes. One that differs from the archive's is never replaced.
    check : callable
        Called with the file before it gets its name; raises ValueError if it is not right.

    Raises
    ------
    ArchiveError
        As `check_archive`, or if there is another file at the target.
    """
    found = _find_member(path, member)
    folder = target.with_name(f"{target.name}.partial")
    shutil.rmtree(folder, ignore_errors=True)  # of a killed run
    folder.mkdir(parents=True)
    try:
        with tarfile.open(path, "r:gz") as archive:
            archive.extract(found, folder, filter="data")
        check(folder / found)
        if not target.exists():
            (folder / found).replace(target)
        elif not filecmp.cmp(folder / found, target, shallow=False):
            raise ArchiveError(
                f"{target} differs from the file in {path}: it was changed since. It is left as it "
                "is; move it away to get the archive's."
            )
    finally:
        shutil.rmtree(folder)


def _find_member(path: Path, member: str) -> str:
    names = []
    try:
        with gzip.open(path) as stream:
            while stream.read(BLOCK):  # to the end, where gzip's checksum is
                pass
        with tarfile.open(path, "r:gz") as archive:
            for info in archive:
                _refuse_unsafe(path, info)
                names.append(info.name)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ArchiveError(
            f"{path} is not a whole tar.gz archive ({error}): truncated, damaged, or another kind "
            "of file. Nothing was unpacked; get it again."
        ) from error
    fitting = [name for name in names if PurePosixPath(name).name == member]
    if len(fitting) != 1:
        raise ArchiveError(
            f"{path}: expected one {member} in it, found {', '.join(names) or 'nothing'}."
        )
    return fitting[0]


def _refuse_unsafe(path: Path, info: tarfile.TarInfo) -> None:
    if info.issym() or info.islnk():
        problem = f"is a link to {info.linkname!r}"
    elif not (info.isfile() or info.isdir()):
        problem = "is neither a file nor a folder"
    elif info.name.startswith("/") or ".." in PurePosixPath(info.name).parts or "\\" in info.name:
        problem = "leads out of the folder"
    else:
        return
    raise ArchiveError(
        f"{path}: its member {info.name!r} {problem}, which no archive of translations needs. "
        "Nothing was unpacked; do not trust this archive."
    )
