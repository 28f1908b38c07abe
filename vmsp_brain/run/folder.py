"""The output folder of a run: every path in it, what is written there, and how it is read again."""

import csv
import functools
import json
import math
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import ruamel.yaml
from speechbrain.utils.checkpoints import CKPT_PREFIX

from vmsp_brain.files import write_whole
from vmsp_brain.method.conflict import VERDICTS, Similarities, Similarity, Strengths
from vmsp_brain.run.curves import Curve, read_events
from vmsp_brain.run.exclusive import exclusive
from vmsp_brain.run.moved_paths import moved
from vmsp_brain.run.scores import Hypothesis

LOGGING = Path(__file__).with_name("logging.yaml")
"""What goes to a run's log, and what people read."""

_TEST_AGAIN = "Let train.py end, or run evaluate.py on the run, to write it anew."
_COLUMNS = "id\treference\thypothesis"
_OF_CONFLICTS = ["layer", "pair", "similarity", "standard_error", "verdict"]
_OF_OBJECTIVES = ["layer", "objective", "norm", "norm_error", "signal_share", "signal_share_error"]


class RunFolder:
    """The output folder of a run, wherever it is now.

    Arguments
    ---------
    folder : Path
        The folder; it may be new, or have been moved since the run.

    Attributes
    ----------
    configuration, log, environment : Path
        The experiment file with everything resolved, SpeechBrain's log, and the environment.
    tensorboard, figures, conflicts, tests : Path
        Folders.
    scores, speakers : Path
        Results of the test.
    data : Path
        Which manifests it was begun with.
    tracking : Path
        The name by which other places know the run.

    Example
    -------
    >>> run = RunFolder("results/mini")
    >>> run.hypotheses("st/fr-en").as_posix()
    'results/mini/test/st_fr-en.tsv'
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.configuration = self.folder / "hyperparams.yaml"
        self.log = self.folder / "log.txt"
        self.environment = self.folder / "env.log"
        self.tensorboard = self.folder / "tensorboard"
        self.figures = self.folder / "figures"
        self.conflicts = self.folder / "conflicts"
        self.tests = self.folder / "test"
        self.scores = self.folder / "results.json"
        self.speakers = self.folder / "speakers.csv"
        self.data = self.folder / "data.json"
        self.tracking = self.folder / "tracking_id.txt"

    @staticmethod
    def is_run(folder: str | Path) -> bool:
        """Whether a folder is a run's: a run has a log, an exported model has none."""
        run = RunFolder(folder)
        return run.configuration.is_file() and run.log.is_file()

    # ---------------------------------------------------------------- configuration

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """The run's configuration, without building what is in it.

        Raises
        ------
        FileNotFoundError, ValueError
            If it is missing or damaged; the latter also where a key is asked for that it lacks.
        """
        if not self.configuration.is_file():
            raise FileNotFoundError(
                f"{self.configuration} is missing: is {self.folder} the output folder of a run?"
            )
        return _Settings(self.configuration)

    def damaged_configuration(self, error: Exception) -> ValueError:
        """The error to raise if what the configuration declares cannot be built."""
        why = " ".join(str(error.args[-1] if error.args else error).split())
        return ValueError(f"{self.configuration} is damaged, or of another version: {why}.")

    def path(self, key: str) -> Path:
        """A path that the configuration names; one inside the run has moved with it."""
        return Path(moved(self.settings[key], self.settings["output_folder"], self.folder))

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints, in the run unless its configuration says otherwise."""
        return self.path("save_folder") if self.configuration.exists() else self.folder / "save"

    @property
    def tokenizers(self) -> Path:
        """The folder of the vocabularies, in the run unless its configuration says otherwise."""
        inside = self.folder / "tokenizers"
        return self.path("tokenizer_folder") if self.configuration.exists() else inside

    def was_trained(self) -> bool:
        """Whether there is a checkpoint."""
        return any(self.checkpoints.glob(f"{CKPT_PREFIX}*"))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """In here, other runs are kept out; also after a kill, the folder is free.

        Raises
        ------
        RuntimeError
            If another run holds it; the message says which.
        """
        with exclusive(self.folder, "run", "--output_folder"):
            yield

    # ---------------------------------------------------------------- data

    def write_data(self, manifests: Mapping[str, Any]) -> None:
        """Write what identifies the manifests that the run reads."""
        write_whole(self.data, json.dumps(manifests, indent=1) + "\n")

    def read_data(self) -> dict[str, Any] | None:
        """What `write_data` wrote; None of a run of before it was written.

        Raises
        ------
        ValueError
            If it is damaged.
        """
        if not self.data.exists():
            return None
        try:
            return dict(json.loads(self.data.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{self.data} is damaged: {error}. Remove it if you know that the corpus is as it "
                "was when the run was begun."
            ) from error

    # ---------------------------------------------------------------- elsewhere

    def tracking_id(self) -> str:
        """The name by which other places know the run; made when it is first asked for.

        Raises
        ------
        ValueError
            If its file is damaged.
        """
        if not self.tracking.exists():
            write_whole(self.tracking, f"{uuid.uuid4().hex}\n")
        found = self.tracking.read_text(encoding="utf-8", errors="replace").strip()
        if not re.fullmatch(r"[0-9a-f]{32}", found):
            raise ValueError(
                f"{self.tracking} is damaged: found {found[:40]!r}, expected 32 hex digits. "
                "Restore it, or remove it to begin another run in W&B and MLflow."
            )
        return found

    # ---------------------------------------------------------------- results

    def hypotheses(self, objective: str) -> Path:
        """The file of an objective's hypotheses."""
        return self.tests / f"{objective.replace('/', '_')}.tsv"

    def write_results(self, report: Mapping, hypotheses: Mapping[str, list[Hypothesis]]) -> None:
        """Write the scores, and every objective's hypotheses beside the references.

        Arguments
        ---------
        report : dict
            From `vmsp_brain.run.scores.results`.
        hypotheses : dict
            By objective.
        """
        for name, made in hypotheses.items():
            lines = [f"{item.id}\t{item.reference}\t{item.hypothesis}" for item in made]
            write_whole(self.hypotheses(name), "\n".join([_COLUMNS, *lines]) + "\n")
        self.write_report(report)

    def write_report(self, report: Mapping) -> None:
        """Write the scores alone."""
        write_whole(self.scores, json.dumps(report, indent=2) + "\n")

    def read_report(self) -> dict:
        """The scores of the test.

        Raises
        ------
        FileNotFoundError
            If the run was not tested.
        ValueError
            If the file is damaged.
        """
        text = _text_of_test(self.scores)
        try:
            report = json.loads(text)
            if not isinstance(report, dict):
                raise ValueError(f"found {text[:20]!r}, expected an object")
        except ValueError as error:
            raise ValueError(f"{self.scores} is damaged: {error}. {_TEST_AGAIN}") from None
        return report

    def read_hypotheses(self, objective: str) -> list[Hypothesis]:
        """An objective's hypotheses of the test, in the order of the file.

        Raises
        ------
        FileNotFoundError
            If there are none.
        ValueError
            If the file is damaged; the message names the line.
        """
        path, made = self.hypotheses(objective), []
        *lines, rest = _text_of_test(path).split("\n")
        if rest or lines[:1] != [_COLUMNS]:
            raise ValueError(
                f"{path} is damaged: found {rest or lines[:1]!r} at its {'end' if rest else 'head'}"
                f", expected a whole table of {_COLUMNS.split()}. {_TEST_AGAIN}"
            )
        for number, line in enumerate(lines[1:], start=2):
            columns = line.split("\t")
            if len(columns) != 3:
                raise ValueError(
                    f"{path}, line {number}: found {len(columns)} columns, expected id, reference "
                    f"and hypothesis. {_TEST_AGAIN}"
                )
            made.append(Hypothesis(*columns))
        return made

    # ---------------------------------------------------------------- what training shows

    def read_curves(self) -> dict[str, Curve]:
        """All scalars that the run wrote for TensorBoard, by tag such as ``WER_valid/fr``.

        Raises
        ------
        FileNotFoundError
            If there are none.
        """
        curves = read_events(self.tensorboard)
        if not curves:
            raise FileNotFoundError(
                f"{self.folder} has no TensorBoard scalars in its folder tensorboard. Is it the "
                "output folder of a run that trained?"
            )
        return curves

    def write_conflicts(self, epoch: int, similarities: Similarities, strengths: Strengths) -> None:
        """Write an epoch's two tables (CSV): a row per layer and pair of objectives, which tells
        whether they agree there, and a row per layer and objective, which tells how clear it is.

        A cell is empty where noise leaves nothing to be said.
        """
        for name, columns, rows in (
            ("epoch", _OF_CONFLICTS, similarities),
            ("objectives", _OF_OBJECTIVES, strengths),
        ):
            text = StringIO()
            table = csv.writer(text)
            table.writerow(columns)
            for layer, found in rows.items():
                table.writerows([layer, key, *_cells(values)] for key, values in found.items())
            write_whole(self.conflicts / f"{name}_{epoch:04d}.csv", text.getvalue())

    def read_conflicts(self) -> dict[int, Similarities]:
        """Similarities of gradients by epoch; empty if none were measured.

        Raises
        ------
        ValueError
            If a file is damaged; the message names it.
        """
        paths = sorted(self.conflicts.glob("epoch_*.csv"))
        return {int(path.stem.removeprefix("epoch_")): _read_similarities(path) for path in paths}


