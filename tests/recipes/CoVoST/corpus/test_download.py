"""The command, against a server that has archives in CoVoST's form."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus.download import download_covost, next_steps
from corpus.prepare import prepare_covost
from corpus.tsv import CorpusError
from download_covost import main
from tests.helpers.archives import make_archive, member
from tests.helpers.corpus import make_corpus
from tests.helpers.file_server import FileServer, file_server

TSV = b"path\ttranslation\tsplit\nfr_0.mp3\tCold.\ttrain\n"


def archive(folder: Path, content: bytes = TSV, name: str = "covost_v2.fr_en.tsv") -> bytes:
    return make_archive(folder / "made.tar.gz", (member(name), content)).read_bytes()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    with file_server() as server:
        server.files["/covost/covost_v2.fr_en.tsv.tar.gz"] = archive(tmp_path)
        yield server


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def get(server: FileServer, data: Path, pairs: tuple[str, ...] = ("fr-en",)) -> list[Path]:
    return download_covost(data, pairs, f"{server.url}/covost/")


def test_translations_come_to_where_they_are_read(server, data):
    assert get(server, data) == [data / "fr" / "covost_v2.fr_en.tsv"]
    assert (data / "fr" / "covost_v2.fr_en.tsv").read_bytes() == TSV
    kept = {path.name for path in (data / "archives").iterdir()}
    assert kept == {"covost_v2.fr_en.tsv.tar.gz", "covost_v2.fr_en.tsv.tar.gz.sha256"}


def test_the_corpus_can_be_prepared_then(server, data, tmp_path):
    corpus = make_corpus(data)
    tsv = corpus / "fr" / "covost_v2.fr_en.tsv"
    server.files["/covost/covost_v2.fr_en.tsv.tar.gz"] = archive(tmp_path, tsv.read_bytes())
    tsv.unlink()
    get(server, data)
    prepare_covost(data, tmp_path / "out", ["fr"], ["fr-en"])
    assert (tmp_path / "out" / "fr_train.csv").exists()


def test_an_interrupted_command_goes_on(server, data):
    server.sends_at_most = 100
    with pytest.raises(OSError, match="100 bytes are here"):
        get(server, data)
    assert not (data / "fr").exists()
    server.sends_at_most = None
    get(server, data)
    assert server.asked[-1][1] == "bytes=100-"
    assert (data / "fr" / "covost_v2.fr_en.tsv").read_bytes() == TSV


@pytest.mark.parametrize("damage", ["truncated", "not an archive", "foreign columns", "evil"])
def test_a_bad_archive_never_comes_into_the_corpus(server, data, tmp_path, damage):
    good = server.files["/covost/covost_v2.fr_en.tsv.tar.gz"]
    evil = make_archive(tmp_path / "evil.tar.gz", (member("covost_v2.fr_en.tsv"), TSV),
                        (member("../../evil"), b"evil"))  # fmt: skip
    server.files["/covost/covost_v2.fr_en.tsv.tar.gz"] = {
        "truncated": good[:-20],
        "not an archive": b"<html></html>",
        "foreign columns": archive(tmp_path, b"a\tb\n1\t2\n"),
        "evil": evil.read_bytes(),
    }[damage]
    with pytest.raises(ValueError, match=r"covost_v2.fr_en.tsv"):
        get(server, data)
    assert not list(data.rglob("*.tsv"))
    assert not list(tmp_path.rglob("evil"))
    if damage != "foreign columns":  # a sound archive, but of another corpus
        assert not list((data / "archives").iterdir())
        server.files["/covost/covost_v2.fr_en.tsv.tar.gz"] = good
        get(server, data)
        assert (data / "fr" / "covost_v2.fr_en.tsv").read_bytes() == TSV


def test_a_damaged_archive_is_found_by_the_second_run_and_the_tsv_stays(server, data):
    get(server, data)
    kept = data / "archives" / "covost_v2.fr_en.tsv.tar.gz"
    kept.write_bytes(kept.read_bytes()[:-5])
    with pytest.raises(OSError, match="its SHA-256 is"):
        get(server, data)
    assert (data / "fr" / "covost_v2.fr_en.tsv").read_bytes() == TSV
    kept.unlink()
    get(server, data)


def test_pairs_that_covost_does_not_have_are_refused_before_anything_is_asked(server, data):
    for pair, message in (
        ("fr-de", "no fr-de"),
        ("en-fr", "no en-fr"),
        ("../x", "expected source"),
    ):
        with pytest.raises(ValueError, match=message):
            get(server, data, ("fr-en", pair))
    assert not server.asked
    assert not data.exists()


def test_what_to_do_next_depends_on_what_is_there(tmp_path: Path):
    pairs = ["fr-en", "es-en"]
    corpus = make_corpus(tmp_path / "my data", pairs=("fr-en",))
    (corpus / "es").mkdir()
    said = next_steps(corpus, pairs)
    assert "The clips of es are missing" in said
    assert f"{corpus}/es/clips/*.mp3" in said
    assert f"{corpus}/fr/clips" not in said
    assert f"covost_prepare.py '{corpus}' '{corpus}/manifests' --languages fr es" in said
    assert f"'{corpus}_hf' '{corpus}_hf/manifests' --languages fr es" in said
    assert "--source hf" in said
    assert "missing" not in next_steps(corpus, ["fr-en"])


def test_the_command(server, data, capsys):
    options = [str(data), "--base_url", f"{server.url}/covost", "--pairs"]
    main([*options, "fr-en"])
    assert "The clips of fr are missing" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"download_covost: pairs: CoVoST 2 has no fr-de"):
        main([*options, "fr-de"])
    with pytest.raises(CorpusError):
        download_covost(data, ["fr-de"])
