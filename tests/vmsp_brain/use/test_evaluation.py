import csv

import jiwer
import sacrebleu

from vmsp_brain.run.scores import Hypothesis
from vmsp_brain.use.evaluation import write_speakers

SPEAKERS = {"1": "ann", "2": "bob", "3": "bob"}


def test_speakers_scores_are_jiwers_and_sacrebleus_the_hardest_first(tmp_path):
    heard = [("1", "a b c d", "a b c d"), ("2", "a b c d", "a x c d"), ("3", "a b", "")]
    made = {
        "asr/fr": [Hypothesis(*columns) for columns in heard],
        "st/fr-en": [Hypothesis("1", "A cat sat down there.", "A cat sat there.")],
    }
    write_speakers(tmp_path / "speakers.csv", made, SPEAKERS)
    with (tmp_path / "speakers.csv").open(newline="") as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    wer = 100 * jiwer.wer(["a b c d", "a b"], ["a x c d", ""])
    bleu = sacrebleu.corpus_bleu(["A cat sat there."], [["A cat sat down there."]]).score
    assert rows == [
        ("asr/fr", "bob", "2", "WER", f"{wer:.2f}"),
        ("asr/fr", "ann", "1", "WER", "0.00"),
        ("st/fr-en", "ann", "1", "BLEU", f"{bleu:.2f}"),
    ]
