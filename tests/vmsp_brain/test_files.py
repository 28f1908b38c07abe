import pytest

from vmsp_brain.files import write_whole


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
