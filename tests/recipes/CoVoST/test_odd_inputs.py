"""A hundred odd inputs end in one message or in what was asked for, and never cost anything.

Seeds are fixed; give `repeatable` more examples to look further. What it has found stays here as an
example of its own.
"""

import contextlib
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import compare_orders
import evaluate
import export
import train
import transcribe
from tests.helpers.commands import ROOT, TINY, Done, call
from tests.helpers.corpus import make_corpus
from tests.helpers.damage import DAMAGE, contents, lose, repeatable
from vmsp_brain.run.options.checks import shown
from vmsp_brain.run.options.keys import OPTIONS
from vmsp_brain.run.user_errors import one_message

pytestmark = pytest.mark.slow  # a run asks the system and git what it runs on

SECONDS = 180
"""That an input may take, of less than five; a busy machine is no hang."""
LINES = 15
"""That a message may have."""
OF_THIS_CORPUS = {
    "--languages": "[fr]",
    "--pairs": "[fr-en]",
    "--asr_vocab_size": "20",
    "--st_vocab_size": "18",
    "--batch_size": "1",
    "--ssl_batch_size": "1",
    "--checkpoints_to_keep": "2",
    "--measure_every": "1",
    "--noprogressbar": "True",
}
BASE = {**dict(option.split("=", 1) for option in TINY), **OF_THIS_CORPUS}


class Hang(BaseException):
    """Nothing catches it."""


@dataclass
class Place:
    """A copy of a corpus and of a run on it, to be damaged, and the folder for what is made."""

    folder: Path
    corpus: Path = field(init=False)
    run: Path = field(init=False)
    out: Path = field(init=False)
    speech: Path = field(init=False)
    other: Path = field(init=False)
    here: Path = field(init=False)

    def __post_init__(self) -> None:
        self.corpus, self.run = self.folder / "corpus", self.folder / "run"
        self.other = self.folder / "other"
        self.out, self.here = self.folder / "out", self.folder / "odd" / "here"
        self.speech = self.corpus / "fr" / "clips" / "fr_6.mp3"

    def options(self, out: Path, **changed: str) -> list[str]:
        """A command line of train.py."""
        given = {**BASE, "--data_folder": str(self.corpus), "--output_folder": str(out), **changed}
        return [str(ROOT / "hparams" / "uas.yaml"), *(f"{k}={v}" for k, v in given.items())]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Not to be changed."""
    place = Place(tmp_path_factory.mktemp("whole"))
    make_corpus(place.corpus)
    done = ended(train.main, *place.options(place.run))
    assert done.returncode == 0, done.stderr
    shutil.copytree(place.run, place.other)
    return place


@contextlib.contextmanager
def copied(whole: Place) -> Iterator[Place]:
    """A copy; the current folder is two below it, for odd paths lead to there at most."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(whole.folder, folder, dirs_exist_ok=True)
        place = Place(Path(folder))
        place.here.mkdir(parents=True)
        with contextlib.chdir(place.here):
            yield place


def ended(main: Callable[[list[str]], None], *words) -> Done:
    """What a command ends with, as its script would; what it does not catch goes on from here."""

    def hang(*_) -> None:
        raise Hang(f"{main.__module__} {words}: not at its end after {SECONDS} s")

    def script(words: list[str]) -> None:
        with one_message():
            main(words)

    def leave_an_empty_log(_config: str, overrides: dict) -> None:
        Path(overrides["handlers"]["file_handler"]["filename"]).touch()

    former = signal.signal(signal.SIGALRM, hang)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("speechbrain.utils.logger.setup_logging", leave_an_empty_log)
        patch.setattr(sys, "excepthook", sys.excepthook)
        patch.setattr(sys, "argv", [str(ROOT / "recipes" / "CoVoST" / f"{main.__module__}.py")])
        signal.alarm(SECONDS)
        try:
            return call(script if main is train.main else main, *words, check=False)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, former)


