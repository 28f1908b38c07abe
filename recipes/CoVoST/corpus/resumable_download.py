"""Downloads that can be interrupted, and are known again by their SHA-256.

A file comes as ``NAME.partial``; it gets its name once it is whole and right, and its checksum goes
to ``NAME.sha256`` beside it, in the form that ``sha256sum --check`` reads.
"""

import hashlib
import http.client
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from tqdm import tqdm

from vmsp_brain.files import put_in_place, write_whole

BLOCK = 2**16
TIMEOUT = 60
"""Seconds in which the server has to send something."""


class DownloadError(OSError):
    """A transfer failed or brought the wrong thing; the message says what to do."""


def download(url: str, file: Path, check: Callable[[Path], None]) -> None:
    """Download a file, or verify the one that is there.

    What is there is never replaced: a file that does not have its recorded checksum is an error.

    Arguments
    ---------
    url : str
        http or https.
    file : Path
        Where it goes; its folder is made.
    check : callable
        Called with a new file, raises ValueError if it is damaged or of another kind. It is removed
        then.

    Raises
    ------
    DownloadError
        If the transfer fails or is interrupted (calling again goes on from there), or if the
        checksum is not the recorded one.
    ValueError
        From `check`.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"{url}: expected an http or https address.")
    if file.exists():
        _verify(file, check)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.partial")
    _transfer(url, partial)
    try:
        check(partial)
        _compare(partial, file, f"the server's file, {url}, is another one now")
    except (ValueError, DownloadError):
        partial.unlink()
        raise
    _record(partial, file)
    put_in_place(partial, file)


def sha256(file: Path) -> str:
    """Checksum of a file, in hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _verify(file: Path, check: Callable[[Path], None]) -> None:
    if not _record_path(file).exists():  # the user has put it there
        check(file)
        _record(file, file)
    _compare(file, file, "it was changed or damaged since; remove it to download it again")


def _compare(found: Path, file: Path, meaning: str) -> None:
    record = _record_path(file)
    if not record.exists():
        return
    expected, actual = record.read_text(encoding="ascii").partition(" ")[0], sha256(found)
    if expected != actual:
        raise DownloadError(
            f"{file}: its SHA-256 is {actual}, but {record.name} beside it says {expected}: "
            f"{meaning}. If you know why, remove {record.name} to accept it. Nothing was changed."
        )


def _record(found: Path, file: Path) -> None:
    record = _record_path(file)
    write_whole(record, f"{sha256(found)}  {file.name}\n")


def _record_path(file: Path) -> Path:
    return file.with_name(f"{file.name}.sha256")


def _transfer(url: str, partial: Path) -> None:
    """Append to a partial file what is missing."""
    there = partial.stat().st_size if partial.exists() else 0
    request = Request(url, headers={"Range": f"bytes={there}-"} if there else {})
    try:
        with urlopen(request, timeout=TIMEOUT) as response:
            if there and response.status != 206:
                there = 0  # this server always sends the whole file
            _receive(response, partial, there)
    except HTTPError as error:
        if error.code != 416 or not there:  # 416: "nothing from there on"
            raise DownloadError(
                f"{url}: the server answers {error.code} {error.reason}. Check the address and "
                "--base_url, or try again later."
            ) from error
        if error.headers.get("Content-Range") != f"bytes */{there}":
            partial.unlink()  # it is not a part of this file
            _transfer(url, partial)
    except (URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise DownloadError(_interrupted(url, partial, str(error))) from error


def _receive(response: http.client.HTTPResponse, partial: Path, start: int) -> None:
    length = response.headers.get("Content-Length")
    total = None if length is None else start + int(length)
    with (
        partial.open("ab" if start else "wb") as file,
        tqdm(desc=partial.stem, total=total, initial=start, unit="B", unit_scale=True) as progress,
    ):
        while block := response.read(BLOCK):
            file.write(block)
            progress.update(len(block))
    if total is not None and partial.stat().st_size != total:
        raise ConnectionError(f"the connection ended before byte {total:,}")


def _interrupted(url: str, partial: Path, reason: str) -> str:
    there = f"{partial.stat().st_size:,} bytes are" if partial.exists() else "Nothing is"
    return f"{url}: {reason}. {there} here; run the same command again to go on."
