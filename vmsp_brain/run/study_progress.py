"""How far a study is, on a terminal: a line for the runs that are done, one for each that runs."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from tqdm import tqdm

_WHOLE = "{desc}: {n_fmt} of {total_fmt} |{bar:30}| {elapsed}"
_ONE = "  {desc}: epoch {n_fmt} of {total_fmt} |{bar:30}|"


class StudyProgress:
    """Shows nothing but `say` where there is no terminal.

    Arguments
    ---------
    total : int
        Runs of the study.
    done : int
        How many of them are done.
    """

    def __init__(self, total: int, done: int) -> None:
        self._whole = tqdm(
            total=total, initial=done, desc="runs done", bar_format=_WHOLE, disable=None
        )
        self._lines: dict[str, tqdm] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType
    ) -> None:
        self.show({}, self._whole.n)
        self._whole.close()

    def show(self, running: Mapping[str, tuple[int, int]], done: int) -> None:
        """Show how many runs are done, and of each that runs, its epochs done and in all."""
        for name in self._lines.keys() - running.keys():
            self._lines.pop(name).close()
        for name, (epochs, total) in running.items():
            if name not in self._lines:
                self._lines[name] = tqdm(
                    total=total, desc=name, bar_format=_ONE, leave=False, disable=None
                )
            self._lines[name].n = epochs
            self._lines[name].refresh()
        self._whole.n = done
        self._whole.refresh()

    def say(self, line: str) -> None:
        """Print a line above."""
        tqdm.write(line)
