"""The factory: one objective per language and pair, and SSL, each with its own head."""

from functools import partial
from types import SimpleNamespace

import pytest
from torch import nn

from tests.helpers.small_models import small_objectives
from vmsp_brain.names import split_pair
from vmsp_brain.objectives import (
    AttentionObjective,
    CTCAttentionObjective,
    Wav2Vec2Objective,
    multilingual_objectives,
)


def test_there_is_an_objective_per_language_and_pair_and_ssl():
    objectives = small_objectives(["en", "fr", "de"], ["fr-en", "en-de"])
    assert list(objectives) == ["asr/en", "asr/fr", "asr/de", "st/fr-en", "st/en-de", "ssl"]
    assert all(objective.name == name for name, objective in objectives.items())
    sources = [objective.source for objective in objectives.values()]
    assert sources == ["en", "fr", "de", "fr", "en", "ssl"]
    assert type(objectives["asr/fr"]) is CTCAttentionObjective
    assert isinstance(objectives["st/fr-en"], AttentionObjective)
    assert type(objectives["ssl"]) is Wav2Vec2Objective


def test_heads_share_no_parameter():
    objectives = small_objectives(["en", "fr"], ["fr-en"])
    found = [id(p) for objective in objectives.values() for p in objective.parameters()]
    assert len(found) == len(set(found)) == len(list(objectives.parameters()))


def made(languages, pairs) -> nn.ModuleDict:
    def objective(name: str, source: str) -> nn.Module:
        module = nn.Linear(1, 1)
        module.name, module.source = name, source
        return module

    return multilingual_objectives(
        languages, pairs, objective, objective, partial(objective, name="ssl", source="ssl")
    )


def test_no_pairs_is_recognition_and_ssl_alone():
    assert list(made(["en"], [])) == ["asr/en", "ssl"]


@pytest.mark.parametrize(
    ("languages", "pairs", "message"),
    [
        (["en", "fr", "en"], [], "languages: found en more than once"),
        (["en", "fr"], ["fr-en", "fr-en"], "pairs: found fr-en more than once"),
        (["en", "fr"], ["de-en"], "de-en translates from de.* en, fr"),
        (["en", "fr"], ["fren"], "'fren', expected source-target"),
        (["en", "fr"], ["fr-"], "'fr-', expected source-target"),
        (["en", "fr"], ["-en"], "'-en', expected source-target"),
    ],
)
def test_impossible_lists_are_refused_with_the_entry_at_fault(languages, pairs, message):
    with pytest.raises(ValueError, match=message):
        made(languages, pairs)


@pytest.mark.parametrize(("languages", "pairs"), [("fr", []), (["fr"], "fr-en"), ([""], [])])
def test_a_bare_string_or_an_empty_code_is_refused_by_the_name_of_its_key(languages, pairs):
    key = "pairs" if pairs else "languages"
    with pytest.raises(ValueError, match=rf"{key}: .*(list|empty|expected a)"):
        made(languages, pairs)


def test_pairs_are_split_at_the_first_hyphen():
    assert split_pair("fr-en") == ("fr", "en")
    assert split_pair("en-zh-CN") == ("en", "zh-CN")


def test_sources_may_have_a_region():
    """CoVoST 2 has zh-CN and sv-SE as sources."""
    objectives = made(["en", "zh-CN"], ["zh-CN-en"])
    assert objectives["st/zh-CN-en"].source == "zh-CN"


def test_objectives_need_a_name_of_their_own_for_ssl():
    ssl = nn.Linear(1, 1)
    ssl.name = "my_ssl"
    factory = SimpleNamespace(calls=0)
    objectives = multilingual_objectives([], [], factory, factory, lambda: ssl)
    assert list(objectives) == ["my_ssl"]
