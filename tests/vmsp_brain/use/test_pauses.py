"""Cuts lie in the silences, whatever the recording's own level and noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmsp_brain.use.pauses import CLICK, MARGIN, PAUSE, batches, pieces

FRAME = 0.01


def levels_of(sounds, speech=-20.0, noise=-60.0, seed=0):
    """Of pauses and sounds in turn, in seconds; with the ups and downs of speech, and of noise."""
    rng = np.random.default_rng(seed)
    parts = []
    for number, seconds in enumerate(sounds):
        size = round(seconds / FRAME)
        spread, level = (6.0, speech) if number % 2 else (1.0, noise)
        parts.append(level + rng.uniform(-spread, spread, size))
    return np.concatenate(parts)


def where_sounds_are(sounds):
    bounds = np.cumsum([0.0, *sounds])
    return [(bounds[n], bounds[n + 1]) for n in range(1, len(sounds), 2)]


@given(
    st.lists(st.tuples(st.floats(0.6, 3.0), st.floats(0.4, 6.0)), min_size=1, max_size=30),
    st.sampled_from([-5.0, -20.0, -45.0]),
    st.floats(20.0, 50.0),
)
def test_every_piece_is_a_sound_and_every_boundary_lies_in_a_silence(pairs, speech, above):
    sounds = [seconds for pair in pairs for seconds in pair] + [0.8]
    sounds = [round(seconds / FRAME) * FRAME for seconds in sounds]
    found = pieces(levels_of(sounds, speech, max(speech - above, -80.0)), FRAME, 20.0, 20.0)
    expected = where_sounds_are(sounds)
    assert len(found) == len(expected)
    for (start, end), (first, last) in zip(found, expected, strict=True):
        assert first - MARGIN - FRAME <= start <= first
        assert last <= end <= last + MARGIN + FRAME


def test_stops_within_a_sentence_do_not_cut_it():
    assert len(pieces(levels_of([1.0, 1.5, PAUSE - 0.1, 1.5, 1.0]), FRAME, 20.0, 20.0)) == 1


def test_sentences_closer_to_each_other_are_pieces_where_together_they_are_unusually_long():
    """The longest pause first, and none that is within a sentence."""
    sounds = [0.0, 1.0, 0.2, 1.0, 0.4, 1.5, 0.3, 1.2, 0.35, 0.8, 0.2, 0.9, 0.6, 1.1, 0.3]
    assert len(pieces(levels_of(sounds), FRAME, 20.0, 20.0)) == 2
    found = pieces(levels_of(sounds), FRAME, 2.5, 4.0)
    words = where_sounds_are(sounds)
    expected = [(words[a][0], words[b][1]) for a, b in ((0, 1), (2, 2), (3, 3), (4, 5), (6, 6))]
    assert np.allclose(found, expected, atol=MARGIN + FRAME)


def test_a_sentence_that_is_a_little_longer_than_usual_stays_whole():
    assert len(pieces(levels_of([0.3, 3.0, 0.1, 0.4, 0.3]), FRAME, 3.0, 4.5)) == 1


def test_a_click_is_no_piece():
    levels = levels_of([1.0, 2.0, 1.0, CLICK / 2, 1.0])
    assert len(pieces(levels, FRAME, 20.0, 20.0)) == 1


def test_a_long_sound_is_cut_at_its_quietest_places():
    levels = levels_of([0.0, 4.0, 0.2, 4.0, 0.2, 4.0])
    found = pieces(levels, FRAME, 6.0, 6.0)
    assert found[0][0] == 0.0
    assert all(end - start <= 6.0 + 1e-9 for start, end in found)
    cuts = [end for _, end in found[:-1]]
    assert cuts == [start for start, _ in found[1:]], "nothing is lost"
    assert [round(cut, 1) for cut in cuts] == pytest.approx([4.1, 8.3], abs=0.2)


def test_sound_without_a_pause_is_cut_all_the_same():
    found = pieces(np.full(10_000, -20.0), FRAME, 20.0, 20.0)
    assert found[0][0] == 0 and found[-1][1] == pytest.approx(100.0)
    assert all(0 < end - start <= 20.0 + 1e-9 for start, end in found)


@given(st.lists(st.floats(0.1, 30.0), max_size=40), st.floats(1.0, 30.0), st.integers(1, 8))
def test_each_piece_is_in_one_batch_and_no_batch_is_too_large(lengths, seconds, most):
    made = batches([(0.0, length) for length in lengths], seconds, most)
    assert sorted(number for batch in made for number in batch) == list(range(len(lengths)))
    for batch in made:
        assert len(batch) <= most
        assert len(batch) == 1 or len(batch) * max(lengths[n] for n in batch) <= seconds
