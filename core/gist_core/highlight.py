"""A result as HTML: one fragment for a notebook, one self-contained page for a browser, and what other pages share.

Colours of a fragment are translucent and its text colour is inherited, so that it reads on a light and on a dark
ground. Nothing is loaded from anywhere: no script, no font, no image.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gist_core.errors import InvalidInputError
from gist_core.passage import Compressed, merge_spans

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

_STYLE = """
.gist-result { margin: 0 0 1.25rem; border: 1px solid rgba(128,128,128,.35); border-radius: .5rem; overflow: hidden; }
.gist-result > header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline;
  padding: .5rem .8rem; background: rgba(128,128,128,.12); font: 600 .9rem/1.5 system-ui, sans-serif; }
.gist-result > header > span { font-weight: 400; font-variant-numeric: tabular-nums; }
.gist-name { overflow-wrap: anywhere; }
.gist-text { padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere; font: 1rem/1.6 system-ui, sans-serif; }
.gist-text mark { color: inherit; background: rgba(255,193,7,.36); border-radius: .15rem; padding: .05rem 0;
  -webkit-box-decoration-break: clone; box-decoration-break: clone; }
.gist-dropped { opacity: .68; }
.gist-gap { opacity: .68; font-size: .85em; white-space: nowrap; }
"""

_PAGE_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #16181d; }
@media (prefers-color-scheme: dark) { :root { --ground: #14161a; --ink: #e8eaee; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 1rem/1.6 system-ui, sans-serif; }
main { max-width: 52rem; margin: 0 auto; padding: 1.25rem 1rem 3rem; }
h1 { font-size: 1.35rem; line-height: 1.35; margin: 0 0 .5rem; overflow-wrap: anywhere; }
.gist-account { margin: 0 0 1rem; font-variant-numeric: tabular-nums; }
.gist-only { display: inline-block; margin: 0 0 1rem; cursor: pointer; }
.gist-only input { margin: 0 .35rem 0 0; }
body:has(#gist-only:checked) .gist-dropped { display: none; }
body:has(#gist-only:checked) mark + .gist-dropped + mark::before { content: " … "; opacity: .68; }
body:has(#gist-only:checked) .gist-empty { display: none; }
@media print { .gist-only { display: none; } }
"""


@dataclass(frozen=True, slots=True)
class Account:
    """What a whole call cost, counted on the joined texts.

    Args:
        tokens_in: Tokens of all passages.
        tokens_out: Tokens of the output.
        milliseconds: Wall time of the call.
        tokenizer: Name of the tokenizer that counted.
    """

    tokens_in: int
    tokens_out: int
    milliseconds: float
    tokenizer: str

    def __str__(self) -> str:
        """``9,020 -> 402 tokens (4.5 %), 812 ms``; less than a tenth of a percent with the digits that show it."""
        share = 100 * self.tokens_out / self.tokens_in if self.tokens_in else 100.0
        shown = f"{share:.2g}" if 0 < share < 0.1 else f"{share:.1f}"
        return f"{self.tokens_in:,} -> {self.tokens_out:,} tokens ({shown} %), {self.milliseconds:,.0f} ms"


def to_html(result: Compressed, source: str | None = None) -> str:
    """One result as an HTML fragment with its own style.

    Args:
        result: What ``compress`` returned.
        source: The text it came from: dropped text is then shown too, dimmed. Without it only what was kept is shown.

    Raises:
        InvalidInputError: ``source`` is not the text this result came from.
    """
    return f"<style>{_STYLE}</style>{_article(result, source)}"


