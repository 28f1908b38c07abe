"""``init_from``: a run that starts from an earlier run's encoder, heads and tokenizers.

A head starts from the one of its own name, or from the one that ``init_heads`` gives it, such as a
translator into English from the recognizer of English.
"""

import shutil
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import torch
from speechbrain.utils.distributed import if_main_process
from torch import Tensor, nn

from vmsp_brain.data.text import NORMALIZED
from vmsp_brain.data.tokenizers import CHARACTER_COVERAGE, coverage, load_tokenizer
from vmsp_brain.data.vocabularies import (
    identifies_language,
    text_objectives,
    tokenizer_path,
    training_texts,
)
from vmsp_brain.encoders.loading import transfer_parameters
from vmsp_brain.files import whole_file
from vmsp_brain.names import matching
from vmsp_brain.objectives import SEPARATE, SHARED
from vmsp_brain.run.best import best_checkpoint, run_metric
from vmsp_brain.run.folder import RunFolder

MAX_UNKNOWN = 10 * (1 - CHARACTER_COVERAGE)
"""Share of an objective's training characters that an adopted vocabulary may lack: 0.1 %, ten times
what a vocabulary of its own leaves out. Letters that another language adds are 1 to 4 %."""


def check_earlier_run(hparams: Mapping[str, Any]) -> None:
    """With ``init_from``: that there is a run to start from, before the corpus is prepared.

    Raises
    ------
    FileNotFoundError
        If it is no run, or has no checkpoint.
    """
    if hparams["init_from"]:
        _checkpoint_of(hparams["init_from"])
    heads_given(hparams)


def heads_given(hparams: Mapping[str, Any]) -> dict[str, str]:
    """The earlier run's head that ``init_heads`` gives each of this run's; others are not there.

    Heads that share a decoder start from the same.

    Raises
    ------
    ValueError
        If there is no run to take heads from, one of the two runs has no such head, or one is given
        two.
    """
    given = hparams.get("init_heads") or {}
    if given and not hparams["init_from"]:
        raise ValueError(
            f"init_heads: found {dict(given)} without init_from, the run whose heads they are. "
            "Give --init_from too."
        )
    found: dict[str, str] = {}
    own = text_objectives(hparams)
    theirs = text_objectives(_run_of(Path(hparams["init_from"])).settings) if given else []
    for pattern, head in given.items():
        names = matching(own, [pattern])
        if not names:
            raise ValueError(
                f"init_heads: found {pattern}, expected, by name or pattern, heads of this run: "
                f"{', '.join(own)}."
            )
        if head not in theirs:
            raise ValueError(
                f"init_heads[{pattern}]: found {head}, expected a head of {hparams['init_from']}: "
                f"{', '.join(theirs)}."
            )
        for name in _with_those_that_share(names, own, hparams):
            if found.setdefault(name, head) != head:
                raise ValueError(
                    f"init_heads: found both {found[name]} and {head} for {name}, expected one "
                    "(heads that share a decoder start from the same)."
                )
    return found


def _with_those_that_share(names: list[str], own: list[str], hparams: Mapping) -> list[str]:
    tasks = {name.partition("/")[0] for name in names}
    shared = [f"{task}/*" for task in tasks if _decoder(hparams, task) == SHARED]
    return matching(own, [*names, *shared])


def _decoder(settings: Mapping[str, Any], task: str) -> str:
    return settings.get(f"{task}_decoder", SEPARATE)


