"""Made-up questions over tables: each has one row that answers it, in every form a table is written in."""

from __future__ import annotations

import pytest

from gist_core.cases import Case
from gist_core.passage import Passage, Span
from gist_core.segment import Kind, segments
from gist_core.training.tables import FORMS, TOPICS, as_tables, table_cases


def row_spans(text: str) -> list[Span]:
    return [s.span for s in segments(text) if s.kind is Kind.TABLE_ROW]


def test_the_row_asked_about_holds_question_and_answer() -> None:
    cases = table_cases(80, seed=3)
    assert cases == table_cases(80, seed=3) != table_cases(80, seed=4)
    for case in cases:
        [(at, span)] = [(at, span) for at, spans in enumerate(case.evidence) for span in spans]
        row = case.passages[at].text[span.start : span.end]
        assert span in row_spans(case.passages[at].text)
        [answer] = case.answers
        assert answer in row
        asked = case.query.lower()
        cells = [cell for cell in row_cells(row) if cell.lower() in asked]
        assert cells, (case.query, row)


def row_cells(row: str) -> list[str]:
    for mark in ("<tr>", "</tr>", "<td>", "</td>", "|", ";", "\t", ",", '"', "{", "}", ": "):
        row = row.replace(mark, "\n")
    return [cell.strip() for cell in row.split("\n") if cell.strip()]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic[0].name)
def test_every_form_reads_as_a_table(form, topic) -> None:
    names = [column.name for column in topic]
    rows = [[f"{name} {at}" for name in names] for at in range(5)]
    text = form(names, rows)
    assert [all(value in text[a:b] for value in row) for row, (a, b) in zip(rows, row_spans(text), strict=True)]


def test_sentences_become_rows() -> None:
    text = "The board met on Monday. Ann paid the rent; nobody\nelse did. It rained. Nobody came."
    paid = text.index("Ann"), text.index(" It rained")
    cases = [Case(str(at), "facts", "Who paid?", [Passage("a", text)], ["Ann"], [[Span(*paid)]]) for at in range(12)]
    found = as_tables(cases, seed=1)
    assert len({case.passages[0].text for case in found}) > 3
    for case in found:
        [[span]] = case.evidence
        assert "Ann paid the rent; nobody else did." in case.passages[0].text[span.start : span.end]
        assert case.query == "Who paid?"
        assert case.set == "tables of facts"
