"""Transfers that break off, go on, and are known again, against a real server."""

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus.resumable_download import DownloadError, download, sha256
from tests.helpers.file_server import FileServer, file_server

CONTENT = bytes(range(256)) * 2000  # several blocks


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as server:
        server.files["/x.bin"] = CONTENT
        yield server


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new" / "x.bin"


def anything(_: Path) -> None:
    """Is right."""


def get(server: FileServer, file: Path, check=anything) -> None:
    download(f"{server.url}/x.bin", file, check)


def names(file: Path) -> set[str]:
    return {path.name for path in file.parent.iterdir()}


@pytest.mark.slow
def test_a_file_arrives_with_its_checksum(server, file):
    get(server, file)
    assert file.read_bytes() == CONTENT
    assert names(file) == {"x.bin", "x.bin.sha256"}
    assert sha256(file) == hashlib.sha256(CONTENT).hexdigest()
    subprocess.run(["sha256sum", "--check", "x.bin.sha256"], cwd=file.parent, check=True)


def test_an_interrupted_transfer_goes_on_where_it_was(server, file):
    server.sends_at_most = 200_000
    with pytest.raises(DownloadError, match=r"200,000 bytes are here; run the same command again"):
        get(server, file)
    assert names(file) == {"x.bin.partial"}
    with pytest.raises(DownloadError, match="400,000 bytes are here"):
        get(server, file)
    server.sends_at_most = None
    get(server, file)
    assert file.read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, "bytes=200000-", "bytes=400000-"]


def test_a_server_without_ranges_sends_it_all_again(server, file):
    server.knows_ranges = False
    server.sends_at_most = 200_000
    for _ in range(2):
        with pytest.raises(DownloadError, match="200,000 bytes are here"):
            get(server, file)
    server.sends_at_most = None
    get(server, file)
    assert file.read_bytes() == CONTENT


def test_a_run_killed_between_the_last_byte_and_the_name(server, file):
    file.parent.mkdir()
    file.with_name("x.bin.partial").write_bytes(CONTENT)
    get(server, file)
    assert file.read_bytes() == CONTENT


def test_a_partial_longer_than_the_file_is_started_anew(server, file):
    file.parent.mkdir()
    file.with_name("x.bin.partial").write_bytes(b"?" * (len(CONTENT) + 7))
    get(server, file)
    assert file.read_bytes() == CONTENT


def test_a_second_run_verifies_and_asks_nothing(server, file):
    get(server, file)
    get(server, file)
    assert len(server.asked) == 1


def test_a_changed_file_is_reported_and_left_alone(server, file):
    get(server, file)
    changed = CONTENT[:-1] + b"?"
    file.write_bytes(changed)
    with pytest.raises(DownloadError, match=r"x.bin: its SHA-256 is .* but x.bin.sha256 .* says"):
        get(server, file)
    assert file.read_bytes() == changed
    assert len(server.asked) == 1


def test_another_file_on_the_server_is_refused_as_long_as_the_record_stands(server, file):
    get(server, file)
    file.unlink()
    server.files["/x.bin"] = b"something else"
    for _ in range(2):
        with pytest.raises(DownloadError, match="is another one now"):
            get(server, file)
        assert names(file) == {"x.bin.sha256"}
    file.with_name("x.bin.sha256").unlink()
    get(server, file)
    assert file.read_bytes() == b"something else"


def test_what_fails_its_check_never_gets_the_name(server, file):
    def check(path: Path) -> None:
        assert path.read_bytes() == CONTENT
        raise ValueError("not right")

    with pytest.raises(ValueError, match="not right"):
        get(server, file, check)
    assert names(file) == set()


def test_a_file_the_user_put_there_is_checked_and_recorded(server, file):
    file.parent.mkdir()
    file.write_bytes(CONTENT)
    checked = []
    get(server, file, checked.append)
    assert checked == [file]
    assert names(file) == {"x.bin", "x.bin.sha256"}
    assert not server.asked


def test_no_server_no_file_no_scheme(server, file):
    with pytest.raises(DownloadError, match=r"y.bin: the server answers 404 .*Check the address"):
        download(f"{server.url}/y.bin", file, anything)
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match="Nothing is here; run the same command again"):
        get(server, file)
    with pytest.raises(DownloadError, match="expected an http or https address"):
        download(f"file://{__file__}", file, anything)