def started(place: Place, name: str) -> tuple[list[str], Path]:
    """Words that are right, and a file that is there after them."""
    run, out = str(place.run), str(place.out)
    if name == "train anew":
        return place.options(place.out, **{"--number_of_epochs": "1"}), place.out / "results.json"
    return {
        "train": (place.options(place.run), place.run / "results.json"),
        "evaluate": ([run, "--split", "dev", "--output", out], place.out / "results.json"),
        "evaluate itself": ([run], place.run / "results.json"),
        "compare_orders": ([run, str(place.other), "--output", out], place.out / "report.html"),
        "export": ([run, out], place.out / "hyperparams.yaml"),
        "transcribe": (
            [str(place.speech), "--language", "fr", "--translate", "en", "--model", run],
            place.speech,
        ),
    }[name]


def check(place: Place, name: str, words: list[str], made: Path) -> Done:
    """Run a command: one message or what was asked for, and all else is as it was."""
    before, checkpoints = contents(place.folder), len([*place.run.glob("save/*/CKPT.yaml")])
    done = ended(MAINS[name], *words)
    assert done.returncode in (0, 1, 2)
    said = [line for line in re.split(r"[\r\n]", done.stderr) if line and "%|" not in line]
    assert "Traceback" not in done.stderr + done.stdout
    assert len(said) <= LINES, done.stderr
    if done.returncode:
        assert said
    elif not {"-h", "--help"} & set(words):
        assert made.is_file()
        assert done.stdout
    assert len([*place.run.glob("save/*/CKPT.yaml")]) >= checkpoints
    after = contents(place.folder)
    changed = [path for path, content in before.items() if after.get(path) != content]
    assert not [path for path in changed if not may_write(place, name, done, path)]
    return done


def may_write(place: Place, name: str, done: Done, path: Path) -> bool:
    """Whether a command may change a file that was there."""
    if not path.is_relative_to(place.run):
        return False
    [top, *_] = path.relative_to(place.run).parts
    if name == "evaluate itself":
        return not done.returncode and top in {"results.json", "speakers.csv", "test"}
    if name != "train":
        return False
    if top == "manifests":
        return path.suffix != ".csv"  # what was found in the corpus, and when
    if done.returncode:
        return top in OF_A_START
    return top != "tokenizers"  # with new checkpoints old ones go


MAINS = {
    "train": train.main,
    "train anew": train.main,
    "evaluate": evaluate.main,
    "evaluate itself": evaluate.main,
    "compare_orders": compare_orders.main,
    "export": export.main,
    "transcribe": transcribe.main,
}
OF_A_START = {"log.txt", "env.log", "locked_by.txt", "hyperparams.yaml", "train.py", "lock"}
"""What a run that goes on writes before it reads anything."""

# ---------------------------------------------------------------- words of the command line

# fmt: off
VALUES = st.sampled_from([
    "", "abc", "-1", "0", "1", "1.5", ".nan", ".inf", "1e400", "0x1F", "2024-01-01", "null", "True",
    "[]", "{}", "[1, 1]", "[fr-]", "{a: 1}", "[", "'", "&x *x", "!ref <nothing>", "a b", "../..",
    "é\u200b", "\0", "--seed=1", "!new:nowhere.Thing", "x" * 300,
])
PATHS = st.sampled_from([
    "corpus", "corpus/fr/validated.tsv", "corpus/fr/clips/fr_0.mp3", "nowhere", "run/save",
    "run/hyperparams.yaml", "run/log.txt", "run/manifests/fr_dev.csv", "run/manifests/fr_train.csv",
]).map("../../{}".format)
WORDS = {
    "evaluate": [
        "--split", "--manifest", "--data_folder", "--output", "--average", "--beam_size",
        "--ctc_weight", "--batch_size", "--num_workers", "--device",
    ],
    "compare_orders": ["--output"],
    "export": ["--average"],
    "transcribe": ["--language", "--translate", "--model", "--max_duration", "--json", "--device"],
}
# fmt: on
KEYS = st.sampled_from([name for name in OPTIONS if "[" not in name and name != "compile"])
SETTINGS = st.one_of(
    st.tuples(KEYS, VALUES),
    KEYS.map(lambda key: (key, shown(OPTIONS[key].kind.example))),
    st.tuples(st.text("abcdefghijklmnopqrstuvwxyz_-=.", max_size=8), VALUES),
)


