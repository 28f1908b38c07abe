"""Random damage to a corpus ends in a message that says where, or in a preparation that is right.

Seeds are fixed; give `repeatable` more examples to look further.
"""

import json
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from corpus.clips import check_clip
from corpus.conversion import converted_path
from corpus.prepare import prepare_covost
from corpus.tsv import CorpusError
from tests.helpers.corpus import make_corpus
from tests.helpers.damage import HITS, contents, damaged, repeatable
from vmsp_brain.audio import load_audio
from vmsp_brain.data.manifests import SPLITS, manifest_path, read_manifest
from vmsp_brain.data.text import normalize_transcription, normalize_translation


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    return make_corpus(tmp_path_factory.mktemp("whole") / "corpus")


@repeatable(60)
@given(
    name=st.sampled_from(["covost_v2.fr_en.tsv", "validated.tsv"]), hits=HITS, drop=st.booleans()
)
def test_damaged_tables(corpus: Path, name: str, hits, drop: bool):
    with tempfile.TemporaryDirectory() as folder:
        copy, out = Path(folder, "corpus"), Path(folder, "out")
        shutil.copytree(corpus, copy)
        table = copy / "fr" / name
        table.write_bytes(damaged(table.read_bytes(), hits))
        before = contents(copy)
        try:
            prepare_covost(
                copy, out, ["fr"], ["fr-en"], workers=1, drop_faulty_evaluation_rows=drop
            )
        except CorpusError as error:
            assert re.search(r"\.tsv|fr (train|dev|test).*: has no", str(error))
        else:
            check_every_row_is_accounted_for(copy, out)
        assert contents(copy) == before


def check_every_row_is_accounted_for(corpus: Path, out: Path) -> None:
    report = json.loads((out / "preparation.json").read_text(encoding="utf-8"))
    kept = {split: read_manifest(manifest_path(out, "fr", split), corpus) for split in SPLITS}
    text = (corpus / "fr" / "covost_v2.fr_en.tsv").read_text(encoding="utf-8")
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    unused = sum(int(note.split()[2]) for note in report["notes"] if "labelled" in note)
    if "\\" not in text:  # else lines may be one row
        assert len(lines) - 1 == sum(map(len, kept.values())) + len(report["rejected"]) + unused
    for utterances in kept.values():
        for utterance in utterances.values():
            assert Path(utterance["wav"]).is_file()
            assert utterance["transcription"]
            assert utterance["translations"]["en"]


@pytest.mark.parametrize("kind", ["mp3", "wav", "flac", "ogg"])
@repeatable(40)
@given(hits=HITS)
def test_damaged_clips(kind: str, hits):
    with tempfile.TemporaryDirectory() as folder:
        clips = Path(folder, "clips")
        clips.mkdir()
        clip = clips / f"x.{kind}"
        soundfile.write(clip, 0.3 * np.sin(np.arange(8_000) / 7), 16_000)
        clip.write_bytes(damaged(clip.read_bytes(), hits))
        before = clip.read_bytes()
        found = check_clip(clips, clip.name, convert=True)
        assert clip.read_bytes() == before
        copy = converted_path(clips, clip.name)
        assert copy.is_file() == (found.fault in ("", "silent"))
        if not found.fault:
            for path in (clip, copy):
                waveform = load_audio(str(path))
                assert len(waveform) / 16_000 == pytest.approx(found.duration, abs=1e-3)


@repeatable(250)
@given(
    st.text(st.one_of(st.characters(), st.sampled_from("aAé'-·\u200c\u200d\u00ad\u0301\u0646क")))
)
def test_texts_are_as_they_are_after_once(text: str):
    for normalize in (normalize_transcription, normalize_translation):
        once = normalize(text)
        assert normalize(once) == once
        assert once == " ".join(once.split())
        assert not set(once) & set("\u00ad\u200b\u2060\ufeff")