def to_page(
    results: Sequence[Compressed], sources: Sequence[str], *, query: str | None = None, account: Account | None = None
) -> str:
    """A self-contained page: every passage with its score, its tokens, what was kept and what was dropped.

    Args:
        results: What one call of ``compress`` returned.
        sources: The texts of the passages, in the same order.
        query: The question, shown as the title.
        account: What the call cost.

    Raises:
        InvalidInputError: another number of sources than of results, or a source that is not a result's text.
    """
    if len(results) != len(sources):
        raise InvalidInputError(
            f"{len(results)} results and {len(sources)} sources.", hint="Pass one source for each result."
        )
    articles = "\n".join(_article(result, source) for result, source in zip(results, sources, strict=True))
    line = f'<p class="gist-account">{escape(_account_line(account, results))}</p>' if account else ""
    return page(query or "Compressed without a question", f"{line}\n{only('Show only what was kept')}\n{articles}")


def page(title: str, body: str, style: str = "") -> str:
    """A self-contained document.

    Args:
        title: Its title and first heading, as plain text.
        body: HTML.
        style: CSS that comes after the style all pages share.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} - gist</title>\n<style>{_PAGE_STYLE}{_STYLE}{style}</style>\n</head>\n<body>\n<main>\n"
        f'<h1 dir="auto">{escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n'
    )


def only(label: str) -> str:
    """The box that hides what was dropped, of class ``gist-dropped``; it works without a script."""
    return f'<label class="gist-only"><input type="checkbox" id="gist-only">{escape(label)}</label>'


def marked_slices(source: str, kept: Iterable[tuple[int, int]]) -> Iterator[str]:
    """The whole source as HTML: ``kept``, sorted and disjoint, marked, the rest dimmed."""
    at = 0
    for start, end in kept:
        yield dropped(source[at:start])
        yield mark(source[start:end])
        at = end
    yield dropped(source[at:])


def _account_line(account: Account, results: Sequence[Compressed]) -> str:
    kept = sum(1 for result in results if result.text)
    models = ", ".join(sorted({result.model for result in results}))
    return f"{account} · counted in {account.tokenizer} · {kept} of {len(results)} passages kept · model {models}"


def _article(result: Compressed, source: str | None) -> str:
    body = "".join(_marked(result) if source is None else _marked_source(result, source))
    empty = "" if result.text else " gist-empty"
    return (
        f'<article class="gist-result{empty}"><header><span class="gist-name">{escape(result.source_id)}</span>'
        f"<span>score {result.score:.3f}</span>"
        f"<span>{result.usage.tokens_in:,} &rarr; {result.usage.tokens_out:,} tokens "
        f"({100 * result.usage.ratio:.1f}&nbsp;%)</span></header>"
        f'<div class="gist-text" dir="auto">{body or "<em>Nothing was kept.</em>"}</div></article>'
    )


def _marked_source(result: Compressed, source: str) -> Iterator[str]:
    """The whole source; a result without spans (generated text) is shown alone."""
    if result.kept is None:
        yield from _marked(result)
        return
    yield from marked_slices(source, result.spans_in(source))


def _marked(result: Compressed) -> Iterator[str]:
    """The kept text alone, with the number of characters left out at each gap."""
    if result.kept is None:
        yield mark(result.text)
        return
    at, before = 0, 0
    for start, end in merge_spans(result.kept):
        yield _gap(start - before)
        yield mark(result.text[at : at + end - start])
        at, before = at + end - start + 1, end  # one joining character stands between two slices


def _gap(characters: int) -> str:
    """The place where text was left out; blank space between two sentences is not worth a number."""
    if characters <= 2:
        return " " if characters else ""
    return f' <span class="gist-gap">[… {characters:,} characters …]</span> '


def mark(text: str) -> str:
    """Kept text as HTML."""
    return f"<mark>{escape(text)}</mark>" if text else ""


def dropped(text: str) -> str:
    """Dropped text as HTML."""
    return f'<span class="gist-dropped">{escape(text)}</span>' if text else ""


def escape(text: str) -> str:
    """HTML-safe; what no page may hold (NUL, lone surrogates, control characters) becomes U+FFFD."""
    return html.escape(_UNPRINTABLE.sub("\ufffd", text))


__all__ = ["Account", "dropped", "escape", "mark", "marked_slices", "only", "page", "to_html", "to_page"]
