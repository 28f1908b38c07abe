import os

import pytest

from vmsp_brain.files import put_in_place, whole_file, write_whole


def test_text_is_written_as_it_is_with_its_folder(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write_whole(path, "é\r\n\n")
    assert path.read_bytes() == "é\r\n\n".encode()
    assert [found.name for found in path.parent.iterdir()] == ["file.txt"]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    write_whole(path, "before")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "after \ud800")
    assert path.read_text() == "before"


def test_an_error_leaves_no_part_of_a_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("before")
    with pytest.raises(KeyError), whole_file(path) as partial:
        partial.write_text("half")
        raise KeyError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "file.txt"
    with whole_file(path) as first, whole_file(path) as second:
        first.write_text("first")
        second.write_text("second")
        assert not path.exists()
    assert path.read_text() == "first"  # the outer one ends last
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_on_the_device_before_it_has_its_name_and_its_name_after(tmp_path, monkeypatch):
    path, synced = tmp_path / "file.txt", []

    def note(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, path.exists()))

    monkeypatch.setattr(os, "fsync", note)
    write_whole(path, "text")
    assert synced == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]


def test_all_files_of_a_folder_are_on_the_device_before_it_has_its_name(tmp_path, monkeypatch):
    partial, path, synced = tmp_path / "partial", tmp_path / "model", []
    (partial / "inner").mkdir(parents=True)
    (partial / "inner" / "file").write_text("x")
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    put_in_place(partial, path)
    inside = [path, path / "inner", path / "inner" / "file"]
    assert {found.stat().st_ino for found in inside} == set(synced[:-1])
    assert synced[-1] == tmp_path.stat().st_ino
