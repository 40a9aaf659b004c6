from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from gist_core.errors import InvalidInputError
from gist_core.highlight import Account, to_html, to_page
from gist_core.passage import Compressed, Span, Usage, hash_text, render

SOURCE = "One <b>bold</b> fox. Two & a half skies.\nThree."
KEPT = (Span(0, 20), Span(41, 47))


def result(source: str = SOURCE, kept: tuple[Span, ...] | None = KEPT, text: str | None = None) -> Compressed:
    shown = render(source, kept or ()) if text is None else text
    return Compressed("a<b", shown, kept, 0.25, Usage(12, 7, 3.0), hash_text(source), "tiny@1")


class Reader(HTMLParser):
    """Texts of the marked and the dropped pieces, every tag, and everything a tag points at."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.kept, self.dropped, self.tags, self.links, self._open = [], [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in {"src", "href", "srcset", "action"}]
        if tag not in {"meta", "input"}:
            self._open.append(dict(attrs).get("class") or tag)

    def handle_endtag(self, tag):
        self._open.pop()

    def handle_data(self, data):
        inside = self._open[-1] if self._open else ""
        {"mark": self.kept, "gist-dropped": self.dropped}.get(inside, []).append(data)


def test_fragment_with_its_source_shows_all_of_it():
    read = Reader(to_html(result(), SOURCE))
    assert read.kept == ["One <b>bold</b> fox.", "Three."]
    assert read.dropped == [" Two & a half skies.\n"]
    assert read._open == []


def test_notebook_view_shows_what_was_kept_and_how_much_was_not():
    shown = result()._repr_html_()
    assert Reader(shown).kept == ["One <b>bold</b> fox.", "Three."]
    assert "21 characters" in shown
    assert "score 0.250" in shown
    assert "a&lt;b" in shown


def test_generated_text_is_shown_alone():
    generated = result(kept=None, text="A summary.")
    assert Reader(to_html(generated, SOURCE)).kept == ["A summary."]


def test_nothing_kept_says_so():
    assert "Nothing was kept" in to_html(result(kept=(), text=""))


def test_another_source_is_refused():
    with pytest.raises(InvalidInputError):
        to_html(result(), SOURCE + "!")
    with pytest.raises(InvalidInputError, match="2 sources"):
        to_page([result()], [SOURCE, SOURCE])


def test_page_is_self_contained():
    page = to_page(
        [result(), result()], [SOURCE, SOURCE], query="<script>?", account=Account(24, 14, 3.0, "o200k_base")
    )
    read = Reader(page)
    assert read.links == []
    assert "script" not in read.tags
    assert not re.search(r"url\(|@import|https?:", page)
    assert "24 -&gt; 14 tokens (58.3 %)" in page
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


@pytest.mark.parametrize(
    "text", ["a\x00b", "a\ud800b", "\x1b[31mred", "\u05e9\u05dc\u05d5\u05dd", "x" * 10_000, "\U0001f642"]
)
def test_hostile_text_gives_a_page_that_can_be_written(text):
    page = to_page([result(text, (Span(0, len(text)),))], [text])
    assert not re.search(r"[\x00\x1b]", page)
    page.encode("utf-8")


def test_account_of_nothing():
    assert str(Account(0, 0, 0.0, "o200k_base")) == "0 -> 0 tokens (100.0 %), 0 ms"
