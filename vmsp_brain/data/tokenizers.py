"""SentencePiece vocabularies, trained from the manifests and kept in the output folder.

SentencePiece is called directly: SpeechBrain's wrapper trains from a single annotation file, can
leave half a model behind when killed, and does not say why a vocabulary size is impossible.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import sentencepiece
from speechbrain.utils.logger import get_logger

from vmsp_brain.files import whole_file

logger = get_logger(__name__)

BLANK, BOS, EOS, UNKNOWN = 0, 1, 2, 3
"""Special tokens. BLANK (CTC's, also padding) is distinct from UNKNOWN, as CTC needs."""


MODEL_TYPES = ("unigram", "bpe", "char")

CHARACTER_COVERAGE = 0.9999
"""Share of the text's characters that get a token; real transcripts hold stray foreign letters."""


def train_tokenizer(
    path: str | Path,
    sentences: Iterable[str],
    vocab_size: int,
    model_type: str = "unigram",
    key: str = "vocab_size",
) -> None:
    """Train a vocabulary and write it, whole or not at all; an existing one is kept.

    Arguments
    ---------
    path : Path
        The model file to write.
    sentences : iterable of str
        The training text.
    vocab_size : int
        Number of tokens, the four special ones included.
    model_type : str
        ``unigram``, ``bpe`` or ``char``: a token for each character, what is left of the size is
        filled with tokens that no text has.
    key : str
        By what name the size is set, for messages.

    Raises
    ------
    ValueError
        If the model type is unknown, there is no text, or it cannot support the vocabulary size;
        the message says which sizes it can.
    """
    path = Path(path)
    if path.exists():
        return
    if model_type not in MODEL_TYPES:
        raise ValueError(
            f"token_type: found {model_type!r}, expected one of {', '.join(MODEL_TYPES)}."
        )
    sentences = [sentence for sentence in sentences if sentence.strip()]
    if not sentences:
        raise ValueError(f"{path.name}: there is no text to train this tokenizer from.")
    with whole_file(path) as partial, partial.open("wb") as model:
        try:
            unused = _unused(sentences, vocab_size) if model_type == "char" else []
            _train(sentences, vocab_size, model_type, model, control_symbols=unused)
        except RuntimeError as error:
            explained = _explain(path.name, key, vocab_size, len(sentences), str(error))
            raise ValueError(explained) from error
    found = coverage(load_tokenizer(path), sentences)
    if found.unknown_characters:
        logger.warning(
            f"{path.name}: {found.unknown_characters} of {found.characters} training characters "
            f"are too rare for the vocabulary ({found.letters[:20]})."
        )


def _train(
    sentences: Sequence[str], vocab_size: int, model_type: str, model: BinaryIO, **options: Any
) -> None:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        vocab_size=vocab_size,
        model_type=model_type,
        character_coverage=CHARACTER_COVERAGE,
        normalization_rule_name="identity",
        pad_id=BLANK,
        bos_id=BOS,
        eos_id=EOS,
        unk_id=UNKNOWN,
        num_threads=1,
        minloglevel=2,
        **options,
    )


def _unused(sentences: Sequence[str], vocab_size: int) -> list[str]:
    """Names of tokens beside the characters, which SentencePiece leaves at their own number, or
    drops without a word: heads are as large as the vocabulary is to be.

    Raises
    ------
    RuntimeError
        If there are more characters, in the words that SentencePiece has for other vocabularies.
    """
    model = BytesIO()
    _train(sentences, vocab_size, "char", model, use_all_vocab=True)
    needed = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()).vocab_size()
    if needed > vocab_size:
        raise RuntimeError(f"required_chars. {vocab_size} vs {needed}")
    return [f"<unused_{number}>" for number in range(vocab_size - needed)]


class LanguageTokenizer:
    """The languages as the tokens of ``lid``, in the place of a SentencePiece vocabulary.

    Arguments
    ---------
    languages : list of str
        In the order of their numbers.

    Example
    -------
    >>> tokenizer = LanguageTokenizer(["en", "fr"])
    >>> tokenizer.encode("fr"), tokenizer.decode([[1], [0]])
    ([1], ['fr', 'en'])
    """

    def __init__(self, languages: Sequence[str]) -> None:
        self.languages = list(languages)

    def encode(self, text: str) -> list[int]:
        """A language's number, a list of one.

        Raises
        ------
        ValueError
            If it is none of these.
        """
        if text not in self.languages:
            raise ValueError(
                f"language: found {text!r} in a manifest, expected one of "
                f"{', '.join(self.languages)}, which lid tells apart."
            )
        return [self.languages.index(text)]

    def decode(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        """The languages of numbers."""
        return [self.languages[number] for [number] in tokens]


Tokenizer = sentencepiece.SentencePieceProcessor | LanguageTokenizer
"""From texts to tokens and back, of any objective that has targets."""


@dataclass(frozen=True)
class Coverage:
    """How much of a text a vocabulary knows.

    Arguments
    ---------
    sentences, characters : int
        Of the text.
    sentences_with_unknown, unknown_characters : int
        Of them, those that become the token UNKNOWN in part, or altogether.
    letters : str
        Which the unknown characters are, the most frequent first.
    """

    sentences: int
    characters: int
    sentences_with_unknown: int
    unknown_characters: int
    letters: str

    @property
    def unknown_share(self) -> float:
        """Of the characters, from 0 to 1."""
        return self.unknown_characters / max(1, self.characters)


def coverage(tokenizer: sentencepiece.SentencePieceProcessor, sentences: Sequence[str]) -> Coverage:
    """How much of these sentences a vocabulary knows.

    A vocabulary has every character that it knows as a token of its own, whatever the longer ones.
    """
    pieces = {" ", *map(tokenizer.id_to_piece, range(tokenizer.vocab_size()))}
    counts = Counter("".join(sentences))
    unknown = [letter for letter, _ in counts.most_common() if letter not in pieces]
    return Coverage(
        sentences=len(sentences),
        characters=counts.total(),
        sentences_with_unknown=sum(not set(unknown).isdisjoint(text) for text in sentences),
        unknown_characters=sum(counts[letter] for letter in unknown),
        letters="".join(unknown),
    )


def load_tokenizer(path: str | Path) -> sentencepiece.SentencePieceProcessor:
    """Read a vocabulary.

    Raises
    ------
    ValueError
        If the file is missing or not a SentencePiece model.
    """
    if not Path(path).is_file():
        raise ValueError(
            f"{path} is missing. train.py makes it; to test a run, give the tokenizer_folder that "
            "it was trained with."
        )
    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as error:
        raise ValueError(
            f"{path} is not a SentencePiece model ({error}). It was damaged or is another file; "
            "restore it, or train again in a new output_folder."
        ) from error


def _explain(name: str, key: str, vocab_size: int, sentences: int, error: str) -> str:
    """Say which sizes are possible; SentencePiece does, in two forms."""
    largest = re.search(r"<= (\d+)", error)
    smallest = re.search(r"required_chars\. \d+ vs (\d+)", error)
    if largest:
        bound, fits = f"at most {largest[1]}", f"--{key}={largest[1]} or less"
    elif smallest:
        bound, fits = f"at least {smallest[1]}", f"--{key}={smallest[1]} or more"
    else:
        bound, fits = f"another size ({error})", f"another --{key}"
    return (
        f"{name}: the {sentences} training sentences cannot support a vocabulary of {vocab_size} "
        f"tokens, but {bound}. Give {fits}."
    )
