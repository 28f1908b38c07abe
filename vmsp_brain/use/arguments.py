"""Numbers of a command line, refused where they make no sense."""

import argparse
from collections.abc import Callable


def at_least(least: int) -> Callable[[str], int]:
    """An argument's ``type``: a whole number.

    Example
    -------
    >>> at_least(1)("3")
    3
    >>> at_least(1)("0")
    Traceback (most recent call last):
    argparse.ArgumentTypeError: found '0', expected a whole number of at least 1
    """

    def read(word: str) -> int:
        try:
            number = int(word)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(
                f"found {word!r}, expected a whole number of at least {least}"
            )
        return number

    return read
