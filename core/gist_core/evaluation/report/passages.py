"""What a system kept of a case as HTML: kept, dropped, and the gold text marked apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from gist_core.cases import Case
from gist_core.evaluation.metrics import usable_answers
from gist_core.highlight import dropped, escape, mark
from gist_core.passage import Span, merge_spans

STYLE = """
.gist-answer { outline: 2px solid #2a8fb8; outline-offset: 1px; border-radius: .1rem; }
.gist-evidence { text-decoration: underline; text-decoration-style: dotted; text-decoration-thickness: .12em;
  text-underline-offset: .2em; }
"""
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")
_EDGE = 140  # characters of a long dropped stretch that are shown at either end


class _Run(NamedTuple):
    """A stretch of a passage that is of one kind throughout."""

    text: str
    kept: bool
    evidence: bool
    answer: bool


def passages_html(case: Case, kept: Sequence[Sequence[int]], *, dropped_too: bool) -> str:
    """The passages of which something was kept or is gold, as articles; the others are counted.

    Args:
        case: The question over its passages.
        kept: ``[passage, start, end]``, passages counted from 0.
        dropped_too: Dropped text is shown, long stretches of it at their ends only; else the gold part of it alone.
    """
    articles, others = [], 0
    for at, passage in enumerate(case.passages):
        own = [Span(start, end) for number, start, end in kept if number == at]
        runs = list(_runs(passage.text, merge_spans(own), case.evidence[at], answer_spans(passage.text, case.answers)))
        if any(run.kept or run.evidence for run in runs):
            body = "".join(_html(run, dropped_too=dropped_too) for run in runs)
            name = f'<header><span class="gist-name">{escape(passage.id)}</span></header>'
            text = f'<div class="gist-text" dir="auto">{body}</div>'
            articles.append(f'<article class="gist-result">{name}{text}</article>')
        else:
            others += 1
    if others:
        of = "passage" if others == 1 else "passages"
        articles.append(f'<p class="gist-note">Nothing was kept of {others:,} {of} without gold evidence.</p>')
    return "\n".join(articles)


def answer_spans(text: str, answers: Sequence[str]) -> list[Span]:
    """Where the answers that can be looked for stand, whatever the case and the punctuation between their words."""
    found = [match.span() for answer in usable_answers(answers) for match in _pattern(answer).finditer(text)]
    return merge_spans(found)


def _pattern(answer: str) -> re.Pattern[str]:
    if _UNSPACED.search(answer):
        return re.compile(re.escape(answer.strip()), re.IGNORECASE)
    words = r"[\W_]+".join(map(re.escape, re.findall(r"[^\W_]+", answer))) or r"(?!)"
    return re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)


def _runs(text: str, kept: Sequence[Span], evidence: Sequence[Span], answers: Sequence[Span]) -> Iterator[_Run]:
    edges = {0, len(text), *(at for spans in (kept, evidence, answers) for span in spans for at in span)}
    cuts = sorted(at for at in edges if 0 <= at <= len(text))
    for start, end in pairwise(cuts):
        inside = [any(s.start <= start and end <= s.end for s in spans) for spans in (kept, evidence, answers)]
        yield _Run(text[start:end], *inside)


def _html(run: _Run, *, dropped_too: bool) -> str:
    gold = " ".join(name for name, on in (("gist-evidence", run.evidence), ("gist-answer", run.answer)) if on)
    if run.kept:
        inner = mark(run.text)
    elif gold and (dropped_too or run.evidence):
        inner = dropped(run.text)
    elif not dropped_too:
        return _gap(len(run.text))
    else:
        inner = _shortened(run.text)
    return f'<span class="{gold}">{inner}</span>' if gold else inner


def _shortened(text: str) -> str:
    if len(text) <= 3 * _EDGE:
        return dropped(text)
    return dropped(text[:_EDGE]) + _gap(len(text) - 2 * _EDGE) + dropped(text[-_EDGE:])


def _gap(characters: int) -> str:
    """The place where text is left out; blank space between two sentences is not worth a number."""
    return f' <span class="gist-gap">[… {characters:,} characters …]</span> ' if characters > 2 else " "
