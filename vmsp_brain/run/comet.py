"""COMET, a learned score of translations (Rei et al., 2020), by Unbabel's own command.

The package ``unbabel-comet`` cannot be imported here: it asks for transformers below 5, numpy below
2 and protobuf below 5. Its command ``comet-score`` runs in an environment of its own.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from vmsp_brain.data.loading import read_manifests
from vmsp_brain.data.manifests import merged
from vmsp_brain.run.folder import RunFolder
from vmsp_brain.run.results import score_lines, score_rows
from vmsp_brain.run.scores import Hypothesis

COMMAND = "comet-score"


def _is_model(model: str) -> bool:
    checkpoint = Path(model)
    beside = checkpoint.parent.parent / "hparams.yaml"
    return checkpoint.suffix == ".ckpt" and checkpoint.is_file() and beside.is_file()


NEEDS: tuple[tuple[Callable[[str], bool], str], ...] = (
    (
        _is_model,
        "a checkpoint of a COMET model, such as wmt22-comet-da/checkpoints/model.ckpt, with its "
        "hparams.yaml in the folder above",
    ),
    (
        lambda model: shutil.which(COMMAND) is not None,
        f"the command {COMMAND}, which scores with it, on PATH: pipx install unbabel-comet (not "
        "into this environment, whose transformers it does not take)",
    ),
)
"""What must hold of a path to a model for it to score, and the same in words."""


def check_comet(model: str | None) -> None:
    """Refuse a model that cannot score, before anything is decoded.

    Raises
    ------
    ValueError
        If it is not there, or nothing is installed to score with it.
    """
    for holds, expected in NEEDS if model else ():
        if not holds(str(model)):
            raise ValueError(f"comet_model: found {model}, expected {expected}.")


def comet_scores(
    hypotheses: Mapping[str, list[Hypothesis]],
    sources: Mapping[str, str],
    model: str,
    device: str = "cpu",
) -> dict:
    """COMET of every pair, times 100, and their mean, as `vmsp_brain.run.scores.results` has them.

    Arguments
    ---------
    hypotheses : dict
        By objective; those of translation are scored.
    sources : dict
        The transcription of every utterance by ID, which COMET compares a translation with too.
    model : str
        Path to a checkpoint.
    device : str
        Such as cpu or cuda.

    Returns
    -------
    dict
        ``comet`` by pair, ``comet_mean``, and ``comet_model``, the path; empty if nothing was
        translated.

    Raises
    ------
    ValueError
        If utterances have no transcription, or the command fails; the message has its own.
    """
    made = {n.removeprefix("st/"): own for n, own in hypotheses.items() if n.startswith("st/")}
    spoken = {pair: [sources.get(h.id, "").strip() for h in own] for pair, own in made.items()}
    for pair, texts in spoken.items():
        if not all(texts):
            raise ValueError(
                f"comet_model: {texts.count('')} of {len(texts)} utterances of {pair} have no "
                "transcription, which COMET compares their translation with. Leave it out."
            )
    rows = [
        (source, h.hypothesis, h.reference)
        for pair, own in made.items()
        for source, h in zip(spoken[pair], own, strict=True)
    ]
    if not rows:
        return {}
    found = iter(_segments(rows, model, device))  # of all pairs at once: the model is loaded once
    scores = {pair: 100 * sum(next(found) for _ in own) / len(own) for pair, own in made.items()}
    return {
        "comet": {pair: round(score, 2) for pair, score in scores.items()},
        "comet_mean": round(sum(scores.values()) / len(scores), 2),
        "comet_model": str(model),
    }


def _segments(rows: list[tuple[str, str, str]], model: str, device: str) -> list[float]:
    """The score of each source, hypothesis and reference."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("source", "hypothesis", "reference")]
        for file, texts in zip(files, zip(*rows, strict=True), strict=True):
            lines = (" ".join(text.split()) for text in texts)
            file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        gpus, scored = str(int(device.startswith("cuda"))), Path(folder, "scores.json")
        paths = [w for o, file in zip("str", files, strict=True) for w in (f"-{o}", str(file))]
        words = [COMMAND, *paths, "--model", str(model), "--gpus", gpus]
        words += ["--quiet", "--only_system", "--to_json", str(scored)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode or not scored.is_file():
            said = "\n".join((done.stderr or done.stdout).splitlines()[-5:])
            raise ValueError(f"comet_model: {COMMAND} ended with {done.returncode}:\n{said}")
        [segments] = json.loads(scored.read_text(encoding="utf-8")).values()
    return [segment["COMET"] for segment in segments]


def add_comet(run: RunFolder, hparams: Mapping, device: str) -> None:
    """With ``comet_model``: score a run's translations of its test set, into its ``results.json``.

    Raises
    ------
    ValueError
        As `check_comet` and `comet_scores` do.
    """
    model = hparams.get("comet_model")
    if not model:
        return
    check_comet(model)
    report = run.read_report()
    utterances = merged(read_manifests(hparams, "test"))
    sources = {key: utterance["transcription"] for key, utterance in utterances.items()}
    made = {f"st/{pair}": run.read_hypotheses(f"st/{pair}") for pair in report.get("bleu", {})}
    scores = comet_scores(made, sources, model, device)
    run.write_report(report | scores)
    print(score_lines("Test", score_rows(scores)), flush=True)
