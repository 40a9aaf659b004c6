from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gist_core.cases import Case
from gist_core.errors import InvalidInputError, MissingExtraError
from gist_core.evaluation.report import cell, difference, write_report
from gist_core.evaluation.report.charts import write_picture
from gist_core.evaluation.report.estimates import Estimate, paired
from gist_core.evaluation.report.examples import choose
from gist_core.evaluation.report.groups import groups_of, metrics_of
from gist_core.evaluation.report.latency import Point, along_the_way, measured_apart
from gist_core.evaluation.report.machine import to_dict, to_json
from gist_core.evaluation.report.markdown import to_markdown
from gist_core.evaluation.report.page import to_page
from gist_core.evaluation.report.passages import answer_spans, passages_html
from gist_core.evaluation.report.reading import ratio_of_means, readings
from gist_core.evaluation.report.summary import ALL_QUESTIONS, summarise
from gist_core.evaluation.report.tables import losses
from gist_core.passage import Passage, Span

RATES = (2, 10)
VOID = {"meta", "input", "br", "link", "img"}


def _row(set_: str, id_: str, system: str, rate: int = 2, *, answer: bool | None = True, **more: object) -> dict:
    row = {
        "set": set_,
        "id": id_,
        "system": system,
        "rate": rate,
        "budget": 100 // rate,
        "tokens_in": 100,
        "tokens": 80 // rate,
        "over": False,
        "answer": answer,
        "evidence": 0.5,
        "all_evidence": False,
        "entities": 0.25,
        "invented": 0,
        "altered": False,
        "seconds": 0.5,
        "kept": [[0, 0, 3]],
    }
    return row | more


def _rows(set_: str, ours: str, other: str, rate: int = 2) -> list[dict]:
    """A record for each letter: y holds the answer, n does not."""
    return [
        _row(set_, str(at), system, rate, answer=letter == "y")
        for system, letters in (("bm25", other), ("gist", ours))
        for at, letter in enumerate(letters)
    ]


def _table(rows: list[dict], name: str):
    summary = summarise(rows)
    return next(t for t in (*summary.groups, *summary.sets) if t.name == name)


