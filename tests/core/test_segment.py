"""Segmentation against hand-marked texts (data/sentences.txt: a bar between units), and its promises on any text."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gist_core.passage import Span
from gist_core.segment import Kind, Segment, protected_spans, segments, words
from gist_core.segment.cut import MAX_CHARACTERS
from gist_core.segment.protected import MAX_PROTECTED


def _marked() -> dict[str, str]:
    raw = (Path(__file__).parent / "data" / "sentences.txt").read_text(encoding="utf-8")
    cases = (part.split("\n", 1) for part in raw.split("=== ")[1:])
    return {name: body.rstrip("\n") for name, body in cases}


MARKED = _marked()


def pieces(text: str, spans: list[Span]) -> list[str]:
    return [text[start:end] for start, end in spans]


def units(text: str) -> list[tuple[Kind, str]]:
    return [(item.kind, text[item.span.start : item.span.end]) for item in segments(text)]


def covers(text: str, spans: list[Span]) -> bool:
    """Sorted, disjoint, bounded by non-blank characters, and nothing but blanks left out."""
    if any(a.end > b.start for a, b in pairwise(spans)):
        return False
    if any(start >= end or text[start].isspace() or text[end - 1].isspace() for start, end in spans):
        return False
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    return not "".join(text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)).strip()


def splits(spans: list[Span], protected: list[Span]) -> list[Span]:
    cuts = {edge for span in spans for edge in span}
    return [span for span in protected if any(span.start < cut < span.end for cut in cuts)]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("name", MARKED)
def test_hand_marked(name: str, newline: str) -> None:
    marked = MARKED[name].replace("\n", newline)
    expected = [part.strip() for part in marked.split("¦")]
    text = marked.replace("¦", "")
    assert pieces(text, [item.span for item in segments(text)]) == expected


DOCUMENT = """# Report

Summary comes first. It is short.

## Results

- one apple. Two pears
  in a basket
- three plums

1. first
2. second

| name | size |
|------|------|
| a    | 1    |
| b    | 2    |

