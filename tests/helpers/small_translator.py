"""An untrained model in use: what it writes is not words."""

from pathlib import Path

import torch

from tests.helpers.small_models import small_encoder, small_objectives
from vmsp_brain.data.tokenizers import LanguageTokenizer, load_tokenizer, train_tokenizer
from vmsp_brain.use.inference import SpeechTranslator

SEARCH = {"beam_size": 2, "max_decode_ratio": 0.5}


def small_translator(folder: Path, max_duration: float = 2.0, lid: bool = False):
    """Of English and French, and from French into English; its vocabulary is kept in the folder."""
    torch.manual_seed(0)
    path = folder / "all.model"
    train_tokenizer(path, ["a b c d e f g h i j"] * 10, 16)
    languages = ["en", "fr"]
    objectives = small_objectives(languages, ["fr-en"], vocab_size=16, lid=lid)
    tokenizers = dict.fromkeys(("asr/en", "asr/fr", "st/fr-en"), load_tokenizer(path))
    return SpeechTranslator(
        {"encoder": small_encoder(), "objectives": objectives},
        {
            "tokenizers": tokenizers | ({"lid": LanguageTokenizer(languages)} if lid else {}),
            "search": SEARCH,
            "max_duration": max_duration,
        },
        {"device": "cpu"},
    )
