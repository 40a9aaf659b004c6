"""Sentence ends inside one block of text."""

from __future__ import annotations

import re

from gist_core.passage import Span
from gist_core.segment.cut import SHORT, cut_unmarked, trimmed
from gist_core.segment.markup import CLOSING, OPENING, is_bare
from gist_core.segment.values import CLOSERS, WIDE_CLOSERS

# A stop of a script with spaces counts before a space only; the look-behind keeps a run of stops from being tried
# again at each of its characters. The other marks end a sentence wherever they stand.
_STOP = re.compile(
    rf"(?<![.!?\u2026])(?P<stop>[.!?\u2026]++)(?P<close>[{CLOSERS}]{{0,4}}+)(?>(?:\[[\w, ]{{1,12}}\]){{0,8}})(?=\s)"
    rf"|[\u061f\u06d4\u0964\u0965\u104b\u1362\u17d4\u0589]++[{CLOSERS}]{{0,4}}+"
    rf"|[\u3002\uff01\uff1f\uff61\ufe52]++(?P<wide>[{WIDE_CLOSERS}]{{0,4}}+)"
    rf"|(?P<tag>{CLOSING}|{OPENING})"
)
_INK = re.compile(r"\s*+")
_NEXT = re.compile(r"\s*+[\"'\u201c\u2018\u00ab(\[*_]{0,4}+(?P<word>[\w']{0,20}+)")
_QUOTE_GOES_ON = re.compile(r"[\u3068\u3063\u306a\u306e\u3001\uff0c\u3092\u304c\u306f\u306b\u3082]")
_BEFORE = re.compile(r"[^\s(\[\"'\u201c\u2018\u00ab/\u2014\u2013-]*\Z")
_NUMERAL = re.compile(r"[0-9]{1,3}|[IVXLC]{1,6}")
_DOTTED = re.compile(r"(?:\w\.)+\w{1,2}")


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


# Never at a sentence's end.
_TITLES = _set(
    "mr mrs ms mx dr prof rev hon gen col lt sgt capt cmdr cpt maj adm sen rep gov pres supt st ste mt ft messrs "
    "mme mlle e.g i.e eg ie cf vs viz ca approx esp resp incl excl z.b d.h u.a bzw bspw evtl ggf "
    "sog dipl ing sr sra sres "
    "dra mons attn asst assoc univ v"
)
# Only before a number.
_NUMBERED = _set(
    "no nos nr num fig figs eq eqs sec sect ch chap vol vols p pp par para art tab ref refs ed app pt pts ex "
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun min max abs ver"
)
# At a sentence's end only before a word that likely starts one.
_NAMES = _set(
    "inc ltd co corp llc bros jr sr dept est ave blvd rd al plc gmbh ph.d phd m.d b.a m.a univ intl natl govt"
)
_TIMES = _set("a.m p.m etc usw")
_STARTERS = _set(
    "the a an this that these those it he she they we i you there here in on at for from with by as after before "
    "when while if although but and or so however his her its their our my your who what where why "
    "how many most some all "
    "one no yes then thus since during according both each another such other"
)


def sentences(text: str, start: int, end: int, body: int) -> list[Span]:
    """Sentences of the block ``text[start:end]``; no stop before ``body`` counts (a list marker's)."""
    out: list[Span] = []
    at = bare = start  # up to ``bare`` stand tags alone
    for found in _STOP.finditer(text, body, end):
        stop = found.end()
        if found.lastgroup == "tag" and is_bare(text, bare, stop):
            bare = stop
        elif stop < end and _ends(text, found, at, end):
            _add(out, text, at, stop)
            at = bare = _INK.match(text, stop, end).end()  # type: ignore[union-attr]  # matches anywhere
    _add(out, text, at, end)
    return out


def _add(out: list[Span], text: str, start: int, end: int) -> None:
    if end - start <= SHORT:
        out.extend(trimmed(text, start, end))
    else:
        out.extend(cut_unmarked(text, start, end))


def _ends(text: str, found: re.Match[str], at: int, end: int) -> bool:
    """Whether the stop found ends the sentence that began at ``at``."""
    if found.lastgroup == "wide":
        return not (found["wide"] and _QUOTE_GOES_ON.match(text, found.end()))
    stop = found["stop"]
    if stop is None:
        return True
    following = _NEXT.match(text, found.end(), end)
    word = following["word"] if following else ""
    if stop == ".":
        return _period_ends(text, found, at, word)
    if word[:1].islower():
        return "." not in stop and "\u2026" not in stop and not found["close"]
    return True


def _period_ends(text: str, found: re.Match[str], at: int, word: str) -> bool:
    """Whether a single full stop ends the sentence, by the word before it and the ``word`` behind."""
    left = found.start()
    before = _BEFORE.search(text, max(at, left - 16), left)
    last = before[0] if before else ""
    name, first = last.lower(), word[:1]
    if _NUMERAL.fullmatch(last) and left - len(last) <= at:
        return False  # an enumeration's number
    if (len(last) == 1 and "A" <= last <= "Z" and last != "I") or (name in _NAMES or _is_acronym(last, name)):
        return first.isupper() and word.lower() in _STARTERS
    if name in _TITLES:
        return False
    if name in _NUMBERED or name in _TIMES:
        return not (first.isdigit() or first.islower())
    return not first.islower() or (len(last) >= 3 and last.isalnum() and not found["close"])


def _is_acronym(last: str, name: str) -> bool:
    return _DOTTED.fullmatch(last) is not None and name not in _TITLES and name not in _TIMES
