"""Archives as they should be, and as an attacker makes them."""

import tarfile
from pathlib import Path

import pytest

from corpus.archive import ArchiveError, check_archive, extract_member
from tests.helpers.archives import make_archive, member

TEXT = b"path\ttranslation\tsplit\n" * 1000


def anything(_: Path) -> None:
    """Is right."""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "corpus" / "x.tsv"


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("name", ["x.tsv", "./x.tsv", "some/folder/x.tsv"])
def test_one_file_is_taken_out(tmp_path: Path, target: Path, name: str):
    others = (member("folder", tarfile.DIRTYPE), b""), (member("README"), b"hello")
    archive = make_archive(tmp_path / "a.tar.gz", (member(name), TEXT), *others)
    extract_member(archive, "x.tsv", target, anything)
    assert target.read_bytes() == TEXT
    assert files(target.parent) == {"x.tsv"}


EVIL = {
    "up": (member("../evil"), "'../evil' leads out of the folder"),
    "up and down": (member("a/../../evil"), "leads out of the folder"),
    "from the root": (member("/tmp/evil"), "'/tmp/evil' leads out of the folder"),
    "backslashes": (member("..\\evil"), "leads out of the folder"),
    "symbolic link": (member("l", tarfile.SYMTYPE, "/etc/passwd"), "is a link to '/etc/passwd'"),
    "link to a folder": (member("x.tsv", tarfile.SYMTYPE, ".."), "is a link to '..'"),
    "hard link": (member("l", tarfile.LNKTYPE, "../../evil"), "is a link to '../../evil'"),
    "device": (member("d", tarfile.CHRTYPE), "is neither a file nor a folder"),
    "pipe": (member("p", tarfile.FIFOTYPE), "is neither a file nor a folder"),
}


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("first", [True, False])
def test_nothing_is_unpacked_from_an_archive_with_an_evil_member(tmp_path, target, evil, first):
    info, message = EVIL[evil]
    members = [(member("x.tsv"), TEXT), (info, b"")]
    archive = make_archive(tmp_path / "a.tar.gz", *(reversed(members) if first else members))
    for _ in range(2):
        with pytest.raises(ArchiveError, match="do not trust") as error:
            extract_member(archive, "x.tsv", target, anything)
        assert message in str(error.value)
        assert files(tmp_path) == {"a.tar.gz"}


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.98])
def test_a_truncated_archive_is_named(tmp_path: Path, target: Path, kept: float):
    archive = make_archive(tmp_path / "a.tar.gz", (member("x.tsv"), TEXT))
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ArchiveError, match=r"a.tar.gz is not a whole tar.gz archive"):
        extract_member(archive, "x.tsv", target, anything)
    assert not target.parent.exists()


def test_a_flipped_bit_is_found(tmp_path: Path):
    archive = make_archive(tmp_path / "a.tar.gz", (member("x.tsv"), TEXT))
    content = bytearray(archive.read_bytes())
    content[-6] ^= 1  # in gzip's checksum
    archive.write_bytes(content)
    with pytest.raises(ArchiveError, match="not a whole"):
        check_archive(archive, "x.tsv")


def test_other_kinds_of_files_are_named(tmp_path: Path):
    (tmp_path / "a.tar.gz").write_text("<html>Please log in</html>")
    with pytest.raises(ArchiveError, match="not a whole"):
        check_archive(tmp_path / "a.tar.gz", "x.tsv")
    make_archive(tmp_path / "a.tar.gz", (member("y.tsv"), TEXT))
    with pytest.raises(ArchiveError, match=r"expected one x.tsv in it, found y.tsv"):
        check_archive(tmp_path / "a.tar.gz", "x.tsv")


def test_a_file_that_is_there_is_kept(tmp_path: Path, target: Path):
    archive = make_archive(tmp_path / "a.tar.gz", (member("x.tsv"), TEXT))
    extract_member(archive, "x.tsv", target, anything)
    extract_member(archive, "x.tsv", target, anything)
    target.write_bytes(b"mine")
    with pytest.raises(ArchiveError, match=r"x.tsv differs from the file in .*left as it is"):
        extract_member(archive, "x.tsv", target, anything)
    assert target.read_bytes() == b"mine"
    assert files(target.parent) == {"x.tsv"}


def test_what_fails_its_check_does_not_come_into_the_corpus(tmp_path: Path, target: Path):
    def check(path: Path) -> None:
        raise ValueError(path.read_bytes()[:4].decode())

    archive = make_archive(tmp_path / "a.tar.gz", (member("x.tsv"), TEXT))
    with pytest.raises(ValueError, match="path"):
        extract_member(archive, "x.tsv", target, check)
    assert files(target.parent) == set()


def test_what_a_killed_run_left_is_in_nobodys_way(tmp_path: Path, target: Path):
    left = target.with_name("x.tsv.partial")
    left.mkdir(parents=True)
    (left / "x.tsv").write_bytes(TEXT[:100])
    archive = make_archive(tmp_path / "a.tar.gz", (member("x.tsv"), TEXT))
    extract_member(archive, "x.tsv", target, anything)
    assert target.read_bytes() == TEXT
    assert files(target.parent) == {"x.tsv"}
