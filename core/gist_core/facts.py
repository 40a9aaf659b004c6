"""What a memory must not lose: numbers, dates, identifiers, names; decisions, promises, open questions.

Own rules, with word lists of their own: what counts as a fact is measured by them, so they change on purpose only.
English first; digits and dates of other scripts are found too. All patterns are bounded or possessive and none begins
where it has just failed, so the work grows linearly with the text, whatever it holds. The tables are in the order in
which they are tried: at one place of the text the first that fits wins.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from gist_core.passage import Span
from gist_core.segment import Kind, segments

MAX_SENTENCE = 600
"""No decision, promise or question is longer, in characters: such a unit is data or a list."""


class FactKind(StrEnum):
    """What a fact is. The last three are whole sentences, the others values inside a sentence."""

    NUMBER = "number"
    DATE = "date"
    IDENTIFIER = "identifier"
    NAME = "name"
    DECISION = "decision"
    PROMISE = "promise"
    QUESTION = "question"


class Fact(NamedTuple):
    """A fact in a text: half-open character offsets and its kind."""

    start: int
    end: int
    kind: FactKind


def _any(words: str) -> str:
    return f"(?:{'|'.join(words.split())})"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_LETTER = r"[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0370-\u0373\u0386-\u03ff\u0400-\u0481\u048a-\u052f\u1e00-\u1fff]"
_UPPER = f"[{''.join(c for c in map(chr, range(0x1F00)) if unicodedata.category(c) == 'Lu')}]"
_END = r"(?![A-Za-z0-9_])"  # behind a value; scripts without spaces may go on
_APOSTROPHE = r"\s?['\u2019]"  # some transcripts set contractions apart: I 'll

# Dates and times.
_DAYNAME = r"(?i:(?:mon|tues|wednes|thurs|fri|satur|sun)day)"
_DAY_SHORT = rf"(?:{_DAYNAME}s?|(?:Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\b\.?)"
_MONTH_LONG = r"(?i:january|february|april|june|july|september|october|november|december)|August"
_MONTH = rf"(?:{_MONTH_LONG}|(?:May|(?i:march|august|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec))\b\.?)"
_YEAR = r"(?:1[0-9]|20)\d\d(?!\d)"
_DAY = r"\d{1,2}(?:st|nd|rd|th)?(?![\d:])"
_HALF = r"(?:[aApP]\.[mM]\.|[aApP][mM])(?!\w)"
_CLOCK = (
    rf"(?:\d{{1,2}}\s?[\u2013-]\s?)?(?:\d{{1,2}}:\d\d(?::\d\d(?:\.\d{{1,9}})?)?(?!\d)(?:\s?{_HALF})?"
    rf"|\d{{1,2}}(?:\.\d\d)?\s?{_HALF}|\d{{1,2}}\so['\u2019]clock)"
    r"(?:\s?(?:UTC|GMT|[ECMP][SD]?T)\b|Z\b|[+-]\d\d:?\d\d)?"
)
_AT = rf"(?:(?:,?\s(?:(?:at|around|by|from|before|after|until)\s)?){_CLOCK})?"
_MONTHLY = rf"(?:{_MONTH}|may)\s(?:the\s)?{_DAY}(?:,?\s{_YEAR})?|{_MONTH},?\s(?:of\s)?{_YEAR}"
_DAILY = rf"{_DAY}\s(?:of\s)?{_MONTH}(?:,?\s{_YEAR})?"
_DAY_OF = rf"(?:(?:the\s)?{_DAILY}|{_MONTHLY}|(?:the\s)?\d{{1,2}}(?:st|nd|rd|th))"
_WEEKLY = rf"{_DAYNAME}s?(?!\w)(?:\s(?:morning|afternoon|evening|night))?(?:,?\s{_DAY_OF})?|{_DAY_SHORT},?\s(?:{_DAY_OF}|(?:at\s)?{_CLOCK})"
_DATES = {
    "digit": (
        rf"\d{{4}}(?P<sep>[-/.])\d{{1,2}}(?P=sep)\d{{1,2}}(?!\d)(?:[T\s]{_CLOCK})?",
        rf"\d{{1,2}}[/-]\d{{1,2}}[/-](?:\d{{4}}|\d\d)(?![\d/-]){_AT}|\d{{1,2}}\.\d{{1,2}}\.\d{{4}}(?![\d.]){_AT}",
        r"\d{2,4}\u5e74(?:\d{1,2}\u6708(?:\d{1,2}[\u65e5\u53f7\u865f])?)?|\d{1,2}\u6708\d{1,2}[\u65e5\u53f7\u865f]",
        r"\d{1,2}[\u70b9\u9ede\u6642\u65f6](?:\d{1,2}\u5206|\u534a)?",
        rf"{_DAILY}{_AT}|{_CLOCK}",
        rf"(?:(?:(?<=\b[Ii]n\s)|(?<=\b[Bb]y\s)|(?<=\bof\s)|(?<=\b[Ss]ince\s)|(?<=\buntil\s)|(?<=\byear\s)|(?<=\b[Ff]rom\s))"
        rf"{_YEAR}(?:\s?[\u2013-]\s?{_YEAR})?|{_YEAR}\s?[\u2013-]\s?{_YEAR}|(?:1[0-9]|20)\d0s){_END}",
    ),
    "letter": (
        rf"(?:(?i:next|last|this|every|each)\s)?(?:{_MONTHLY}|{_WEEKLY}){_AT}",
        rf"(?:(?i:next|last|this|every|each)\s)?(?:{_MONTH_LONG}|March(?=\W)){_END}|(?:(?<=\bin\s)|(?<=\bsince\s)|(?<=\buntil\s))May\b",
        rf"(?i:today|tomorrow|tonight|yesterday)(?:\s(?:morning|afternoon|evening|night))?,?\s(?:(?:at|around|by)\s)?{_CLOCK}",
        rf"(?i:noon|midnight){_END}|Q[1-4]\s{_YEAR}",
    ),
}

# Identifiers.
_FILE = _any("py js ts json csv tsv txt md pdf docx? xlsx? pptx? png jpe?g gif svg html? css xml ya?ml toml ini log zip")
_HOST = _any("com org net edu gov io ai dev app co info")
_HEX = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_STEP = r"[\w+@%~-]++(?:\.[\w+@%~-]++)*+"
_NO_KEY = r"(?!['\"]\s{0,3}:)"  # a key of JSON tells nothing
_IDENTIFIERS = {
    "word": (  # begin with a letter or a digit
        r"(?:https?|ftp|file|s3|gs)://[^\s<>\"\u3000-\u303f\uff00-\uffef]*[^\s<>\"\u3000-\u303f\uff00-\uffef.,;:!?)\]}']",
        r"(?<![\w.+-])[\w.+-]{1,64}+@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}",
        rf"(?<![\w./-])[A-Za-z]:[/\\](?:{_STEP}[/\\])*+{_STEP}",
        rf"(?<![\w./@-])(?:{_STEP}/)++(?<=/)[\w-]{{1,80}}+\.{_FILE}{_END}",
        rf"(?<![\w./@-])[\w-]{{1,80}}(?:\.[\w-]{{1,80}}){{0,3}}\.(?:{_FILE}|{_HOST}(?:\.[a-z]{{2}})?){_END}(?:/[^\s<>\"]*[\w/])?",
        _HEX + _END,
        rf"[A-Za-z0-9]++(?:_++[A-Za-z0-9]++)++(?!\w)(?:(?<=\d{{3}})|{_NO_KEY})",
    ),
    "digit": (
        r"(?<![\w.])\d++(?:\.\d++){2,}+(?:-?(?:rc|alpha|beta|dev|post|a|b)\.?\d{0,6})?(?!\w)",
        rf"(?:\d{{1,3}}[ .-])?\d{{3}}[ .-]\d{{3,4}}[ .-]\d{{4}}{_END}|\d{{3}}-\d{{4}}(?![\w-])",
        r"(?!\d++[eE]\d{1,3}\b|\d++[hx]\d++m?\b)\d++[A-Za-z]++\d[A-Za-z0-9]*+(?:-[A-Za-z0-9]++)*+" + _END,
        r"(?!\d++-\d++[\W_])\d++-(?=[A-Z0-9-]*+[A-Z]{2})[A-Z0-9]++(?:-[A-Z0-9]++)*+" + _END,
    ),
    "digit_late": (r"\d++[A-Z][A-Za-z]{0,4}" + _END,),
    "letter": (
        r"[A-Za-z]++\d[A-Za-z0-9]*+(?:[.-](?=[A-Za-z]*+\d)[A-Za-z0-9]++)*+" + _END + _NO_KEY,
        r"[A-Z]++-(?=[A-Z-]*+\d)[A-Z0-9]++(?:-[A-Z0-9]++)*+" + _END,
    ),
    "sign": (
        r"(?<![\w#&])#\d{2,20}" + _END,
        r"(?<![\w.@])@[A-Za-z]\w{1,39}" + _END,
        rf"(?<![\w./~<:])(?:~|\.{{1,2}})?/(?:{_STEP}/)++(?:{_STEP})?+|(?<![\w./~<:])(?:~|\.{{1,2}})?/[\w-]{{1,80}}\.{_FILE}{_END}",
        r"(?<![\w+])\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]?\d{2,4}){1,4}(?!\d)",
        r"(?<![\w(])\(\d{3}\)\s?\d{3}[ .-]\d{4}(?!\d)",
    ),
}

# Numbers.
_COUNT = r"\d++(?:,\d{3}(?!\d))*+(?:\.\d++)?+(?:[eE][+-]?\d++(?!\w))?+"
_NUMBER = rf"{_COUNT}(?:[ ]?[/x\u00d7\u2013-][ ]?{_COUNT})?+"
_UNIT_WORD = (
    r"(?:(?:hundred|thousand|million|billion|trillion|dozen)(?:\s(?:dollars|euros|pounds|people|years))?"
    r"|seconds?|minutes?|mins?|hours?|hrs?|days?|nights?|weeks?|months?|years?|decades?|degrees?(?:\s(?:Celsius|Fahrenheit))?"
    r"|dollars?|euros?|pounds?|cents?|bucks?|yen|rupees|percent|per\scent|points?|times|people|persons?|guests?|pages?"
    r"|bags?|tickets?|rooms?|seats?|stars?|(?:kilo|centi|milli)?met(?:er|re)s?|(?:kilo|milli)?grams?|kilos?|lit(?:er|re)s?"
    r"|miles?|feet|foot|inch(?:es)?|yards?|acres?|tons?|tonnes?)"
)
_UNIT = (
    rf"(?:%|\u2030|\u00b0\s?[CF]?|[$\u20ac\u00a3\u00a5\u20b9](?!\d)|(?:[kMGTcmd\u00b5\u03bcn]?(?:m|g|l|L|s|W|V|Hz|Wh)[\u00b2\u00b3]?"
    r"|[kKMGTP]i?[Bb](?:ps|/s)?|km/h|mph|m/s|kcal|cal|ms|min|h|hr|kg|lbs?|oz|ft|yd|mi|ha|rpm|fps|bpm|dpi|px|x|st|nd|rd|th"
    rf"|k|K|M|bn|mn|USD|EUR|GBP|CHF|JPY|INR|CAD|AUD|CNY|{_UNIT_WORD}){_END})"
)
_MONEY = r"(?:(?:US|A|C|NZ|HK|CA|AU)?[$]|[\u20ac\u00a3\u00a5\u20b9\u20bd])"
_SPELLED = (
    r"(?i:(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:-(?:one|two|three|four|five|six|seven|eight|nine))?"
    r"|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|half\san?|a\sdozen)"
)
_NUMBERS = {
    "digit": (rf"\d++h\d++m?{_END}|{_NUMBER}[-\s]?{_UNIT}(?:\s?/\s?[a-z]{{1,8}}\b)?",),
    "digit_late": (_NUMBER,),
    "sign": (
        rf"(?<![\w.,])(?:[-+\u2212\u00b1~\u2248<>\u2264\u2265]\s?)?{_MONEY}\s?{_NUMBER}(?:[-\s]?{_UNIT})?",
        rf"(?<![\w.,)\]-])[-+\u2212\u00b1~\u2248<>\u2264\u2265.]{_NUMBER}(?:[-\s]?{_UNIT})?",
    ),
    "letter": (
        rf"(?:(?:US|A|C|NZ|HK|CA|AU)[$]|(?:USD|EUR|GBP|CHF|JPY|INR|CAD|AUD|CNY|Rs\.?)\s)\s?{_NUMBER}(?:[-\s]?{_UNIT})?",
        rf"{_SPELLED}[-\s]{_UNIT_WORD}{_END}",
    ),
}

# Names.
_WORD = (
    rf"(?!(?:{_DAYNAME}|{_MONTH_LONG})(?!\w))(?:{_UPPER}['\u2019](?={_UPPER}{_LETTER}{{2}}))?{_UPPER}{_LETTER}++"
    rf"(?:[-'\u2019]{_UPPER}{_LETTER}++)*+(?![\d_]|['\u2019](?:t|m|re|ve)\b)"
)
_TITLE = r"(?:Mr|Mrs|Ms|Dr|Prof|Rev|Capt|Sgt|Gen|Sen|Gov|St|Mt)\.?\s"
_LINK = r"(?:of(?:\sthe)?|de(?:\sla|\slos)?|da|dos?|del|della|di|du|la|van(?:\sder|\sden)?|von|bin|ibn|al|&)"
_NAME = (
    rf"(?:{_TITLE})?+(?:{_WORD}|(?:{_UPPER}\.\s?){{1,4}}{_WORD})"
    rf"(?:[ \u00a0](?:{_LINK}[ \u00a0])?(?:{_WORD}|{_UPPER}\.(?=\s{_UPPER})|[A-HJ-Z](?![\w'\u2019.]))){{0,7}}+"
)
# Capitalised, yet no names, and no part of a name they stand before.
_COMMON = _set(
    "a an the this that these those it its he she they we you i my your his her our their me him them who whom whose what "
    "when where why which how there here and or but so yet nor if as because since while although though unless until "
    "then than in on at for from with by to of into onto about after before between through during without within "
    "under over near via per up down out off is are was were be been am do does did has have had can could will would "
    "shall should may might must not no yes yeah yep yup nope nah ok okay oh ah aw uh um umm hmm hm huh wow ooh oops ouch "
    "ha haha hahaha lol lmao omg wtf btw fyi imo imho idk tbh asap rsvp ps hey hi hello hiya yo bye goodbye cheers thanks "
    "thank thx sorry please pls well now just also maybe perhaps sure right alright all any some each every both either "
    "neither many much more most few other another such same only even still too very really actually basically "
    "honestly anyway however therefore thus meanwhile instead finally first second third next last again later soon "
    "today tomorrow yesterday tonight never always often sometimes usually once let lets go going get got give given "
    "take make see look know think say said says tell told ask call come like love want need try keep put send show find "
    "check use remember remind confirm cancel book great good nice cool awesome amazing perfect fine congrats "
    "congratulations happy dear welcome god gosh jesus damn dude man guys bro am pm tv true false null none nan n/a "
    "note summary total yours sincerely regards did don didn doesn isn aren wasn weren won wouldn couldn shouldn can "
    "haven hasn hadn ain ll re ve monday tuesday wednesday thursday friday saturday sunday january february march april "
    "june july august september october november december mon tue tues wed thu thur thurs fri sat sun jan feb mar apr "
    "jun jul aug sep sept oct nov dec based according regarding despite besides unfortunately fortunately hopefully "
    "absolutely definitely certainly exactly totally probably especially currently recently speaking looking being "
    "having making getting doing using one two three four five six seven eight nine ten"
)


def _group(name: str, patterns: tuple[str, ...]) -> str:
    return f"(?P<{name}>{'|'.join(patterns)})"


_VALUE = re.compile(
    r"(?m:^)[ \t]{0,16}+(?:\d{1,3}[.)]|[-*\u2022])[ \t]"  # a list's marker is no fact
    r"|(?<![A-Za-z0-9_])(?=[A-Za-z0-9][\w+%~-]{0,80}+[@:/\\._])"
    + _group("identifier_word", _IDENTIFIERS["word"])
    + r"|(?<![A-Za-z0-9_])(?=\d)(?:"
    + "|".join(
        (
            _group("date_digit", _DATES["digit"]),
            _group("identifier_digit", _IDENTIFIERS["digit"]),
            _group("number_digit", _NUMBERS["digit"]),
            _group("identifier_late", _IDENTIFIERS["digit_late"]),
            _group("number_late", _NUMBERS["digit_late"]),
        )
    )
    + r")|(?<![A-Za-z0-9_])(?=[A-Za-z])(?:"
    + "|".join(
        (
            _group("date_letter", _DATES["letter"]),
            _group("number_letter", _NUMBERS["letter"]),
            _group("identifier_letter", _IDENTIFIERS["letter"]),
        )
    )
    + r")|(?=[-+\u2212\u00b1~\u2248<>\u2264\u2265$\u20ac\u00a3\u00a5\u20b9\u20bd#@/.(])(?:"
    + "|".join((_group("identifier_sign", _IDENTIFIERS["sign"]), _group("number_sign", _NUMBERS["sign"])))
    + rf")|(?<!\w)(?={_UPPER})"
    + _group("name", (_NAME,))
)
