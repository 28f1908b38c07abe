"""Δm, mean ranks and the Pareto front, by hand."""

import pytest

from vmsp_brain.watch.multitask import delta_m, mean_ranks, pareto_front

REFERENCE = {"asr/en": 10.0, "asr/fr": 20.0, "st/fr-en": 40.0, "st/de-en": 50.0}


def test_a_method_is_no_worse_than_itself():
    assert delta_m(REFERENCE, REFERENCE) == 0.0


def test_delta_m_is_the_mean_of_relative_losses():
    scores = {"asr/en": 11.0, "asr/fr": 16.0, "st/fr-en": 36.0, "st/de-en": 60.0}
    assert delta_m(scores, REFERENCE) == pytest.approx((10 - 20 + 10 - 20) / 4)


def test_delta_m_is_none_without_something_to_compare_with():
    assert delta_m({"asr/en": 1.0}, REFERENCE) is None
    assert delta_m({"st/fr-en": 3.0}, {"st/fr-en": 0.0}) is None


def test_ranks_count_from_the_lowest_error_and_the_highest_bleu():
    scores = {
        "A": {"asr/en": 5.0, "st/fr-en": 30.0},
        "B": {"asr/en": 6.0, "st/fr-en": 40.0},
        "C": {"asr/en": 7.0, "st/fr-en": 30.0},
    }
    assert mean_ranks(scores) == {"A": (1 + 2.5) / 2, "B": (2 + 1) / 2, "C": (3 + 2.5) / 2}
    assert mean_ranks({}) == {}


def test_the_front_is_what_nothing_beats():
    points = {"bad": (9.0, 20.0), "b": (6.0, 40.0), "a": (5.0, 30.0), "behind": (6.0, 39.0)}
    assert pareto_front(points) == ["a", "b"]
    assert pareto_front({**points, "same": (5.0, 30.0)}) == ["a", "same", "b"]
