from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from gist_core.memory import Compaction, ConversationCompactor, Gist, MemoryPolicy, MemoryUsage, Piece, ToolCall, Turn
from gist_core.memory.counting import TurnCounter
from gist_core.memory.page import account, to_page
from gist_core.memory.turns import with_id
from gist_core.passage import Span
from tests.helpers.conversations import QuickCompressor

POLICY = MemoryPolicy(high_water=200, low_water=100)
VOID = {"meta", "input", "link", "img", "br"}

CALL = ToolCall("call_1", "look_up", '{"order": "TW-48213", "detail": "everything there is to know about it"}')
OTHER = ToolCall("call_2", "track", '{"n": 1}')
_SAID = [
    Turn("system", "Be kind."),
    Turn("user", "I am <Ines>. It rains. My order is TW-48213.", id="m1", name="Ines"),
    Turn("assistant", "I will look.", tool_calls=(CALL, OTHER)),
    Turn("tool", '{"items":[1,2,3],"price":12.50}', name="look_up", tool_call_id="call_1"),
    Turn("tool", '{"state":"on its way","where":"Goole"}', name="track", tool_call_id="call_2"),
    Turn("user", "Write, do not ring.", pinned=True),
    Turn("user", "", opaque=("image_url",), opaque_tokens=1000),
    Turn("assistant", "Nice picture."),
    Turn("assistant", '{"still": "verbatim"}'),
]
TURNS = [with_id(turn, at) for at, turn in enumerate(_SAID)]
FIRST = Gist(
    id="gist-1",
    turns=("m1", "turn-2", "turn-3", "turn-4"),
    blocks=((4, "digest"),),
    pieces=(
        Piece("m1", "user Ines", "I am <Ines>. My order is TW-48213.", (Span(0, 12), Span(23, 44)), ()),
        Piece("turn-2", "assistant called", f"look_up({CALL.arguments})", None, ()),
        Piece("turn-3", "look_up returned", '{"items":[1,"2 more"]}', None, ()),
        Piece("turn-4", "track returned", '"where":"Goole"', (Span(22, 37),), ()),
    ),
    text="[Quotes from 4 earlier turns]\nuser Ines: I am <Ines>.",
    tokens_in=120,
)
SILENT = Gist("gist-2", ("turn-6",), ((1, "digest"),), (), "", 1004)  # without room for its text it is in no view
VIEW = Compaction(
    turns=(TURNS[0], Turn("user", FIRST.text, id="gist-1", gist=FIRST), TURNS[5], *TURNS[7:]),
    origin=(0, None, 5, 7, 8),
    usage=MemoryUsage(tokens_in=1250, tokens_out=90, tokens_scored=60, prefix=1, milliseconds=3.4),
)


