import json
import re
from html.parser import HTMLParser

import pytest

from tests.helpers.recorded_runs import make_uas_and_usa
from vmsp_brain.run.record import read_run
from vmsp_brain.watch.comparison import compare_runs, doubts_of
from vmsp_brain.watch.pages import to_html
from vmsp_brain.watch.report import to_markdown


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("runs")
    return compare_runs({path.name: read_run(path) for path in make_uas_and_usa(folder)})


class Page(HTMLParser):
    """The text of a page, and what it refers to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.sources: list[str] = []
        self.inside = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.inside = tag
        self.sources += [value for key, value in attrs if key in ("src", "href")]

    def handle_data(self, data):
        if self.inside != "style":
            self.text.append(data)


def test_every_number_of_the_page_is_in_the_json(report, tmp_path):
    page = Page(to_html(to_markdown(report, {}), tmp_path))
    text = " ".join(page.text)
    known = {abs(float(x)) for x in re.findall(r"-?\d+(?:\.\d+)?", json.dumps(report))}
    shown = re.findall(r"\d+(?:\.\d+)?", text)
    assert len(shown) > 40
    assert {float(x) for x in shown} <= known


def test_the_page_needs_nothing_from_elsewhere(report, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.png").write_bytes(b"\x89PNG picture")
    page = Page(to_html(to_markdown(report, {"figures/a.png": "What it shows."}), tmp_path))
    assert page.sources[1:] == ["data:image/png;base64,iVBORyBwaWN0dXJl"]
    assert all(source.startswith("data:") for source in page.sources)


def test_pictures_stand_in_a_grid_above_their_captions(report, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(b"\x89PNG picture")
    html = to_html(to_markdown(report, {"a.png": "First.", "b.png": "Second."}), tmp_path)
    grid = html.partition('<div class="figures">')[2].partition("</div>")[0]
    assert re.findall(r"<figcaption>(.*?)</figcaption>", grid) == ["First.", "Second."]
    assert grid.count("<img") == 2 == html.count("<img")


DOUBTS = {
    "not learned": ({"wer_mean": 154.0}, r"usa has not learned the task \(WER 154.00\)"),
    "other budgets": (
        {"epochs": 1},
        r"the runs were not trained for equally many epochs \(uas 2, usa 1\)",
    ),
}


@pytest.mark.parametrize(("change", "reason"), DOUBTS.values(), ids=list(DOUBTS))
def test_without_grounds_nothing_is_recommended_and_it_says_why(report, change, reason):
    runs = {**report["runs"], "usa": {**report["runs"]["usa"], **change}}
    doubtful = {**report, "runs": runs}
    doubts = {metric: doubts_of(doubtful, metric) for metric in ("wer", "bleu")}
    text = to_markdown({**doubtful, "doubts": doubts}, {})
    assert re.search(rf"For recognition: no recommendation\*\*, for {reason}", text)
    assert "**For both" not in text


def test_few_utterances_are_no_grounds(report):
    few = {**report, "utterances": {"asr/en": 5, "asr/fr": 3, "st/fr-en": 8}}
    assert doubts_of(few, "wer") == ["8 test utterances are too few, expected 100 or more"]


def test_the_summary_says_what_to_choose_and_how_sure_it_is(report):
    text = to_markdown(report, {})
    recognition, translation, both = text.split("**For ")[1:4]
    assert recognition.startswith("recognition: uas (order UAS)**")
    assert "It is better than usa by" in recognition
    assert translation.startswith("translation: usa (order USA)**")
    assert "Its lead over uas by" in translation
    assert "choosing usa in place of uas gains" in both
    wer = report["best"]["wer"]["others"]["usa"]["difference"]
    assert f"costs {wer:.2f} points of WER" in both


def test_cost_and_conflict_are_summarized_as_far_as_they_are_known(report):
    text = to_markdown(report, {})
    assert "**Training time, in minutes:** 3.0 (uas)," in text
    share = r"Share of \(layer, pair of objectives\) that {}, mean over epochs:\*\* {}"
    assert re.search(share.format("agree", r"0.333 \(uas, usa\)\."), text)
    assert re.search(share.format("conflict", r"0.167 \(uas, usa\)\."), text)
    other = {**report["runs"]["usa"], "minutes": 4.0, "conflict_mean": None}
    runs = {"uas": {**report["runs"]["uas"], "conflict_mean": None}, "usa": other}
    text = to_markdown({**report, "runs": runs}, {})
    assert "from 3.0 (uas) to 4.0 (usa)" in text
    assert re.search(share.format("conflict", r"not recorded\."), text)


def test_a_run_that_wins_both_is_recommended_for_both(report):
    best = {"wer": report["best"]["wer"], "bleu": {**report["best"]["bleu"], "run": "uas"}}
    best["bleu"]["others"] = {"usa": {"difference": 0.0, "p_value": None}}
    text = to_markdown({**report, "best": best}, {})
    assert "**For both: uas (order UAS)**" in text
    assert "usa scored the same." in text


def test_tables_hold_every_run_and_language(report):
    rows = [
        line.strip("| ").split(" | ")
        for line in to_markdown(report, {}).splitlines()
        if "|" in line
    ]
    for name in ("uas", "usa"):
        run = report["runs"][name]
        scores = [f"{x:.2f}" for x in (*run["wer"].values(), run["wer_mean"])]
        assert [name, *scores] in rows
    found = report["differences"]["bleu"]["fr-en"]["usa"]
    assert f"{found['difference']:+.2f} ({found['p_value']:.4f})" in {
        cell for r in rows for cell in r
    }
    overview = next(row for row in rows if row[:2] == ["usa", "USA"])
    assert overview.count("not recorded") == 3
