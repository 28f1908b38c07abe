"""Which tokenizer belongs to which objective of an experiment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vmsp_brain.data.loading import read_manifests
from vmsp_brain.data.tokenizers import LanguageTokenizer, Tokenizer, load_tokenizer, train_tokenizer
from vmsp_brain.names import matching, target_text


def text_objectives(hparams: Mapping[str, Any]) -> list[str]:
    """The objectives that produce text: recognition and translation."""
    recognition = [f"asr/{language}" for language in hparams["languages"]]
    translation = [f"st/{pair}" for pair in hparams["pairs"]]
    return matching([*recognition, *translation], hparams.get("only", ["*"]))


def identifies_language(hparams: Mapping[str, Any]) -> bool:
    """Whether an experiment has the objective ``lid``."""
    return bool(hparams.get("lid") and matching(["lid"], hparams.get("only", ["*"])))


def load_tokenizers(hparams: Mapping[str, Any]) -> dict[str, Tokenizer]:
    """The tokenizer of every objective that produces text, and that of ``lid``.

    Raises
    ------
    ValueError
        If a tokenizer has another size than the YAML file says.

    Example
    -------
    >>> from vmsp_brain.run.experiment_file import ExperimentFile
    >>> hparams = ExperimentFile("results/mini/hyperparams.yaml", {}).load()
    >>> {name: tokenizer.vocab_size() for name, tokenizer in load_tokenizers(hparams).items()}
    {'asr/en': 60, 'asr/fr': 60, 'st/fr-en': 60}
    """
    tokenizers: dict[str, Tokenizer] = {}
    for name in text_objectives(hparams):
        path = tokenizer_path(hparams, name)
        tokenizer = tokenizers[name] = load_tokenizer(path)
        key = f"{name.partition('/')[0]}_vocab_size"
        if tokenizer.vocab_size() != hparams[key]:
            raise ValueError(
                f"{path} has {tokenizer.vocab_size()} tokens, but {key} is {hparams[key]}. "
                f"Set {key} accordingly, or another tokenizer_folder to train a new one."
            )
    if identifies_language(hparams):
        tokenizers["lid"] = LanguageTokenizer(hparams["languages"])
    return tokenizers


def tokenizer_path(hparams: Mapping[str, Any], name: str) -> Path:
    """Where the tokenizer of an objective is; a task's objectives may share one."""
    task, _, languages = name.partition("/")
    if task == "st" and hparams["st_vocabulary"] == "joint":
        languages = "joint"
    if task == "asr" and hparams.get("asr_decoder") == "shared":
        languages = "joint"
    return Path(hparams["tokenizer_folder"]) / f"{task}_{languages}.model"


def training_texts(hparams: Mapping[str, Any]) -> dict[str, list[str]]:
    """What every objective that produces text is to produce for the training utterances."""
    utterances = read_manifests(hparams, "train")
    texts = {}
    for name in text_objectives(hparams):
        spoken = utterances[hparams["objectives"][name].source].values()
        texts[name] = list(filter(None, (target_text(name, utterance) for utterance in spoken)))
    return texts


def train_tokenizers(hparams: Mapping[str, Any]) -> None:
    """Train the tokenizers from the training manifests; those that are there are kept.

    Example
    -------
    >>> from vmsp_brain.run.experiment_file import ExperimentFile
    >>> overrides = {"tokenizer_folder": "tokenizers"}
    >>> train_tokenizers(ExperimentFile("results/mini/hyperparams.yaml", overrides).load())
    >>> sorted(path.name for path in Path("tokenizers").glob("*.model"))
    ['asr_en.model', 'asr_fr.model', 'st_joint.model']
    """
    texts: dict[Path, list[str]] = {}
    for name, sentences in training_texts(hparams).items():
        texts.setdefault(tokenizer_path(hparams, name), []).extend(sentences)
    for path, sentences in texts.items():
        key = f"{path.name.partition('_')[0]}_vocab_size"
        train_tokenizer(path, sentences, hparams[key], hparams["token_type"], key)