class Reader(HTMLParser):
    """Articles with their heads, states, notes, kept and dropped texts; sections; every tag and reference."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.articles: list[dict[str, list[str]]] = []
        self.tags, self.references, self.attributes, self.sections = [], [], [], []
        self.read: list[str] = []
        self.headings: list[str] = []
        self._open: list[tuple[str, str]] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.references += [value for name, value in attrs if name in {"src", "href", "srcset", "action", "data"}]
        kind = dict(attrs).get("class") or ""
        if tag == "article":
            self.articles.append({"in": [k for _, k in self._open if k.startswith("gist-run") or k == "gist-lost"]})
        if tag not in VOID:
            self._open.append((tag, kind))

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        if not self._open:
            return
        tag, kind = self._open[-1]
        if "gist-read" in kind:
            self.read.append(data)
        elif tag in {"h1", "h2"}:
            self.headings.append(data)
        elif any(open_tag == "article" for open_tag, _ in self._open):
            self.articles[-1].setdefault("mark" if tag == "mark" else kind or tag, []).append(data)


def shown(turns=TURNS, view=VIEW, policy=POLICY, title="chat.jsonl") -> Reader:
    return Reader(to_page(turns, view, policy, title=title))


def states(read: Reader) -> list[str]:
    return [next(texts[0] for kind, texts in one.items() if kind.startswith("gist-is")) for one in read.articles]


def test_every_turn_is_there_once_with_what_became_of_it():
    read = shown()
    expected = ["verbatim", *["gisted"] * 4, "pinned", "dropped", "verbatim", "verbatim"]
    assert states(read) == expected
    assert [one["gist-name"][0] for one in read.articles] == [turn.role for turn in TURNS]
    assert [one["gist-id"][0] for one in read.articles] == ["turn-0", "m1", *(f"turn-{at}" for at in range(2, 9))]
    counter = TurnCounter(POLICY)
    for turn, one in zip(TURNS, read.articles, strict=True):
        assert one["span"][0].startswith(f"{counter.turn(turn):,} ")


def test_the_kept_text_is_marked_and_the_rest_dimmed():
    one = shown().articles[1]
    assert one["mark"] == ["I am <Ines>.", "My order is TW-48213."]
    assert one["gist-dropped"] == [" It rains. "]


def test_calls_are_shown_with_what_became_of_each():
    one = shown().articles[2]
    assert one["gist-dropped"] == ["I will look.", 'track({"n": 1})']
    (kept,) = one["mark"]
    assert kept.startswith('look_up({\n  "order": "TW-48213",')
    assert one["gist-id"][1:] == ["call_1", "call_2"]


def test_a_shortened_result_stands_above_the_one_it_came_from():
    one = shown().articles[3]
    assert one["mark"] == ['{\n  "items": [\n    1,\n    "2 more"\n  ]\n}']
    assert one["gist-dropped"] == ['{\n  "items": [\n    1,\n    2,\n    3\n  ],\n  "price": 12.50\n}']
    assert one["gist-note"] == ["answers call_1", "shortened from"]


def test_a_result_that_was_short_enough_is_shown_once():
    turns = [Turn("user", "a", id="m0"), Turn("tool", '{"n": 1}', id="m1", tool_call_id="call_1")]
    gist = Gist("g", ("m0", "m1"), (), (Piece("m1", "tool returned", '{"n": 1}', None, ()),), "text", 20)
    view = Compaction((Turn("user", "text", gist=gist),), (None,), MemoryUsage(20, 5, 0, 0, 0.0))
    one = shown(turns, view).articles[1]
    assert one["mark"] == ['{\n  "n": 1\n}']
    assert "gist-dropped" not in one
    assert one["gist-note"] == ["answers call_1"]


def test_json_that_was_cut_is_marked_in_its_layout():
    one = shown().articles[4]
    assert one["mark"] == ['"where": "Goole"']
    assert one["gist-dropped"] == ['{\n  "state": "on its way",\n  ', "\n}"]


def test_verbatim_turns_are_shown_whole():
    read = shown()
    assert read.articles[7]["gist-text"] == ["Nice picture."]
    assert read.articles[8]["gist-code"] == ['{\n  "still": "verbatim"\n}']
    assert all("mark" not in one for one in (read.articles[0], *read.articles[5:]))


def test_parts_that_are_no_text_are_named():
    assert "holds image_url (taken for 1,000 tokens), not shown here" in shown().articles[6]["gist-note"]
    assert shown([Turn("user")], unchanged([Turn("user")])).articles[0]["gist-note"] == ["no text"]


def test_a_gist_is_shown_as_the_model_reads_it_with_its_turns_inside():
    read = shown()
    assert read.read == [FIRST.text]
    cost = TurnCounter(POLICY).turn(Turn("user", FIRST.text))
    assert "".join(read.headings) == f"chat.jsonlGist 1: 4 turns, 120 \u2192 {cost} tokens"
    assert [bool(one["in"]) for one in read.articles] == [False, *[True] * 4, False, True, False, False]


def test_the_account_and_the_bars():
    page = to_page(TURNS, VIEW, POLICY, title="a")
    assert account(TURNS, VIEW) == "9 -> 5 turns, 1,250 -> 90 tokens (7.2 %), 1 gist, 3 ms"
    assert "9 -&gt; 5 turns, 1,250 -&gt; 90 tokens (7.2 %), 1 gist, 3 ms" in page
    assert 'class="gist-before" style="width:100.00%"' in page
    assert 'class="gist-after" style="width:7.20%"' in page
    assert page.count('<b style="left:8.00%"></b><b style="left:16.00%"></b>') == 2
    assert "low water 100, high water 200" in page


def test_an_empty_conversation():
    nothing = Compaction((), (), MemoryUsage(0, 0, 0, 0, 0.0))
    assert shown([], nothing).articles == []
    assert account([], nothing) == "0 -> 0 turns, 0 -> 0 tokens (100.0 %), 0 gists, 0 ms"


def test_the_page_is_self_contained():
    page = to_page(TURNS, VIEW, POLICY, title="a")
    read = Reader(page)
    assert read.references == []
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(read.tags)
    assert not re.search(r"url\(|@import|https?:|javascript:", page)
    for needed in ("prefers-color-scheme: dark", 'name="viewport"', "@media print", 'charset="utf-8"'):
        assert needed in page


def unchanged(turns: list[Turn]) -> Compaction:
    return ConversationCompactor(MemoryPolicy(), compressor=QuickCompressor()).compact(turns)


@pytest.mark.parametrize(
    "text",
    [
        '</div></article></main><script>alert(1)</script><img src=x onerror="alert(1)">',
        "\"' onmouseover=alert(1) x='\"",
        '{"a": "</script><script>alert(1)</script>"}',
        "]]> --> <!-- &lt;b&gt; &amp;",
        "a\x00b\x1b[31mred\ud800",
        "\u202eesrever \u2066 \u05e9\u05dc\u05d5\u05dd",
        "x" * 20_000,
    ],
)
def test_hostile_text_is_only_text(text):
    calls = (ToolCall(text, text, text), ToolCall("b", "f", '{"a": 1}'))
    turns = [
        Turn("user", text, id=text, name=text, opaque=(text,)),
        Turn("assistant", text, id="m1", tool_calls=calls),
        Turn("tool", text, id="m2", name=text, tool_call_id=text),
    ]
    gist = Gist(text, ("m1", "m2"), (), (Piece("m1", text, text, (Span(0, len(text)),), ()),), text, 9)
    view = Compaction((turns[0], Turn("user", text, gist=gist)), (0, None), MemoryUsage(9, 9, 0, 0, 0.0))
    page = to_page(turns, view, POLICY, title=text)
    read = Reader(page)
    assert set(read.tags) == set(shown().tags)
    assert not {name for name in read.attributes if name.startswith("on")} | set(read.references)
    assert not re.search(r"[\x00\x1b]", page)
    page.encode("utf-8")
    clean = re.sub(r"[\x00\x1b\ud800]", "\ufffd", text)
    assert "".join(read.read) == clean
    assert "".join(read.articles[1]["mark"]).replace("\n", "").replace(" ", "") == clean.replace(" ", "")


def test_a_conversation_as_it_is_compacted():
    said = [f"Fact {at}: the ship {at} came in. It rained again." for at in range(40)]
    turns = [Turn("system", "Be kind."), *(Turn(("user", "assistant")[at % 2], t) for at, t in enumerate(said))]
    policy = MemoryPolicy(high_water=500, low_water=300, keep_last=4)
    view = ConversationCompactor(policy, compressor=QuickCompressor()).compact(turns)
    read = shown(turns, view, policy)
    assert states(read) == ["verbatim", *["gisted"] * 36, *["verbatim"] * 4]
    assert read.read == [gist.text for gist in view.gists]
    kept = [text for one in read.articles for text in one.get("mark", ())]
    spans = [piece.text for gist in view.gists for piece in gist.pieces]
    assert " ".join(kept) == " ".join(spans)