class _Settings(dict):
    """A run's configuration, which names its file where a key is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            found = ruamel.yaml.YAML().load(path.read_text(encoding="utf-8"))
        except (ruamel.yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(self._damaged(" ".join(str(error).split()))) from error
        if not isinstance(found, dict):
            raise ValueError(self._damaged("it holds no keys"))
        super().__init__(found)

    def __missing__(self, key: str) -> Any:
        raise ValueError(self._damaged(f"the key {key} is not there"))

    def _damaged(self, how: str) -> str:
        return (
            f"{self.path} is damaged, or not a run's: {how}. Restore it, or remove it and start "
            "the run again with the experiment file and the options that it was begun with."
        )


def _text_of_test(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: was the run tested? {_TEST_AGAIN}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is damaged: {error}. {_TEST_AGAIN}") from error


def _cells(values: Iterable[float | str]) -> list[str]:
    """Words as they are, numbers to six digits, and nothing for what is no number."""
    words = [value if isinstance(value, str) else f"{value:.6f}" for value in values]
    return ["" if word == "nan" else word for word in words]


def _read_similarities(path: Path) -> Similarities:
    found: dict[str, dict[str, Similarity]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        if header != _OF_CONFLICTS:
            raise ValueError(f"found the columns {header}, expected {_OF_CONFLICTS}")
        for layer, pair, value, error, verdict in rows:
            if verdict not in VERDICTS:
                raise ValueError(f"found the verdict {verdict!r}, expected one of {VERDICTS}")
            mean, deviation = (float(cell) if cell else math.nan for cell in (value, error))
            found.setdefault(layer, {})[pair] = Similarity(mean, deviation, verdict)
        return found
    except ValueError as error:  # neither a number nor a table
        raise ValueError(
            f"{path} is damaged: {error}. Restore it, or remove it to go without that epoch's."
        ) from error
