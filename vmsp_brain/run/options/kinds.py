"""Kinds of values: what fits, what is expected in words, and an example."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol


class Kind(Protocol):
    """What a key's value may be."""

    @property
    def expected(self) -> str:
        """In words, to stand after "expected"."""

    @property
    def example(self) -> Any:
        """A value that fits."""

    @property
    def schema(self) -> dict[str, Any]:
        """The same for editors, in JSON Schema's words."""

    def fits(self, value: Any) -> bool:
        """Whether a value, as YAML gives it, is of this kind."""


@dataclass(frozen=True)
class Number:
    """A number in a range; finite, unless infinity has a meaning, which ``infinite`` says.

    Example
    -------
    >>> share = Number(above=0, most=1)
    >>> share.expected, share.fits(0.5), share.fits(0), share.fits("0.5")
    ('a number above 0 and up to 1', True, False, False)
    """

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    infinite: str = ""

    noun: ClassVar[str] = "a number"
    json_type: ClassVar[str] = "number"

    @property
    def expected(self) -> str:
        """See `Kind`."""
        if self.least is not None and self.most is not None:
            bounds = f"from {self.least} to {self.most}"
        else:
            words = {"least": "of at least", "above": "above", "most": "up to", "below": "below"}
            given = [(word, getattr(self, name)) for name, word in words.items()]
            bounds = " and ".join(f"{word} {bound}" for word, bound in given if bound is not None)
        ends = f", or .inf ({self.infinite})" if self.infinite else ""
        return f"{self.noun} {bounds}".strip() + ends

    @property
    def example(self) -> Any:
        """See `Kind`."""
        return next(value for value in (self.least, 1, 0.5, self.most) if self.fits(value))

    @property
    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        words = {
            "minimum": self.least,
            "exclusiveMinimum": self.above,
            "maximum": self.most,
            "exclusiveMaximum": self.below,
        }
        bounds = {word: bound for word, bound in words.items() if bound is not None}
        return {"type": self.json_type, **bounds}

    def fits(self, value: Any) -> bool:
        """See `Kind`."""
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and not math.isnan(value)
            and (bool(self.infinite) or not math.isinf(value))
            and (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )


@dataclass(frozen=True)
class Whole(Number):
    """A whole number in a range."""

    noun: ClassVar[str] = "a whole number"
    json_type: ClassVar[str] = "integer"

    def fits(self, value: Any) -> bool:
        """See `Kind`."""
        return isinstance(value, int) and super().fits(value)


@dataclass(frozen=True)
class Flag:
    """Yes or no. (In YAML 1.2 the words yes, no, on and off are text.)"""

    expected: ClassVar[str] = "True or False"
    example: ClassVar[bool] = True
    schema: ClassVar[dict[str, Any]] = {"type": "boolean"}

    def fits(self, value: Any) -> bool:
        """See `Kind`."""
        return isinstance(value, bool)


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        """See `Kind`."""
        return f"one of {', '.join(self.words)}"

    @property
    def example(self) -> str:
        """See `Kind`."""
        return self.words[0]

    @property
    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        return {"enum": [*self.words]}

    def fits(self, value: Any) -> bool:
        """See `Kind`."""
        return isinstance(value, str) and value in self.words


@dataclass(frozen=True)
class Text:
    """Some text, which ``accepts`` may narrow.

    Example
    -------
    >>> Text("a path", "results/mine").fits("")
    False
    """

    expected: str
    example: str
    accepts: Callable[[str], bool] = lambda text: True

    schema: ClassVar[dict[str, Any]] = {"type": "string", "minLength": 1}

    def fits(self, value: Any) -> bool:
        """See `Kind`."""
        return isinstance(value, str) and bool(value.strip()) and self.accepts(value)


@dataclass(frozen=True)
class ListOf:
    """Several values of a kind, each once.

    Example
    -------
    >>> folders = ListOf(Text("a path", "results/mine"), "paths")
    >>> folders.expected, folders.example, folders.fits(["a", "a"])
    ('a list of paths, each once', ['results/mine'], False)
    """

    kind: Kind
    plural: str
    may_be_empty: bool = True

    @property
    def expected(self) -> str:
        """See `Kind`."""
        return f"a list of {self.plural}, each once" + (
            "" if self.may_be_empty else ", at least one"
        )

    @property
    def example(self) -> list:
        """See `Kind`."""
        return [self.kind.example]

    @property
    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        least = 0 if self.may_be_empty else 1
        return {"type": "array", "items": self.kind.schema, "minItems": least, "uniqueItems": True}

    def fits(self, value: Any) -> bool:
        """See `Kind`."""
        return (
            isinstance(value, list)
            and all(self.kind.fits(item) for item in value)
            and len(set(value)) == len(value)
            and (self.may_be_empty or bool(value))
        )


@dataclass(frozen=True)
class MappingOf:
    """A mapping whose keys and values are of two kinds.

    Example
    -------
    >>> heads = MappingOf(Text("", "st/*"), Text("", "asr/en"), "names")
    >>> heads.expected, heads.example, heads.fits({"st/*": 1})
    ('a mapping of names', {'st/*': 'asr/en'}, False)
    """

    key: Kind
    value: Kind
    plural: str

    @property
    def expected(self) -> str:
        """See `Kind`."""
        return f"a mapping of {self.plural}"

    @property
    def example(self) -> dict:
        """See `Kind`."""
        return {self.key.example: self.value.example}

    @property
    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        return {"type": "object", "additionalProperties": self.value.schema}

    def fits(self, value: Any) -> bool:
        """See `Kind`."""
        return isinstance(value, dict) and all(
            self.key.fits(key) and self.value.fits(item) for key, item in value.items()
        )
