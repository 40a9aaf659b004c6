"""What must never be split: numbers with units, dates, identifiers, URLs, code, quoted strings, negations."""

from __future__ import annotations

import re

from gist_core.passage import Span, merge_spans

MAX_PROTECTED = 300
"""Longer matches are not protected, in characters: something must remain that fits a budget."""

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\b\.?"
)
_NUMBER = r"\d++(?>(?:[.,:/\u2019\u2013-]\d++)*)"
_UNIT = (
    r"(?:%|\u2030|\u00b0\s?[CFK]?\b|\u20ac|\u00a3|\u00a5"
    r"|(?:(?:[kKmMGTcdn\u00b5\u03bc]?(?:m|g|l|L|s|A|V|W|J|N|Hz|Pa|B|b|bit|byte|mol|cal|eV|Wh|bps)|km/h|mph|m/s)[\u00b2\u00b3]?"
    r"|[GMK]i?B|ms|min|mins|h|hr|hrs|kg|lb|lbs|oz|ft|in|yd|mi|miles?|feet|foot|inch(?:es)?|yards?|acres?|ha|tons?|tonnes?"
    r"|[ap]\.m\.|[ap]m|AM|PM|UTC|GMT|BC|BCE|AD|CE|percent|per\s?cent|points?"
    r"|(?:hundred|thousand|million|billion|trillion|bn|mn|k|M|dozen)(?:\s(?:dollars|euros|pounds|people))?"
    r"|dollars?|euros?|pounds?|cents?|yen|rupees|USD|EUR|GBP|CHF|JPY|INR"
    r"|seconds?|minutes?|hours?|days?|weeks?|months?|years?|decades?|centuries|times|degrees?(?:\s(?:Celsius|Fahrenheit))?"
    r"|(?:kilo|centi|milli)?met(?:er|re)s?|(?:kilo|milli)?grams?|lit(?:er|re)s?|kilometers?|kilometres?|people|pages?)(?![\w]))"
)
_WIDE = r"\u3000-\u303f\uff00-\uffef"
_STEP = r"(?:\.\.(?=[/\\])|\.{0,2}[\w+@%~-]++(?>(?:\.[\w+@%~-]++)*))"  # of a file path
# Each group stands behind one test of the first character, so that most positions of a text fail at once.
_QUOTED = (
    r"`[^`\n]{1,200}`",
    r"(?<![\w\"])\"(?=[^\s\"])[^\"]{1,80}(?<=\S)\"(?!\w)",
    r"\u201c[^\u201c\u201d]{1,80}\u201d|\u00ab[^\u00ab\u00bb]{1,80}\u00bb|\u201e[^\u201e\u201c\u201d]{1,80}[\u201c\u201d]",
    r"\u300c[^\u300c\u300d]{1,80}\u300d|\u300e[^\u300e\u300f]{1,80}\u300f|\u2018[^\u2018\u2019]{1,80}\u2019(?!\w)",
)
_WORDY = (  # begin with a letter, a digit or an underscore, and not inside a word
    rf"(?:https?|ftp|file)://[^\s<>\"{_WIDE}]*[^\s<>\"{_WIDE}.,;:!?)\]}}']",
    r"(?<![.+-])[\w.+-]{1,64}+@[A-Za-z0-9-]++(?>(?:\.[A-Za-z0-9-]++)+)",
    rf"\d{{1,2}}(?:st|nd|rd|th)?\s(?:of\s)?{_MONTH}(?:,?\s\d{{4}}\b)?",
    rf"{_MONTH}\s\d{{1,4}}(?:st|nd|rd|th)?\b(?:,\s\d{{4}}\b)?(?:\s\d{{4}}\b)?",
    r"(?:No|Nos|Fig|Figs|Eq|Sec|Ch|Vol|Art|[Pp]p?)\.\s?\d[\w.]{0,12}(?<=\w)",
    r"(?:Figure|Table|Section|Chapter|Article|Part|Page|Step|Appendix|Equation)\s\d[\w.]{0,12}(?<=\w)",
    rf"[A-Za-z]:(?>(?:[/\\]{_STEP})+)",
    r"(?=[A-Za-z0-9_]*+[-._/\\@:+#~%&=])(?=\d*+[A-Za-z_]|\d++[-._/\\@:+#~%&=][\w./:-]{0,40}?[A-Za-z])"
    r"[A-Za-z0-9_]++(?>(?:(?:[._/\\@:+#~%&=-]|::|->)[A-Za-z0-9_]++)+)(?:\(\))?",
    r"(?:[A-Za-z0-9]*+_[A-Za-z0-9_]++|[A-Za-z]?[a-z]++[A-Z][A-Za-z0-9]*+|[A-Za-z]++\d[A-Za-z0-9]*+)(?:\(\))?",
    rf"[A-Z]{{3}}\s{_NUMBER}",
    rf"(?:US|A|C|NZ|HK)[$]\s?{_NUMBER}(?:\s?{_UNIT})?",
    rf"(?<![.,]){_NUMBER}(?:[-\s]?{_UNIT}(?:\s?/\s?[a-z]{{1,8}}\b)?)?",
)
_SIGNED = (  # begin with a sign
    rf"(?<![\w./\\~-])(?:~|\.{{1,2}})?(?>(?:[/\\]{_STEP})+)[/\\]?",
    rf"(?<![\w.,])(?:[$\u20ac\u00a3\u00a5\u20b9\u20bd]|[+\u00b1~\u2248<>\u2264\u2265-]\s?[$\u20ac\u00a3]?)\s?{_NUMBER}(?:[-\s]?{_UNIT})?",
)
_PROTECTED = re.compile(
    rf"(?=[`\"\u201c\u00ab\u201e\u300c\u300e\u2018])(?:{'|'.join(_QUOTED)})"
    rf"|(?<![A-Za-z0-9_])(?=[A-Za-z0-9_])(?:{'|'.join(_WORDY)})"
    rf"|(?=[$\u20ac\u00a3\u00a5\u20b9\u20bd+\u00b1~\u2248<>\u2264\u2265./\\-])(?:{'|'.join(_SIGNED)})"
)
_NEGATION = re.compile(
    r"(?<!\w)(?:(?i:not|no|never|without|cannot|neither|nor|non|hardly|nicht|keine?[nmrs]?|nie|niemals|ohne|pas|jamais|nunca"
    r"|n\u00e3o|\u043d\u0435|\u043d\u0438|\u0431\u0435\u0437|\u0644\u0627|\u0644\u0645|\u0644\u0646)|\w{1,12}n['\u2019]t)(?:\s{1,3}(?i:not|no|any|be|been|a|an|the|yet)){0,2}\s{1,3}[\w'\u2019-]{1,40}"
    r"|[\u4e0d\u6c92\u6ca1\u672a\u7121\u65e0\u975e\u522b][\u4e00-\u9fff]"
)


def protected_spans(text: str) -> list[Span]:
    """Spans that no cut may fall into: sorted, disjoint, each at most MAX_PROTECTED characters; linear time."""
    return protected_in(text, 0, len(text))


def protected_in(text: str, start: int, end: int) -> list[Span]:
    """As ``protected_spans``, of one stretch of the text."""
    found = [m.span() for m in _PROTECTED.finditer(text, start, end)]
    found += [m.span() for m in _NEGATION.finditer(text, start, end)]
    return [span for span in merge_spans(found) if span.end - span.start <= MAX_PROTECTED]