class Reader(HTMLParser):
    """A strict reading: every tag that is opened is closed in its order; all texts, tags, ids and links are kept."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.ids, self.links, self.text, self._open = [], [], [], "", []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in {"src", "href", "srcset", "action", "data"}]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data


# numbers


def test_means_intervals_and_paired_differences_are_pinned():
    table = _table(_rows("covidqa", ours="yyyyyyyyyn", other="yynnnnnnnn"), "covidqa")
    assert table.metric == "answer"
    assert table.records == 10
    assert table.quality["gist", 2] == Estimate(90.0, 70.0, 100.0, 10)
    assert table.quality["bm25", 2].mean == 20
    assert table.leads["bm25", 2] == Estimate(70.0, 40.0, 90.0, 10)
    assert table.leads["bm25", 2].verdict == "ahead"
    assert table.share["gist", 2] == 40


def test_a_lead_is_proven_only_with_its_whole_interval_above_zero():
    verdicts = [Estimate(1, low, high, 9).verdict for low, high in ((0.1, 2), (0, 2), (-1, 2), (-2, 0), (-2, -0.1))]
    assert verdicts == ["ahead", "open", "open", "open", "behind"]


def test_differences_are_of_the_records_both_have():
    assert paired({"a": 1.0, "b": 5.0, "c": 2.0}, {"b": 2.0, "c": 2.0, "d": 9.0}).mean == 1.5
    assert paired({"a": 1.0}, {"b": 1.0}) is None


values = st.dictionaries(st.text(max_size=3), st.floats(0, 100), max_size=12)


@given(values, values)
def test_a_difference_turned_round_is_its_negative(ours, other):
    one, two = paired(ours, other), paired(other, ours)
    assert (one is None) == (two is None) == (not ours.keys() & other.keys())
    if one and two:
        assert one.mean == pytest.approx(-two.mean)
        assert one.low - 1e-9 <= one.mean <= one.high + 1e-9
        assert one.n == two.n == len(ours.keys() & other.keys())


def test_cells_are_written_as_before():
    assert cell({"a": 100.0, "b": 0.0}) == "50.0 (0-100)"
    assert difference({"a": 3.0, "b": 3.0}, {"b": 1.0, "a": 1.0}) == "+2.0 (+2.0 to +2.0)"
    assert cell({}) == difference({"a": 1.0}, {}) == "-"


def test_groups_pool_records_and_languages_stand_apart():
    rows = [*_rows("covidqa", "yy", "nn"), *_rows("fairytaleqa", "yn", "nn"), *_rows("xquad/de", "nn", "yy")]
    summary = summarise(rows)
    assert [t.name for t in summary.groups] == ["long documents", "languages", "all sets"]
    long, languages, everything = summary.groups
    assert long.quality["gist", 2].mean == everything.quality["gist", 2].mean == 75
    assert everything.sets == ("covidqa", "fairytaleqa")
    assert languages.quality["gist", 2].mean == 0
    assert [t.name for t in summary.languages] == ["xquad/de"]
    assert [t.name for t in summary.sets_apart] == ["covidqa", "fairytaleqa"]


def test_a_set_of_no_group_stands_by_itself():
    assert groups_of(["mine"]) == {"mine": ("mine",)}
    assert list(groups_of(["mine", "covidqa"])) == ["long documents", "mine", "all sets"]


def test_every_set_has_its_measure():
    rows = [_row(name, "1", "gist") for name in ("covidqa", "qmsum_train", "hotpotqa_train100", "friendsqa")]
    rows += [_row("meeting", "1", "gist", answer=None), _row("nothing", "1", "gist", answer=None, evidence=None)]
    found = metrics_of(rows)
    assert list(found.values()) == ["answer", "evidence", "all_evidence", "answer", "evidence"]
    assert summarise(rows).groups[-1].metric == "own"
    assert summarise(rows).groups[-1].quality["gist", 2].mean == pytest.approx((100 + 50 + 0 + 100 + 50) / 5)


def test_sets_where_ours_is_behind_are_named_the_proven_first():
    rows = [*_rows("covidqa", "nnnn", "yyyy"), *_rows("policyqa", "yyyyn", "yyyyy"), *_rows("qed_dev", "yy", "nn")]
    found = losses(summarise(rows).sets)
    assert [(x.name, x.proven, x.lead.mean) for x in found] == [("covidqa", True, -100), ("policyqa", False, -20)]
    text = to_markdown(summarise(rows), {})
    assert "behind at least one system at some rate, on average, on: covidqa, policyqa." in text


def test_outputs_are_counted_and_errors_are_no_measurements():
    rows = [
        _row("covidqa", "1", "gist", over=True, invented=2, altered=True, entities=0.75),
        _row("covidqa", "2", "gist", entities=None, tokens_in=10),
        {"set": "covidqa", "id": "3", "system": "gist", "rate": 2, "budget": 50, "tokens_in": 9, "error": "no"},
    ]
    found = summarise(rows).outputs["gist", 2]
    assert (found.outputs, found.errors, found.over, found.altered) == (2, 1, 1, 1)
    assert (found.inventing, found.invented) == (1, 2)
    assert found.entities == Estimate(75.0, 75.0, 75.0, 1)
    assert found.fill == Estimate(80.0, 80.0, 80.0, 1)
    assert summarise(rows).sets[0].quality["gist", 2].n == 2


def _answer(id_: str, system: str, rate: int, exact: bool, f1: float) -> dict:
    return {"set": "s", "id": id_, "system": system, "rate": rate, "prediction": "p", "exact": exact, "f1": f1}


def test_reading_compares_with_the_full_texts_on_the_same_records():
    full = (("a", True, 1), ("b", True, 0.5), ("c", False, 0.5))
    ours = (("a", False, 0.25), ("b", True, 0.5), ("c", True, 1), ("unseen", True, 1))
    answers = [_answer(id_, "full", 1, exact, f1) for id_, exact, f1 in full]
    answers += [_answer(id_, "gist", 4, exact, f1) for id_, exact, f1 in ours]
    found = readings(answers)["gist", 4]
    assert (found.lost, found.gained) == (1, 1)
    assert found.exact.mean == found.full_exact.mean == pytest.approx(200 / 3)
    assert found.f1.n == 3
    assert found.ratio.mean == pytest.approx(100 * 1.75 / 2)
    assert found.ratio.low <= found.ratio.mean <= found.ratio.high
    assert list(summarise([], answers).reading) == [ALL_QUESTIONS]


def test_a_ratio_to_nothing_is_none():
    assert ratio_of_means({"a": 1.0}, {"a": 0.0}) is None
    assert ratio_of_means({"a": 50.0}, {"a": 100.0}) == Estimate(50, 50, 50, 1)


def test_latency_is_of_the_speed_measurement_where_it_has_lengths_else_of_the_rows():
    speed = [{"system": "gist", "tokens_in": n, "p50_ms": 2 * n, "calls": 5} for n in (200, 100)]
    assert measured_apart(speed) == {"gist": [Point(100, 200, 5), Point(200, 400, 5)]}
    assert measured_apart(speed[:1]) == {}
    rows = [_row("s", str(n), "gist", tokens_in=n, seconds=n / 1000) for n in (64, 70, 100, 500)]
    assert along_the_way(rows) == {"gist": [Point(70, 70, 3), Point(500, 500, 1)]}


def test_evidence_kept_stands_beside_the_answers_and_all_sets_count_as_before():
    rows = [*_rows("covidqa", "yy", "nn"), *_rows("qmsum_train", "yy", "nn"), *_rows("mine", "yn", "nn")]
    for row in rows:
        row["evidence"] = None if row["set"] == "mine" else row["evidence"]
    summary = summarise(rows)
    assert [(t.name, t.metric) for t in summary.evidence] == [("long documents", "evidence"), ("all sets", "evidence")]
    assert summary.evidence[0].quality["gist", 2] == Estimate(50.0, 50.0, 50.0, 2)
    assert summary.groups[-1].quality["gist", 2].mean == pytest.approx((100 + 100 + 50 + 50 + 100 + 0) / 6)
    text = to_markdown(summary, {})
    assert text.index("### long documents: answer kept") < text.index(
        "### long documents: evidence kept, % (2 records)"
    )
    found = to_dict(summary, {})["evidence"]
    assert [(t["name"], t["results"][0]["mean"]) for t in found] == [("long documents", 50.0), ("all sets", 50.0)]
    assert "long documents: evidence kept, % (2 records)" in Reader(to_page(summary, {})).text


def test_kinds_of_values_are_told_apart_where_the_rows_do():
    rows = [
        _row("covidqa", "1", "gist", kinds={"number": [1, 2, 0], "name": [0, 1, 3]}),
        _row("covidqa", "2", "gist", kinds={"number": [2, 2, 1], "date": [0, 0, 1]}),
        _row("covidqa", "3", "gist"),
    ]
    found = summarise(rows).outputs["gist", 2]
    assert list(found.kinds) == ["number", "date", "name"]
    assert (found.kinds["number"].kept.mean, found.kinds["number"].kept.n) == (75.0, 2)
    assert (found.kinds["date"].kept, found.kinds["date"].invented) == (None, 1)
    assert (found.entities.mean, found.invented) == (25.0, 0)
    text = to_markdown(summarise(rows), {})
    assert "### Numbers kept, % (2 records)" in text
    assert "| system | numbers | dates | identifiers | names |\n|---|---|---|---|---|\n| gist | 1 | 1 | 0 | 3 |" in text
    assert "Rows of earlier releases do not tell" in text
    kinds = to_dict(summarise(rows), {})["outputs"][0]["kinds"]
    assert kinds["name"] == {"kept": {"mean": 0.0, "low": 0.0, "high": 0.0, "n": 1}, "invented": 3}
    assert "by kind" not in to_markdown(summarise(rows[2:]), {})


def test_tokens_in_and_out_are_means():
    rows = [_row("s", str(n), "gist", tokens_in=n, tokens=n // 10) for n in (1_000, 3_000)]
    assert (summarise(rows).outputs["gist", 2].tokens_in, summarise(rows).outputs["gist", 2].tokens_out) == (2_000, 200)
    assert "| gist | 200 (of 2,000) |" in to_markdown(summarise(rows), {})


def test_what_exceeds_its_budget_is_marked_and_its_leads_are_no_losses():
    rows = [*_rows("covidqa", "nnnn", "yyyy"), *_rows("covidqa", "nnnn", "yyyy", 10)]
    rows += [_row("covidqa", str(n), "head", answer=False) for n in range(4)]
    fair = to_markdown(summarise(rows), {})
    assert "No output was over its budget." in fair
    assert [(x.system, x.rate) for x in losses(summarise(rows).sets)] == [("bm25", 2), ("bm25", 10)]
    rows[0]["over"] = True
    summary = summarise(rows)
    assert [(x.system, x.rate) for x in losses(summary.sets)] == [("bm25", 10)]
    text = to_markdown(summary, {})
    assert "Not all kept to it: bm25 at 2x. " in text
    assert "| bm25 | 100.0 (100-100) 1 over | 100.0 (100-100) |" in text
    assert "| long documents | 0 ▲ (1 open) 0 ▼, 1 over | 0 ▲ (0 open) 1 ▼ |" in text
    assert "| bm25 | -100.0 (-100.0 to -100.0) 1 over | -100.0 (-100.0 to -100.0) ▼ |" in text
    found = to_dict(summary, {})
    assert [(x["system"], x["rate"], x["over"]) for x in found["behind_at_unequal_size"]] == [("bm25", 2, 1)]
    assert [x["over"] for x in found["groups"][0]["results"] if x["system"] == "bm25"] == [1, 0]
    assert [x["at_equal_size"] for x in found["groups"][0]["differences"] if x["system"] == "bm25"] == [False, True]


def test_where_ours_exceeds_its_budget_it_leads_nobody():
    rows = _rows("covidqa", "yyyy", "nnnn")
    assert "| long documents | 1 ▲ (0 open) 0 ▼ |" in to_markdown(summarise(rows), {})
    rows[-1]["over"] = True
    assert "| long documents | 0 ▲ (0 open) 0 ▼, 1 over |" in to_markdown(summarise(rows), {})


def _likelihood(id_: str, system: str, rate: int, kl: float, nll: float) -> dict:
    return {"set": "covidqa", "id": id_, "system": system, "rate": rate, "kl": kl, "nll": nll}


def test_a_language_model_s_prediction_reaches_every_form_of_the_report():
    rows = [_row("covidqa", id_, "gist") for id_ in "ab"]
    told = [_likelihood(id_, "full", 1, 0.0, 1.0) for id_ in "ab"] + [
        _likelihood(id_, "none", 1, 0.8, 3.0) for id_ in "ab"
    ]
    told += [_likelihood("a", "gist", 2, 0.125, 1.5), _likelihood("b", "gist", 2, 0.375, 2.0)]
    told += [{"set": "covidqa", "id": "c", "system": "full", "rate": 1, "error": "too long"}]
    summary = summarise(rows, likelihood=told)
    (found,) = summary.prediction
    own = found.found["gist", 2]
    assert (found.name, found.records, found.nothing.mean, own.kl.mean, own.kl.n) == ("long documents", 2, 0.8, 0.25, 2)
    assert own.gain.mean == pytest.approx(100 * 1.25 / 2)
    text = to_markdown(summary, {})
    assert "### long documents: divergence, nats a token (2 records; without any text 0.800)" in text
    assert "| gist | 0.250 (0.125-0.375) |" in text
    assert "| gist | 62.5 (" in text
    assert "Records that are longer than the model reads, left out: 1." in text
    assert "0.250" in Reader(to_page(summary, {})).text
    machine = to_dict(summary, {})["prediction"]
    assert [(x["group"], x["system"], x["rate"], x["kl"]["mean"]) for x in machine] == [
        ("long documents", "none", 1, 0.8),
        ("long documents", "gist", 2, 0.25),
    ]


def test_a_gain_over_texts_that_add_nothing_is_not_told():
    told = [_likelihood(id_, "full", 1, 0.0, nll) for id_, nll in (("a", 1.0), ("b", 4.9))]
    told += [_likelihood(id_, "none", 1, 0.1, 3.0) for id_ in "ab"]
    told += [_likelihood(id_, "gist", 2, 0.00012, 2.0) for id_ in "ab"]
    summary = summarise([_row("covidqa", "a", "gist")], likelihood=told)
    assert summary.prediction[0].found["gist", 2].gain is None
    assert "gain, %" not in to_markdown(summary, {})
    assert "| gist | 1.2e-04 (1.2e-04-1.2e-04) |" in to_markdown(summary, {})


@pytest.mark.parametrize("name", ["mine", "qmsum_train"])
def test_where_no_answer_and_no_evidence_is_found_the_report_says_so(name):
    rows = [_row(name, "1", "gist", answer=None, evidence=None, all_evidence=None)]
    assert "No gold answer that can be looked for stands in the texts" in to_markdown(summarise(rows), {})
    assert "No gold answer" not in to_markdown(summarise(_rows("mine", "y", "n")), {})


def test_markdown_speaks_of_no_chart():
    assert "chart" not in to_markdown(summarise(_rows("mine", "y", "n")), {})
    assert "## Speed" not in to_markdown(summarise(_rows("mine", "y", "n")), {})
    assert "The chart shows the calls" in Reader(to_page(summarise(_rows("mine", "y", "n")), {})).text


def test_measured_speed_tells_the_readers_for_which_compression_saves_time():
    speed = [{"system": "gist", "name": "1", "tokens_in": n, "p50_ms": n / 8, "peak_mib": 9.0} for n in (1_000, 4_000)]
    summary = summarise(_rows("mine", "y", "n"), speed=speed)
    text = to_markdown(summary, {})
    assert "| 1,000 | 4,000 | 6,000 | 7,200 | 7,600 |" in text
    assert "gist break-even --price" in text
    assert "Peak memory: of gist alone" in text
    found = to_dict(summary, {})["break_even"]
    assert {"tokens": 1_000, "rate": 2, "reader_tokens_per_second": pytest.approx(4_000)} in found
    others = [row | {"system": "bm25", "peak_mib": None} for row in speed]
    text = to_markdown(summarise(_rows("mine", "y", "n"), speed=others), {})
    assert "break-even" not in text
    assert "Peak memory" not in text


def test_a_reader_without_anything_to_compare_with_has_no_empty_table():
    answers = [_answer("a", "full", 1, False, 0.0), _answer("a", "gist", 2, False, 0.0)]
    text = to_markdown(summarise(_rows("mine", "y", "n"), answers), {})
    assert "% of that from the full texts" not in text
    assert "exact match" in text


def test_wide_tables_have_the_width_of_the_page():
    page = to_page(summarise(_rows("mine", "y", "n")), {})
    assert '<div class="gist-wide gist-whole"><h3>Outputs at all rates</h3>' in page
    assert '<div class="gist-wide"><h3>mine: answer kept' in page


# what is written


CASE = Case(
    "1",
    "covidqa",
    "Who </summary><script>alert(1)</script> asked?",
    [
        Passage("one <b>", "Ann <script>alert(2)</script> asked. " + "Nobody knew why. " * 60 + "Then Bob left."),
        Passage("two", "Nothing of note."),
    ],
    ["Ann", "Bob"],
    [[Span(0, 36)], []],
)


def _all_rows() -> list[dict]:
    rows = [row for rate in RATES for row in _rows("covidqa", "yyyn", "ynnn", rate)]
    rows += [row for rate in RATES for row in _rows("xquad/de", "yn", "yy", rate)]
    rows += [_row("covidqa", str(n), "a|b<i>:rewriter", rate, kept=None) for n in range(4) for rate in RATES]
    for row in rows:
        if row["id"] == "1":
            row["kept"] = row["kept"] and [[0, 0, 36]]
    return rows


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    answers = [_answer("1", "full", 1, True, 1.0), _answer("1", "gist", 2, True, 1.0)]
    speed = [
        {"system": "gist", "name": f"{n} words", "tokens_in": n, "calls": 5, "p50_ms": 3.0, "p99_ms": float("nan")}
        for n in (100, 200)
    ]
    speed.append({"system": "slow", "name": "100 words", "tokens_in": 100, "p50_ms": None, "left_out": "too slow"})
    for name, lines in (("rows", _all_rows()), ("answers", answers), ("speed", speed)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_report(folder, lambda name: [CASE] if name == "covidqa" else None, {"Model": "tiny <1>"})
    return folder


def test_the_report_for_machines_has_all_figures_and_no_nan(out):
    def refuse(what: str) -> None:
        raise AssertionError(what)

    found = json.loads((out / "report.json").read_text(), parse_constant=refuse)
    assert found["version"] == 1
    assert found["about"] == {"Model": "tiny <1>"}
    assert found["rates"] == [2, 10]
    assert found["systems"] == ["gist", "bm25", "a|b<i>:rewriter"]
    assert [t["name"] for t in found["groups"]] == ["long documents", "languages"]
    first = next(r for r in found["groups"][0]["results"] if r["system"] == "gist" and r["rate"] == 2)
    assert (first["mean"], first["n"], first["tokens_kept"]) == (75.0, 4, 40.0)
    lead = found["groups"][0]["differences"][0]
    assert (lead["system"], lead["rate"], lead["mean"], lead["low"], lead["verdict"]) == ("bm25", 2, 50.0, 0.0, "open")
    assert sorted((x["set"], x["rate"], x["mean"]) for x in found["losses"] if x["system"] == "bm25") == [
        ("xquad/de", 2, -50),
        ("xquad/de", 10, -50),
    ]
    assert found["speed"][0]["p99_ms"] is None
    assert {x["system"] for x in found["outputs"]} == set(found["systems"])
    assert found["reader"][0]["lost"] == 0


def test_the_same_rows_give_the_same_bytes():
    rows = _all_rows()
    assert to_json(summarise(rows), {}) == to_json(summarise([dict(row) for row in rows]), {})


@given(st.lists(st.sampled_from(_all_rows()), min_size=1, max_size=12, unique_by=id))
def test_any_part_of_a_measurement_can_be_reported(rows):
    summary = summarise(rows)
    found = json.loads(to_json(summary, {}))
    assert set(found["systems"]) == {row["system"] for row in rows}
    assert to_dict(summary, {})["rates"] == sorted({row["rate"] for row in rows})
    assert to_markdown(summary, {}).startswith("# Measurement\n")


def test_markdown_tables_are_whole(out):
    text = (out / "report.md").read_text()
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) >= 10
    for lines in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1, lines[0]
    assert "- Model: tiny <1>" in text
    assert "| slow, 100 words | 100 | - | - | - | - | - | - too slow |" in text
    assert "95 % bootstrap interval over records" in text
    assert "over those pairs" in text
    assert r"| a\|b<i>:rewriter | 100.0 (100-100)" in text


def test_the_page_is_well_formed_and_loads_nothing(out):
    pytest.importorskip("matplotlib")
    page = (out / "report.html").read_text()
    read = Reader(page)
    assert len(read.ids) == len(set(read.ids))
    assert all(link.startswith("#") and link[1:] in read.ids for link in read.links)
    assert set(re.findall(r"url\(#?([^)]*)\)", page)) <= set(read.ids)
    assert not re.search(r"https?:|@import|\son\w+=", page)
    assert read.tags.count("svg") == 3
    assert read.tags.count("desc") == 3


def test_the_page_shows_documents_as_text_and_names_every_system(out):
    read = Reader((out / "report.html").read_text())
    assert "script" not in read.tags
    assert "<script>alert(2)</script>" in read.text
    assert "Who </summary><script>alert(1)</script> asked?" in read.text
    for system in ("gist", "bm25", "a|b<i>:rewriter"):
        assert read.text.count(system) >= 3
    assert "tiny <1>" in read.text


def test_without_matplotlib_the_page_says_so(out, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (tmp_path / "rows.jsonl").write_bytes((out / "rows.jsonl").read_bytes())
    write_report(tmp_path)
    read = Reader((tmp_path / "report.html").read_text())
    assert "svg" not in read.tags
    assert 'pip install "gist-compressor[evaluate]"' in read.text
    with pytest.raises(MissingExtraError):
        write_picture(_all_rows(), tmp_path / "picture.svg", "long documents")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "report.json", "report.md", "rows.jsonl"]


def test_a_folder_without_rows_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match=re.escape(repr(str(tmp_path)))):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_importing_the_report_loads_no_matplotlib():
    code = "import sys, gist_core.evaluation.report; print([m for m in ('matplotlib', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# pictures


def test_the_picture_is_the_same_every_time_and_nothing_but_svg(tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("one.svg", "two.svg"):
        write_picture(_all_rows(), tmp_path / name, "long documents")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    root = ET.parse(tmp_path / "one.svg").getroot()
    texts = {"".join(element.itertext()).strip() for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"gist", "bm25", "rewriter", "answer kept, %"} <= texts
    assert root.find("{http://www.w3.org/2000/svg}desc").text.startswith("bm25: 25.0 % at 40.0 % of the tokens")
    write_picture(_all_rows(), tmp_path / "three.png", "long documents")
    assert (tmp_path / "three.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("name", "group"), [("x.gif", "long documents"), ("x.svg", "meetings")])
def test_a_picture_that_cannot_be_is_refused(tmp_path, name, group):
    with pytest.raises(InvalidInputError):
        write_picture(_all_rows(), tmp_path / name, group)
    assert list(tmp_path.iterdir()) == []


def test_the_legend_says_whose_outputs_were_over_their_budget(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [_row("covidqa", str(n), name, over=n < 2) for n in range(3) for name in ("gist", "rewriter")]
    for row in rows[::2]:
        row["over"] = False
    write_picture(rows, tmp_path / "x.svg", "long documents")
    texts = {"".join(e.itertext()).strip() for e in ET.parse(tmp_path / "x.svg").iter()}
    assert {"gist", "rewriter (2 over)"} <= texts


def test_names_that_matplotlib_would_read_are_shown(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [_row("covidqa", "1", system) for system in ("gist", "_hidden", "a $b$ ^c")]
    write_picture(rows, tmp_path / "x.svg", "long documents")
    assert {"hidden", "a $b$ ^c"} <= {"".join(e.itertext()).strip() for e in ET.parse(tmp_path / "x.svg").iter()}


# examples


def test_best_and_worst_are_told_by_the_margin_and_spread_over_sets():
    rows = [*_rows("covidqa", "yyyyyyn", "nnnnnny", 10), *_rows("policyqa", "yn", "nn", 10)]
    cases = {
        name: [Case(str(n), name, "q", [Passage("p", "text")], [], [[]]) for n in range(9)]
        for name in ("covidqa", "policyqa")
    }
    best, worst = choose(rows, cases.get)
    assert [(e.case.set, e.case.id) for e in best] == [
        ("covidqa", "0"),
        ("policyqa", "0"),
        ("covidqa", "1"),
        ("covidqa", "2"),
    ]
    assert [(e.case.set, e.case.id, e.margin) for e in worst] == [("covidqa", "6", -1), ("policyqa", "1", 0)]
    assert list(best[0].rows) == ["gist", "bm25"]
    assert choose([], cases.get) == choose(rows, lambda name: None) == ([], [])


def test_answers_are_found_across_case_and_punctuation():
    text = "The u.s. army; U S Army? 17690, 1769. 首都は奈良です"
    assert [text[s:e] for s, e in answer_spans(text, ["U.S. Army", "1769", "奈良", "yes"])] == [
        "u.s. army",
        "U S Army",
        "1769",
        "奈良",
    ]


def test_kept_dropped_and_gold_are_told_apart():
    shown = passages_html(CASE, [[0, 0, 3], [0, 1054, 1063]], dropped_too=True)
    text = CASE.passages[0].text
    assert '<span class="gist-evidence gist-answer"><mark>Ann</mark></span>' in shown
    assert '<span class="gist-evidence"><span class="gist-dropped"> &lt;script&gt;alert(2)' in shown
    assert "characters …]" in shown
    assert "Nothing was kept of 1 passage without gold evidence." in shown
    assert "Nothing of note" not in shown
    alone = passages_html(CASE, [[0, 0, 3]], dropped_too=False)
    assert "Nobody knew" not in alone
    assert "asked." in alone
    assert len(text) > len(Reader(alone).text)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 60), st.integers(0, 60)), max_size=5))
def test_no_character_is_shown_twice(spans):
    kept = [[at, min(a, b), max(a, b)] for at, a, b in spans]
    case = Case("1", "s", "q", [Passage("", "x <&> y. " * 7), Passage("", "ab " * 20)], ["y"], [[Span(2, 9)], []])
    text = Reader(f"<div>{passages_html(case, kept, dropped_too=True)}</div>").text
    assert text.count("x <&> y. ") <= 7
    assert case.passages[0].text in text