@repeatable(25)
@given(
    st.lists(SETTINGS, min_size=1, max_size=2).map(dict), st.sampled_from(["train", "train anew"])
)
def test_options_of_training(whole: Place, odd: dict[str, str], name: str):
    with copied(whole) as place:
        words, made = started(place, name)
        given = {f"--{key}": f"--{key}={value}" for key, value in odd.items()}
        words = [word for word in words if word.partition("=")[0] not in given]
        if "--output_folder" in given:
            made = place.corpus / "fr" / "validated.tsv"  # it is elsewhere
        check(place, name, [*words, *given.values()], made)


@repeatable(25)
@given(st.data(), st.sampled_from([*WORDS]))
def test_words_of_the_other_commands(whole: Place, data: st.DataObject, name: str):
    option = data.draw(st.one_of(st.sampled_from(WORDS[name]), st.text("-ab=", max_size=4)))
    of_value = st.one_of(VALUES, PATHS, st.none())
    value, place_of_value = data.draw(of_value), data.draw(st.integers(0, 4))
    with copied(whole) as place:
        words, made = started(place, name)
        words[place_of_value:place_of_value] = [option] if value is None else [option, value]
        check(place, name, words, made)


# ---------------------------------------------------------------- damaged files

OF_A_CORPUS = ["fr/validated.tsv", "fr/covost_v2.fr_en.tsv", "fr/clips/*.mp3"]
OF_A_RUN = [
    "hyperparams.yaml",
    "results.json",
    "test/*.tsv",
    "conflicts/*.csv",
    "save/*/CKPT.yaml",
    "save/*/*.ckpt",
    "tokenizers/*.model",
    "manifests/*.csv",
    "manifests/*.json*",
    "data.json",
    "tensorboard/*",
    "train_log.txt",
]


def damage(folder: Path, pattern: str, number: int, change: Callable[[Path], None]) -> None:
    """One of the files, by its number."""
    found = sorted(folder.glob(pattern))
    change(found[number % len(found)])


@repeatable(15)
@given(
    st.sampled_from(OF_A_CORPUS),
    st.integers(0, 6),
    DAMAGE,
    st.sampled_from(["train", "train anew"]),
)
def test_a_damaged_corpus(whole: Place, pattern: str, number: int, change, name: str):
    with copied(whole) as place:
        damage(place.corpus, pattern, number, change)
        check(place, name, *started(place, name))


@repeatable(40)
@given(
    st.sampled_from(OF_A_RUN),
    st.integers(0, 30),
    DAMAGE,
    st.sampled_from([name for name in MAINS if name != "train anew"]),
)
@example("conflicts/*.csv", 0, lose("a folder"), "compare_orders")
@example("test/*.tsv", 1, lose("a folder"), "evaluate itself")
def test_a_damaged_run(whole: Place, pattern: str, number: int, change, name: str):
    with copied(whole) as place:
        damage(place.run, pattern, number, change)
        check(place, name, *started(place, name))


@pytest.mark.parametrize("name", ["export", "transcribe"])
@pytest.mark.parametrize(
    ("whole_text", "cut"),
    [
        ("vmsp_brain.objectives.Wav2Vec2", "vmsp_brainobjectives.Wav2Vec2"),
        ("growth:", "rowth:"),
        ("st_vocabulary:", "st_ocabulary:"),
    ],
)
def test_a_cut_name_in_a_configuration(whole: Place, whole_text: str, cut: str, name: str):
    with copied(whole) as place:
        path = place.run / "hyperparams.yaml"
        path.write_text(path.read_text().replace(whole_text, cut))
        done = check(place, name, *started(place, name))
        assert done.returncode == 1
        assert done.stderr.startswith(f"{path} is damaged, or")