def adopt_tokenizers(hparams: Mapping[str, Any]) -> None:
    """With ``init_from``: the earlier run's tokenizers, so that its heads keep their meaning.

    What they lack of this run's training text is printed.

    Raises
    ------
    ValueError
        If an objective's text has more than `MAX_UNKNOWN` characters that its tokenizer lacks;
        nothing is adopted then.
    """
    if not hparams["init_from"]:
        return
    earlier = {
        name: path
        for name, path in _earlier_tokenizers(hparams).items()
        if path.is_file() and path.name == tokenizer_path(hparams, name).name
    }
    then, now = _asr_text(_run_of(Path(hparams["init_from"])).settings), _asr_text(hparams)
    if then != now:
        print(f"Recognition's vocabularies are new: asr_text was {then}, is now {now}.")
        earlier = {name: path for name, path in earlier.items() if not name.startswith("asr/")}
    adopted = {tokenizer_path(hparams, name): path for name, path in earlier.items()}
    adopted = {own: path for own, path in adopted.items() if not own.exists()}
    for name, sentences in training_texts(hparams).items():
        own = tokenizer_path(hparams, name)
        if own in adopted:
            _check_coverage(name, adopted[own], sentences)
    for own, path in adopted.items():
        with whole_file(own) as partial:
            shutil.copyfile(path, partial)
    names = ", ".join(path.name for path in adopted)
    print(f"Tokenizers of {hparams['init_from']}: {names or 'none'}.")


def _asr_text(settings: Mapping[str, Any]) -> str:
    return settings.get("asr_text", NORMALIZED)


def _check_coverage(name: str, path: Path, sentences: list[str]) -> None:
    found = coverage(load_tokenizer(path), sentences)
    text = (
        f"{name}: {path.name} lacks {found.unknown_share:.2%} of the training characters, in "
        f"{found.sentences_with_unknown} of {found.sentences} sentences"
    )
    letters = f" ({' '.join(found.letters[:20])})" if found.letters else ""
    if found.unknown_share > MAX_UNKNOWN:
        key = {"st_joint": "st_vocabulary", "asr_joint": "asr_decoder"}.get(path.stem)
        separate = f"set {key}=separate, or " if key else ""
        raise ValueError(
            f"init_from: {text}{letters}, expected at most {MAX_UNKNOWN:.2%}: all of them would be "
            f"one unknown token. For another vocabulary, whose heads start new, {separate}give a "
            f"tokenizer_folder with a {path.name} of your own."
        )
    print(f"{text}{letters}.")


def _earlier_tokenizers(hparams: Mapping[str, Any]) -> dict[str, Path]:
    """By this run's objectives, the file of the head that each starts from, if there is one."""
    run = _run_of(Path(hparams["init_from"]))
    settings = {**run.settings, "tokenizer_folder": run.tokenizers}
    theirs, given = text_objectives(settings), heads_given(hparams)
    heads = {name: given.get(name, name) for name in text_objectives(hparams)}
    return {name: tokenizer_path(settings, head) for name, head in heads.items() if head in theirs}


def _languages(init_from: str) -> list[str]:
    """Those of the earlier run, the vocabulary of its ``lid``."""
    return list(_run_of(Path(init_from)).settings["languages"])


def start_from_earlier_run(hparams: Mapping[str, Any]) -> None:
    """With ``init_from``: its encoder and heads, unless this run has checkpoints of its own.

    A head means something only with the vocabulary that it was trained with: it is taken over if
    this run has the same, else it starts new; of one that ``init_heads`` gives, the decoder's
    layers are taken over in any case.
    """
    if not hparams["init_from"] or hparams["checkpointer"].find_checkpoint() is not None:
        return
    checkpoint, given = _checkpoint_of(hparams["init_from"]), heads_given(hparams)
    other = [
        name
        for name, path in _earlier_tokenizers(hparams).items()
        if not _same(path, tokenizer_path(hparams, name))
    ]
    if identifies_language(hparams) and hparams["languages"] != _languages(hparams["init_from"]):
        other.append("lid")
    new = [name for name in other if name not in given]
    if new:
        _print(f"Heads of another vocabulary than this run's start new: {', '.join(new)}.")
    theirs = _run_of(Path(hparams["init_from"])).settings
    for task in ("asr", "st"):
        found, own = _decoder(theirs, task), _decoder(hparams, task)
        if found != own:
            names = matching(hparams["objectives"], [f"{task}/*"])
            other += names
            if not given.keys() >= set(names):
                _print(f"Heads of {task} start new: {task}_decoder was {found}, is now {own}.")
    take_over(checkpoint, hparams["encoder"], hparams["objectives"], other, given)


