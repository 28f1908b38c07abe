"""Where a recording is cut: at its pauses, which are found by their energy.

A pause is as long as people make it between sentences, and quiet in comparison with this
recording's own speech and noise. What lies between two pauses is a piece, whatever is said in it.
"""

import itertools
from collections.abc import Iterator

import numpy as np

from vmsp_brain.audio import SILENCE

PAUSE = 0.5
"""Seconds without speech that make a cut; the stops within a sentence are shorter."""

SHORT_PAUSE = 0.25
"""Seconds without speech that make a cut where a piece is longer than the model is used to: on
sentences joined to more than it was trained on, mini-CoVoST's has six to eight times the errors."""

MARGIN = 0.01
"""Seconds left on both sides of a piece. No more: a model that was trained on clips without silence
at their ends hears words in it (mini-CoVoST's, with 0.15 s: four times the word errors)."""

CLICK = 0.1
"""Seconds of sound between two pauses that are too short for a word."""

STRETCH = 1.5
"""Times what the model is used to that a piece without a pause may last before it is cut."""

SOFTEST = 35.0
"""dB from the loudest tenth of a second down to the softest speech of the same recording."""

ABOVE_NOISE = 6.0
"""dB from the noise, the level that a tenth of the recording stays under, up to speech."""

LEAST_RANGE = 10.0
"""dB under the loudest tenth of a second that are speech in any case, however noisy it is."""

QUIETEST = 20 * np.log10(SILENCE)
"""dB of full scale that are silence."""


def pieces(
    levels: np.ndarray, frame: float, usual_seconds: float, max_seconds: float
) -> list[tuple[float, float]]:
    """What lies between the pauses; longer pieces than allowed are cut at their quietest places.

    Arguments
    ---------
    levels : ndarray
        Of every frame, in dB of full scale, (frames,).
    frame : float
        Seconds of a frame.
    usual_seconds : float
        Of a piece: a longer one is cut at short pauses too, the longest first.
    max_seconds : float
        Of a piece, whether it has pauses or not.

    Returns
    -------
    list of tuple
        Start and end of every piece in seconds, in order; none overlap.

    Example
    -------
    >>> levels = np.repeat([-80.0, -20.0, -80.0, -20.0, -80.0], [20, 200, 120, 100, 40])
    >>> [(f"{start:.2f}", f"{end:.2f}") for start, end in pieces(levels, 0.01, 20, 20)]
    [('0.19', '2.21'), ('3.39', '4.41')]
    """
    edges = np.flatnonzero(np.diff(levels > threshold(levels, frame), prepend=False, append=False))
    starts, ends = edges[::2], edges[1::2]  # of every sound; the end is the first quiet frame
    if len(starts) == 0:
        return []
    margin = round(MARGIN / frame)
    found: list[tuple[float, float]] = []
    for start, end in _between_pauses(starts, ends, frame, usual_seconds):
        first, last = max(0, start - margin), min(len(levels), end + margin)
        bounds = [first, *_quiet_places(levels, first, last, frame, max_seconds), last]
        found += [(a * frame, b * frame) for a, b in itertools.pairwise(bounds)]
    return found


def _between_pauses(
    starts: np.ndarray, ends: np.ndarray, frame: float, usual_seconds: float
) -> Iterator[tuple[int, int]]:
    """First and last frame of every piece but for clicks, in order, from those of the sounds."""
    pauses = (starts[1:] - ends[:-1]) * frame
    firsts = [0, *(np.flatnonzero(pauses >= PAUSE) + 1)]
    parts = list(itertools.pairwise([*firsts, len(starts)]))[::-1]
    while parts:
        first, last = parts.pop()
        start, end = int(starts[first]), int(ends[last - 1])
        inner = pauses[first : last - 1]
        if (end - start) * frame > usual_seconds and inner.max(initial=0.0) >= SHORT_PAUSE:
            cut = first + int(inner.argmax()) + 1
            parts += [(cut, last), (first, cut)]
        elif (end - start) * frame >= CLICK:
            yield start, end


def threshold(levels: np.ndarray, frame: float) -> float:
    """The level in dB above which there is speech, relative to the recording's own."""
    loudest = min(len(levels), max(1, round(0.1 / frame)))
    speech = np.partition(levels, -loudest)[-loudest]
    noise = np.percentile(levels, 10)
    relative = min(max(speech - SOFTEST, noise + ABOVE_NOISE), speech - LEAST_RANGE)
    return float(max(relative, QUIETEST))


def _quiet_places(
    levels: np.ndarray, first: int, last: int, frame: float, max_seconds: float
) -> list[int]:
    """Frames at which to cut a piece so that no part is too long."""
    most = max(4, int(max_seconds / frame))
    smooth = max(1, round(0.2 / frame))
    cuts: list[int] = []
    while last - first > most:
        # In the second half of what is allowed, and not so that next to nothing is left.
        low, high = first + most // 2, min(first + most, last - most // 4)
        around = np.convolve(levels[low:high], np.ones(smooth) / smooth, mode="same")
        first = low + int(around.argmin())
        cuts.append(first)
    return cuts


def batches(pieces: list[tuple[float, float]], max_seconds: float, most: int) -> list[list[int]]:
    """Numbers of pieces of similar length, the longest first, that are decoded together.

    Arguments
    ---------
    pieces : list of tuple
        Start and end in seconds.
    max_seconds : float
        Of a batch, padding included; a longer piece is a batch of its own.
    most : int
        Pieces in a batch.

    Example
    -------
    >>> batches([(0.0, 1.0), (2.0, 6.0), (7.0, 8.5)], max_seconds=4.0, most=8)
    [[1], [2, 0]]
    """
    lengths = [end - start for start, end in pieces]
    found: list[list[int]] = []
    for number in sorted(range(len(pieces)), key=lambda number: -lengths[number]):
        last = found[-1] if found else []
        if last and len(last) < most and (len(last) + 1) * lengths[last[0]] <= max_seconds:
            last.append(number)
        else:
            found.append([number])
    return found
