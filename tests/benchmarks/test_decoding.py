"""The benchmark of decoding decodes a run, and finds equal texts."""

import sys

from tests.benchmarks import decoding
from tests.helpers.untrained_runs import SIZES, make_untrained_run, write_manifests

LANGUAGES = ["en", "de"]


def test_both_searchers_write_the_same(tmp_path, monkeypatch, capsys):
    write_manifests(tmp_path / "manifests", LANGUAGES)
    run = tmp_path / "run"
    make_untrained_run(run, tmp_path / "manifests", "--languages=[en, de]", "--pairs=[de-en]")
    monkeypatch.setattr(sys, "argv", ["decoding.py", str(run)])
    decoding.main()
    _, _, *rows = capsys.readouterr().out.splitlines()
    texts = SIZES["dev"] * (len(LANGUAGES) + 1)
    assert len(rows) == 4
    assert all(row.endswith(f"| {texts} of {texts} |") for row in rows)