def _same(theirs: Path, own: Path) -> bool:
    return theirs.is_file() and theirs.read_bytes() == own.read_bytes()


def take_over(
    checkpoint: Path,
    encoder: nn.Module,
    objectives: nn.ModuleDict,
    other: Container[str] = (),
    given: Mapping[str, str] | None = None,
) -> list[str]:
    """Take over the encoder, and the heads that are there, from a checkpoint of an earlier run.

    Heads of other languages and pairs stay as they are.

    Arguments
    ---------
    checkpoint : Path
        Its folder.
    encoder : Encoder
        This run's encoder.
    objectives : ModuleDict
        This run's objectives by name.
    other : list of str
        Objectives of another vocabulary, or kind of decoder, than the checkpoint's.
    given : dict
        By objective, the head to start from in place of the one of its own name; of `other`'s, the
        decoder alone.

    Returns
    -------
    list of str
        The objectives whose heads were loaded.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a tensor has another shape.
    """
    title = f"{checkpoint}/encoder.ckpt"
    _print(transfer_parameters(encoder, _load(checkpoint / "encoder.ckpt"), title).report(title))
    heads: dict[str, dict[str, Tensor]] = {}
    for name, tensor in _load(checkpoint / "objectives.ckpt").items():
        head, _, rest = name.partition(".")
        heads.setdefault(head, {})[rest] = tensor
    given = given or {}
    names = [name for name in objectives if name in given or name not in other]
    origins = {name: given.get(name, name) for name in names if given.get(name, name) in heads}
    for name, head in origins.items():
        objective, state = objectives[name], heads[head]
        title = f"{checkpoint}/objectives.ckpt, {head}"
        if name in given:
            title = f"init_heads, {name}: {title}"
        if name in other:
            title, state = f"{title}, for another vocabulary", _without_vocabulary(objective, state)
        _print(transfer_parameters(objective, state, title).report(title))
    known = list(origins)
    fresh = [name for name in objectives if name not in known]
    left = [name for name in heads if name not in origins.values()]
    _print(f"New heads: {', '.join(fresh) or 'none'}. Left out: {', '.join(left) or 'none'}.")
    loaded = {parameter for name in known for parameter in objectives[name].parameters()}
    sharing = [name for name in fresh if not loaded.isdisjoint(objectives[name].parameters())]
    if sharing:
        _print(f"With a decoder that was loaded, for they share it: {', '.join(sharing)}.")
    return known


def _without_vocabulary(objective: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A head but for the parts whose rows are tokens."""
    parts = getattr(objective, "of_vocabulary", ())
    return {name: tensor for name, tensor in state.items() if name.partition(".")[0] not in parts}


def _run_of(init_from: Path) -> RunFolder:
    """The run itself, or the one of a checkpoint: <run>/save/<checkpoint>."""
    folder = init_from.parent.parent if (init_from / "encoder.ckpt").is_file() else init_from
    if not RunFolder.is_run(folder):
        raise FileNotFoundError(
            f"init_from: {init_from} is neither a run's output_folder, which has hyperparams.yaml "
            "and log.txt, nor a checkpoint in one."
        )
    return RunFolder(folder)


def _checkpoint_of(init_from: str) -> Path:
    """The checkpoint that was given, or the best one of the run; says which."""
    run = _run_of(Path(init_from))
    if (Path(init_from) / "encoder.ckpt").is_file():
        _print(f"init_from: the checkpoint {init_from}, as given.")
        return Path(init_from)
    best = best_checkpoint(run)
    [key] = run_metric(run).values()
    metric = key.removeprefix("primary_")
    _print(
        f"init_from: the checkpoint {best.path}, the best of the run's by validation {metric} "
        f"({best.meta[key]:.2f}), of epoch {best.meta['epoch']}."
    )
    return best.path


def _load(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: this is no whole checkpoint of a run.")
    return torch.load(path, map_location="cpu", weights_only=True)


def _print(text: str) -> None:
    if if_main_process():
        print(text, flush=True)
