"""Subtitles: SubRip (srt) and WebVTT (vtt), a cue for each segment."""

from collections.abc import Callable

HEADS = {"srt": "", "vtt": "WEBVTT\n"}
"""What a file begins with."""


def clock(seconds: float, point: str = ".") -> str:
    """A time as hours, minutes, seconds and milliseconds.

    Example
    -------
    >>> clock(3661.5), clock(59.9996, point=",")
    ('01:01:01.500', '00:01:00,000')
    """
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"


def srt(number: int, start: float, end: float, text: str) -> str:
    """A cue of SubRip, its number from 1 on.

    Example
    -------
    >>> print(srt(1, 0.5, 2.25, "Good day."))
    1
    00:00:00,500 --> 00:00:02,250
    Good day.
    <BLANKLINE>
    """
    return f"{number}\n{clock(start, ',')} --> {clock(end, ',')}\n{text}\n"


def vtt(number: int, start: float, end: float, text: str) -> str:
    """A cue of WebVTT; its text has the three characters escaped that mean something there.

    Example
    -------
    >>> print(vtt(1, 0.5, 2.25, "Fish & chips"))
    1
    00:00:00.500 --> 00:00:02.250
    Fish &amp; chips
    <BLANKLINE>
    """
    for character, escape in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, escape)
    return f"{number}\n{clock(start)} --> {clock(end)}\n{text}\n"


CUES: dict[str, Callable[[int, float, float, str], str]] = {"srt": srt, "vtt": vtt}
"""What makes a cue of each format."""