Closing words."""


def test_document_kinds() -> None:
    assert units(DOCUMENT) == [
        (Kind.HEADING, "# Report"),
        (Kind.SENTENCE, "Summary comes first."),
        (Kind.SENTENCE, "It is short."),
        (Kind.HEADING, "## Results"),
        (Kind.LIST_ITEM, "- one apple."),
        (Kind.LIST_ITEM, "Two pears\n  in a basket"),
        (Kind.LIST_ITEM, "- three plums"),
        (Kind.LIST_ITEM, "1. first"),
        (Kind.LIST_ITEM, "2. second"),
        (Kind.TABLE_HEADER, "| name | size |\n|------|------|"),
        (Kind.TABLE_ROW, "| a    | 1    |"),
        (Kind.TABLE_ROW, "| b    | 2    |"),
        (Kind.SENTENCE, "Closing words."),
    ]


def test_requires_innermost_heading_and_table_header() -> None:
    needed = {DOCUMENT[s.span.start : s.span.end]: pieces(DOCUMENT, list(s.requires)) for s in segments(DOCUMENT)}
    assert needed["# Report"] == []
    assert needed["It is short."] == ["# Report"]
    assert needed["- three plums"] == ["## Results"]
    assert needed["| b    | 2    |"] == ["## Results", "| name | size |\n|------|------|"]
    assert needed["Closing words."] == ["## Results"]


BODY = "The body of this section is clearly longer than its title, as bodies are."


@pytest.mark.parametrize(
    "heading",
    [
        "Results\n=======",
        "Results\n---",
        "### Results",
        "Results",
        "3.2 Methods and Data",
        "1. Introduction",
        "IV Results",
        "结果",
    ],
)
def test_headings(heading: str) -> None:
    text = f"{heading}\n\n{BODY}"
    found = segments(text)
    assert found == [
        Segment(Span(0, len(heading)), Kind.HEADING),
        Segment(Span(len(heading) + 2, len(text)), Kind.SENTENCE, (Span(0, len(heading)),)),
    ]


@pytest.mark.parametrize("line", ["It was over.", "and so on", "Dear Ms Li,", "x" * 90, "Why?"])
def test_not_headings(line: str) -> None:
    assert units(f"{line}\n\n{BODY}")[0] == (Kind.SENTENCE, line)


@pytest.mark.parametrize("marker", ["-", "*", "+", "•", "1.", "2)", "(a)", "b)", "- [ ]", "(iv)"])
def test_list_markers(marker: str) -> None:
    assert units(f"Buy:\n{marker} milk\n{marker} eggs")[1:] == [
        (Kind.LIST_ITEM, f"{marker} milk"),
        (Kind.LIST_ITEM, f"{marker} eggs"),
    ]


def test_tab_table() -> None:
    found = segments("name\tsize\na\t1\nb\t2")
    assert [item.kind for item in found] == [Kind.TABLE_HEADER, Kind.TABLE_ROW, Kind.TABLE_ROW]
    assert found[2].requires == (found[0].span,)


@pytest.mark.parametrize("mark", [",", ";", "|"])
def test_values_between_delimiters(mark: str) -> None:
    rows = [mark.join(row) for row in (("name", "city", "age"), ("Ann", '"Nice, F; |"', "31"), ("Bob", "Rome", ""))]
    text = "The staff:\n" + "\n".join(rows) + "\n\nThat is all."
    assert units(text) == [
        (Kind.SENTENCE, "The staff:"),
        (Kind.TABLE_HEADER, rows[0]),
        (Kind.TABLE_ROW, rows[1]),
        (Kind.TABLE_ROW, rows[2]),
        (Kind.SENTENCE, "That is all."),
    ]
    header, row = segments(text)[1:3]
    assert row.requires == (header.span,)


@pytest.mark.parametrize(
    "text",
    [
        "Ann came, Bob went,\nCarl stayed, Dora ran,\nEmil slept, Fay read,",  # verse
        "It cost 1,200 at first.\nThen it was 1,300 or so.\nIn the end 1,400 were paid.",
        "a = 1,\nb = 2,\nc = 3,",
        "first,second\nthird,fourth",
        "- x,y,z;\n- x,y,z;\n- x,y,z;",
    ],
)
def test_no_table(text: str) -> None:
    assert not {kind for kind, _ in units(text)} & {Kind.TABLE_HEADER, Kind.TABLE_ROW}


def test_pairs_without_a_header() -> None:
    assert [kind for kind, _ in units("12.5,33.1\n12.6,33.4\n12.7,33.9")] == [Kind.TABLE_HEADER, *[Kind.TABLE_ROW] * 2]


def test_json_lines() -> None:
    rows = ['{"ticket": 1, "user": "Ann. Really"}', '{"ticket": 2, "user": "Bob"},', '{ "ticket": 3 }']
    text = "Tickets:\n" + "\n".join(rows) + "\nThat was all."
    assert units(text) == [
        (Kind.SENTENCE, "Tickets:"),
        *((Kind.TABLE_ROW, row) for row in rows),
        (Kind.SENTENCE, "That was all."),
    ]


def test_blocks_of_html() -> None:
    text = "<body><h1>Costs</h1><p>The board met. It was late.</p>\n<ul>\n<li>Tea\n<li>Milk</ul>At last<br>it ended."
    text += "</body>"
    assert units(text) == [
        (Kind.SENTENCE, "<body><h1>Costs</h1>"),
        (Kind.SENTENCE, "<p>The board met."),
        (Kind.SENTENCE, "It was late.</p>"),
        (Kind.SENTENCE, "<ul>\n<li>Tea"),
        (Kind.SENTENCE, "<li>Milk</ul>"),
        (Kind.SENTENCE, "At last"),
        (Kind.SENTENCE, "<br>it ended.</body>"),
    ]


def test_table_of_html() -> None:
    head, first, second = (
        "<table>\n<thead>\n<tr>\n<th>Item</th>\n<th>Cost</th>\n</tr>\n</thead>",
        "<tbody><tr><td>Rent</td><td>$1,200. Really.</td></tr>",
        "<TR>\n<TD>Tea</TD><TD>$3</TD></TR></tbody></table>",
    )
    found = segments(f"{head}{first}\n{second}<p>Then.</p><table><tr><td>no header</td></tr></table>")
    assert [(item.kind, item.requires) for item in found] == [
        (Kind.TABLE_HEADER, ()),
        (Kind.TABLE_ROW, (found[0].span,)),
        (Kind.TABLE_ROW, (found[0].span,)),
        (Kind.SENTENCE, ()),
        (Kind.TABLE_ROW, ()),
    ]


def test_what_only_looks_like_html() -> None:
    text = "The `<tr>` element is a row. It has cells, as `<td>` has none. See `</tr>` too."
    assert [kind for kind, _ in units(text)] == [Kind.SENTENCE] * 3
    text = "If a<b and c>d, mail <p.moore@example.org> or see <https://example.org/p>. A `<p>` tag is a tag."
    assert [unit for _, unit in units(text)] == [text[: text.index(" A `")], "A `<p>` tag is a tag."]


def test_tags_are_words() -> None:
    text = '<td class="a b">Rent</td><td>$1,200</td> not 5<6'
    assert pieces(text, words(text, Span(0, len(text)))) == [
        '<td class="a b">',
        "Rent",
        "</td>",
        "<td>",
        "$1,200",
        "</td>",
        "not 5<6",
    ]


def test_fenced_code_is_one_unit() -> None:
    code = "```py\nx = 1. \n\n# not a heading\n- not an item\n```"
    assert units(f"See.\n\n{code}\n\nDone.") == [(Kind.SENTENCE, "See."), (Kind.CODE, code), (Kind.SENTENCE, "Done.")]


def test_long_code_splits_at_blank_lines() -> None:
    part = "\n".join(f"value_{i} = compute({i})" for i in range(20))
    found = units(f"```\n{part}\n\n{part}\n\n{part}\n```")
    assert len(found) == 3
    assert {kind for kind, _ in found} == {Kind.CODE}
    assert found[1][1] == part


def test_indented_code_but_not_indented_prose() -> None:
    assert units("Run:\n\n    x = f(1)\n    return x\n\nDone.")[1] == (Kind.CODE, "x = f(1)\n    return x")
    code = "import os\n    # choose a device\n    return x"
    assert units(f"Run:\n\n    {code}\n\nDone.")[1] == (Kind.CODE, code)
    assert {kind for kind, _ in units("    It was night.\n    Nobody came.")} == {Kind.SENTENCE}


@pytest.mark.parametrize("text", ["", " ", "\n\r\n\t", "\u2028\u3000"])
def test_blank_has_no_units(text: str) -> None:
    assert segments(text) == []
    assert words(text, Span(0, len(text))) == []


HOSTILE = [
    unit * (6_000 // len(unit))
    for unit in (
        "a", "word ", "\n", "a\n", "A\n", ".", ". ", "a. ", '"', '"a ', "`", "`a", "1", "1.", "1,",
        "1 ", "1--", "-", "- ", "/", "/a",
        "a/", "\\", "http://", "http://.", "a@", "_", "a_", "aA", "not ", "n't ", "(", "[1] ", "|",
        "|-", "|--\n", "# a\n", "==\n",
        "```\n", "\t", "a\tb\n", "    word word\n\n", "中", "中。", "ア", "ก", "กก ", "\u0301",
        "\u200d", "\ud83d", "\ud83d\ude00", "\0", "😀",
        "“", "「", "May ", "$", "A: ", "A b ", ",", "—", "and ", "ab.\r\n", "- a\n", "1. a\n",
        "J. ", "../", "~", "\x1c", "a\u0301",
        "<p>", "<p>a", "</p>", "<tr>a. ", "<table><tr><th>", "<td ", "<", "a,b\n", '{"a": 1}\n',
    )
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:10]))
def test_hostile(text: str) -> None:
    whole = Span(0, len(text))
    spans = [item.span for item in segments(text)]
    assert covers(text, spans)
    assert all(end - start <= MAX_CHARACTERS for start, end in spans)
    assert covers(text, words(text, whole))
    assert all(end - start <= MAX_PROTECTED for start, end in protected_spans(text))


def test_cut_never_splits_a_grapheme() -> None:
    for cluster in ("e\u0301", "\ud83d\ude00", "👩\u200d👧", "👍\U0001f3fd", "का"):
        text = cluster * 3000
        edges = [edge for item in segments(text) for edge in item.span]
        assert len(edges) > 8
        assert all(edge % len(cluster) == 0 for edge in edges), ascii(cluster)


def test_giant_sentence_is_cut_at_clause_marks() -> None:
    text = ", ".join(["some words without an end"] * 200) + "."
    found = [text[s.span.start : s.span.end] for s in segments(text)]
    assert len(found) > 3
    assert all(piece.endswith((",", ".")) for piece in found)


ALPHABET = st.sampled_from(
    [*"aBz019 .,;:!?\n\r\t-–—*#|`\"'()[]{}_/\\@$%=<>~+。！？、「」“”؟।กア中不😀", "\u0301", "\u200d",
    "\ud83d", "\0", "\n\n", "    ",
     "not ", "Dr. ", "1. ", "- ", "```\n", "|---|\n", " 5 kg ", "May 3, 2021", "http://a.b/",
     "x_y", "and ", "Bob: ", "<p>", "</p>", "<table>", "<tr>", "</tr>", "<td>", "<th>", "\na,b,c", '\n{"a": 1}']
)  # fmt: skip
TEXTS = st.lists(ALPHABET, max_size=120).map("".join)


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_any_text_is_covered(text: str) -> None:
    found = segments(text)
    assert covers(text, [item.span for item in found])
    known = {item.span for item in found}
    assert all(need in known for item in found for need in item.requires)
    assert all(need.end <= item.span.start for item in found for need in item.requires)


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.data())
def test_any_part_is_covered(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    inner = [Span(a - start, b - start) for a, b in words(text, Span(start, end))]
    assert covers(text[start:end], inner)


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_parts_never_split_what_is_protected(text: str) -> None:
    protected = protected_spans(text)
    assert all(a.end <= b.start for a, b in pairwise(protected))
    whole = Span(0, len(text))
    assert splits(words(text, whole), protected) == []


def test_words() -> None:
    text = 'On 3 May 2021 he paid $3,000 for 5.2 kg, did not allow "any of it" and left.'
    assert pieces(text, words(text, Span(0, len(text)))) == [
        "On", "3 May 2021", "he", "paid", "$3,000", "for", "5.2 kg,", "did", "not allow",
        '"any of it"', "and", "left.",
    ]  # fmt: skip


def test_words_without_spaces_are_short() -> None:
    text = "我喜欢机器学习。東京タワーへ行く"
    found = pieces(text, words(text, Span(0, len(text))))
    assert "タワー" in found
    assert "习。" in found
    assert max(map(len, found)) <= 4


@pytest.mark.parametrize(
    "item",
    [
        "5.2 kg", "$3,000", "12:30 pm", "3 May 2021", "May 3, 2021", "25 %", "10 km/h",
        "3 million dollars", "20 °C", "€5", "Fig. 3",
        "snake_case", "camelCase", "550e8400-e29b-41d4-a716-446655440000", "2021-05-03", "v1.2.3",
        "1.2.3", "/usr/lib/x.so",
        "src/a/b.py", "C:\\dir\\file.txt", "a.b@c.org", "https://a.org/x,y?z=1", "`a b c`",
        '"some words"', "“some words”", "«un mot»",
        "not allowed", "didn't go", "no evidence", "never again", "without any doubt", "不会",
        "COVID-19", "obj.method()", "../x/y",
    ],
)  # fmt: skip
@pytest.mark.parametrize("frame", ["Then {} came", "{}", "as ({}), too", "before {}. Then"])
def test_protected(item: str, frame: str) -> None:
    text = frame.format(item)
    start = text.index(item)
    assert any(span.start <= start and span.end >= start + len(item) for span in protected_spans(text)), (
        protected_spans(text)
    )


@pytest.mark.parametrize("text", ["plain words only", "He came, saw and won.", "今天天气很好"])
def test_nothing_to_protect(text: str) -> None:
    assert protected_spans(text) == []
