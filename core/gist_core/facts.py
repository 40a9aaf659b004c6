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


_LETTER = (
    r"[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0370-\u0373\u0386-\u03ff\u0400-\u0481\u048a-\u052f\u1e00-\u1fff]"
)
_UPPER = f"[{''.join(c for c in map(chr, range(0x1F00)) if unicodedata.category(c) == 'Lu')}]"
_END = r"(?![A-Za-z0-9_])"  # behind a value; scripts without spaces may go on
_APOSTROPHE = r"\s?['\u2019]"  # some transcripts set contractions apart: I 'll

# Dates and times.
_DAYNAME = r"(?i:(?:mon|tues|wednes|thurs|fri|satur|sun)day)"
_DAY_SHORT = rf"(?:{_DAYNAME}s?|(?:Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\b\.?)"
_MONTH_LONG = r"(?i:january|february|april|june|july|september|october|november|december)|August"
_MONTH = (
    rf"(?:{_MONTH_LONG}|(?:May|(?i:march|august))\b"
    r"|(?i:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b(?:\.(?=,?\s\d))?)"
)
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
_WEEKLY = (
    rf"{_DAYNAME}s?(?!\w)(?:\s(?:morning|afternoon|evening|night))?(?:,?\s{_DAY_OF})?"
    rf"|{_DAY_SHORT},?\s(?:{_DAY_OF}|(?:at\s)?{_CLOCK})"
)
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
        rf"(?:(?i:next|last|this|every|each)\s)?(?:{_MONTH_LONG}|March){_END}"
        rf"|(?:(?<=\bin\s)|(?<=\bsince\s)|(?<=\buntil\s))May\b",
        rf"(?i:today|tomorrow|tonight|yesterday)(?:\s(?:morning|afternoon|evening|night))?,?\s(?:(?:at|around|by)\s)?{_CLOCK}",
        rf"(?i:noon|midnight){_END}|Q[1-4]\s{_YEAR}",
    ),
}

# Identifiers.
_FILE = _any(
    "py js ts json csv tsv txt md pdf docx? xlsx? pptx? png jpe?g gif svg html? css xml ya?ml toml ini log zip"
)
_HOST = _any("com org net edu gov io ai dev app co info")
_HEX = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_STEP = r"[\w+@%~-]++(?>(?:\.[\w+@%~-]++)*)"
_IDENTIFIERS = {
    "word": (  # begin with a letter or a digit; the last one leaves out the keys of JSON unless they hold a number
        r"(?:https?|ftp|file|s3|gs)://[^\s<>\"\u3000-\u303f\uff00-\uffef]*[^\s<>\"\u3000-\u303f\uff00-\uffef.,;:!?)\]}']",
        r"(?<![\w.+-])[\w.+-]{1,64}+@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}",
        rf"(?<![\w./-])[A-Za-z]:[/\\](?>(?:{_STEP}[/\\])*){_STEP}",
        rf"(?<![\w./@+%~-])(?>(?:{_STEP}/)+)(?<=/)[\w-]{{1,80}}+\.{_FILE}{_END}",
        rf"(?<![\w./@-])[\w-]{{1,80}}(?:\.[\w-]{{1,80}}){{0,3}}\.(?:{_FILE}|{_HOST}(?:\.[a-z]{{2}})?){_END}(?:/[^\s<>\"]*[\w/])?",
        r"[A-Za-z0-9]++(?>(?:_++[A-Za-z0-9]++)+)(?!\w)(?:(?<=\d{3})|(?!['\"]\s{0,3}:))",
    ),
    "digit": (
        _HEX + _END,
        r"(?<![\w.])\d++(?>(?:\.\d++){2,})(?:-?(?:rc|alpha|beta|dev|post|a|b)\.?\d{0,6})?(?!\w)",
        rf"(?:\d{{1,3}}[ .-])?\d{{3}}[ .-]\d{{3,4}}[ .-]\d{{4}}{_END}|\d{{3}}-\d{{4}}(?![\w-])",
        r"(?!\d++[eE]\d{1,3}\b|\d++[hx]\d++m?\b|0x)\d++[A-Za-z]++\d[A-Za-z0-9]*+(?>(?:-[A-Za-z0-9]++){0,8})" + _END,
        r"\d++-(?=[0-9-]{0,20}[A-Z]{2})[A-Z0-9]++(?>(?:-[A-Z0-9]++){0,8})" + _END,
    ),
    "digit_late": (r"0x[0-9a-fA-F]++" + _END + r"|\d++[A-Z][A-Za-z]{0,4}" + _END,),
    "letter": (
        _HEX + _END,
        rf"(?![a-z]++\d{{1,2}}['\"]\s{{0,3}}:)[A-Za-z]++\d[A-Za-z0-9]*+(?>(?:[.-](?=[A-Za-z]*+\d)[A-Za-z0-9]++){{0,8}}){_END}",
        r"[A-Z]++-(?=[A-Z-]{0,20}\d)[A-Z0-9]++(?>(?:-[A-Z0-9]++){0,8})" + _END,
    ),
    "sign": (
        r"(?<![\w#&])#\d{2,20}" + _END,
        r"(?<![\w.@])@[A-Za-z]\w{1,39}" + _END,
        rf"(?<![\w./~<:])(?:~|\.{{1,2}})?/(?>(?:{_STEP}/)+)(?>(?:{_STEP})?)|(?<![\w./~<:])(?:~|\.{{1,2}})?/[\w-]{{1,80}}\.{_FILE}{_END}",
        r"(?<![\w+])\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]?\d{2,4}){1,4}(?!\d)",
        r"(?<![\w(])\(\d{3}\)\s?\d{3}[ .-]\d{4}(?!\d)",
    ),
}

# Numbers.
_COUNT = r"\d++(?>(?:,\d{3}(?!\d))*)(?>(?:\.\d++)?)(?>(?:[eE][+-]?\d++(?!\w))?)"
_NUMBER = rf"{_COUNT}(?>(?:(?:[/x\u00d7\u2013-]|[ ][x\u00d7\u2013-][ ]){_COUNT})?)"
_UNIT_WORD = (
    r"(?:(?:hundred|thousand|million|billion|trillion|dozen)(?:\s(?:dollars|euros|pounds|people|years))?"
    r"|seconds?|minutes?|mins?|hours?|hrs?|days?|nights?|weeks?|months?|years?|decades?|degrees?(?:\s(?:Celsius|Fahrenheit))?"
    r"|dollars?|euros?|pounds?|cents?|bucks?|yen|rupees|percent|per\scent|points?|times|people|persons?|guests?|pages?"
    r"|bags?|tickets?|rooms?|seats?|stars?|(?:kilo|centi|milli)?met(?:er|re)s?|(?:kilo|milli)?grams?|kilos?|lit(?:er|re)s?"
    r"|miles?|feet|foot|inch(?:es)?|yards?|acres?|tons?|tonnes?)"
)
_UNIT = (
    rf"(?:[%\u2030\u5143\u5186]|\u00b0\s?[CF]?|[$\u20ac\u00a3\u00a5\u20b9](?!\d)|(?:[kMGTcmd\u00b5\u03bcn]?(?:m|g|l|L|s|W|V|Hz|Wh)[\u00b2\u00b3]?"
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
    rf"(?>(?:[-'\u2019]{_UPPER}{_LETTER}++){{0,4}})(?![\d_]|['\u2019](?:t|m|re|ve)\b)"
)
_TITLE = r"(?:Mr|Mrs|Ms|Dr|Prof|Rev|Capt|Sgt|Gen|Sen|Gov|St|Mt)\.?\s"
_LINK = r"(?:of(?:\sthe)?|de(?:\sla|\slos)?|da|dos?|del|della|di|du|la|van(?:\sder|\sden)?|von|bin|ibn|al|&)"
_NAME = (
    rf"(?>(?:{_TITLE})?)(?:{_WORD}|(?:{_UPPER}\.\s?){{1,4}}{_WORD})"
    rf"(?>(?:[ \u00a0](?:{_LINK}[ \u00a0])?(?:{_WORD}|{_UPPER}\.(?=\s{_UPPER})|[A-HJ-Z](?![\w'\u2019.]))){{0,7}})"
)
# Capitalised, yet no part of the name that follows: wherever they stand, or where they begin a sentence.
_FUNCTION = _set(
    "a an the this that these those it its he she they we you i my your his her our their me him them who whom "
    "whose what when where why which how there here and or but so yet nor if as because since while although though "
    "unless until then than in on at for from with by to of into onto about after before between through during "
    "without within under near via per is are was were be been am do does did has have had can could will would "
    "shall should may might must not no yes oh ah hey hi hello please thanks thank also just"
)
_COMMON = _FUNCTION | _set(
    "yeah yep yup nope nah ok okay aw uh um umm hmm hm huh wow ooh oops ouch ha haha hahaha lol lmao omg wtf btw "
    "fyi imo imho idk tbh asap rsvp ps yo bye goodbye cheers thx sorry pls well now maybe perhaps sure right "
    "alright all any some each every both either neither many much more most few other another such same only even "
    "still too very really actually basically honestly anyway however therefore thus meanwhile instead finally "
    "first second third next last again later soon once today tomorrow yesterday tonight never always often "
    "sometimes usually let lets go going get got give given take make see look know think say said says tell told "
    "ask call come like love want need try keep put send show find check use remember remind confirm cancel book "
    "great good nice cool awesome amazing perfect fine congrats congratulations happy dear welcome god gosh jesus "
    "damn dude man guys bro pm tv true false null none nan n note summary total yours sincerely regards over up "
    "down out off based according regarding despite besides unfortunately fortunately hopefully absolutely "
    "definitely certainly exactly totally probably especially currently recently speaking looking being having "
    "making getting doing using one two three four five six seven eight nine ten mon tue tues wed thu thur thurs "
    "fri sat sun jan feb mar apr jun jul aug sep sept oct nov dec march may august didn doesn isn aren wasn weren "
    "wouldn couldn shouldn haven hasn hadn"
)


def _group(name: str, patterns: tuple[str, ...]) -> str:
    return f"(?P<{name}>{'|'.join(patterns)})"


_VALUE = re.compile(
    r"(?m:^)[ \t]{0,16}+(?:\d{1,3}[.)]|[-*\u2022])[ \t]"  # a list's marker is no fact
    r"|(?<![A-Za-z0-9_])(?=[A-Za-z0-9+%~-]{1,80}+[@:/\\._])"
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


# Sentences that say what will be, by their cues. They are looked for where a sentence is short enough to be one.
_I_WILL = rf"(?:i|we)(?:{_APOSTROPHE}ll|\swill|\sshall)"
_ACT = (
    r"(?:book|cancel|confirm|proceed|reserve|change|update|use|add|remove|make|schedule|reschedule|order|upgrade|downgrade"
    r"|refund|return|exchange|apply|transfer|keep|switch|move|set|delete|deploy|merge|create|buy|pay|charge|go\sahead|send)"
)
_SETTLED = r"(?:decided|agreed|settled|chosen?|concluded|resolved|opted|picked)"
_CUES = {
    FactKind.DECISION: (
        rf"(?:we|i|they|he|she|you)(?:{_APOSTROPHE}(?:ve|d|s))?(?:\s(?:have|has|had|all|both|finally|just|already|then)){{0,2}}\s{_SETTLED}",
        rf"(?:it{_APOSTROPHE}s|it\s(?:is|was|has\sbeen)|everyone|everybody|all|both)\s(?:been\s)?(?:decided|agreed|settled)",
        r"agreed(?=\s?[.,!;]|\s?\Z|\s?\n|\s(?:to|on|that|upon)\b)",
        rf"let(?:{_APOSTROPHE})?s\s(?:just\s|all\s|both\s|not\s)?(?:go\s(?:with|for|ahead|to)|take|stick|pick|choose|meet|do|plan|start"
        rf"|stay|try|get|skip|drop|leave|call\sit|postpone|{_ACT})",
        rf"i(?:{_APOSTROPHE}d|\swould)\s(?:really\s|much\s|also\s|still\s|strongly\s)?(?:prefer|rather|like)|i\s(?:really\s|much\s)?prefer",
        rf"{_I_WILL}\s(?:just\s)?(?:take(?!\s(?:care|a\slook|note|over))|have\s(?:the|that|this|one|some)|go\s(?:with|for)|stick|choose|pick)",
        rf"i\s(?:want|need|wish)\sto\s{_ACT}|(?:i{_APOSTROPHE}m|i\sam|we{_APOSTROPHE}re|we\sare)\sgoing\swith",
        rf"please\s(?:\w{{2,12}}ly\s|also\s|just\s|go\sahead\sand\s){{0,2}}{_ACT}",
        rf"go\sahead\s(?:and|with)|(?:yes|yeah|ok|okay|sure)\s?[,.!]?\s(?:please|proceed|go\sahead|do\s(?:it|that)|{_ACT})",
        r"(?:has|have)\sbeen\s(?:\w{2,14}ly\s)?(?:booked|cancel+ed|confirmed|reserved|changed|updated|scheduled|made|approved|rejected"
        r"|refunded|processed|upgraded|downgraded)",
        r"(?:the|our|my|final)\s(?:plan|decision|choice)\s(?:is|was)|that\sworks(?=\s(?:for|with)|\s?[.,!])",
    ),
    FactKind.PROMISE: (
        rf"{_I_WILL}(?!\s(?:need\b|have\sto\b|bet\b|say\b|never\sknow|be\shonest|admit))|(?:i|we)\swo(?:n['\u2019]?t|\sn['\u2019]t)",
        rf"(?:i{_APOSTROPHE}m|i\sam|we{_APOSTROPHE}re|we\sare)\s(?:gon\s?na|going\sto)\s(?!the\b|a\b|my\b|be\shonest)",
        r"remind\s(?:me|us|him|her|them|you)|(?:do\s?n['\u2019]?t|do\snot|never|not\sto)\sforget|make\ssure\s(?:to|you)",
        r"(?:i|we)\spromised?|promise(?:d?\s(?:me|you|us|to|that)|\s?[.!])|you\shave\smy\sword|i\sowe\syou",
        r"(?:get|come|report)\sback\sto\s(?:you|me|us)|follow\sup\swith|keep\syou\s(?:posted|updated)|deadline|due\s(?:on|by)",
        rf"by\s(?:tomorrow|tonight|noon|midnight|eod\b|(?:the\s)?end\sof|next\s(?:week|month|year)|(?:next\s|this\s)?{_DAYNAME}"
        rf"|\d{{1,2}}(?::\d\d)?\s?[ap]\.?m\b|(?:{_MONTH_LONG}|march|may)\s\d)",
    ),
}
_CUE = re.compile(
    r"(?i)(?<![\w'\u2019])(?=[abdefghiklmnoprstuwy])(?:"
    + "|".join(f"(?P<{kind}>(?:{'|'.join(cues)})(?!\\w))" for kind, cues in _CUES.items())
    + ")"
)
_ASKS = re.compile(r"[?\uff1f\u061f][?!\uff1f\uff01]{0,8}[\"'\u201d\u2019\u300d)\]*_]{0,4}\Z")
_MORE = r"(?>(?:(?:oh|ah|well|so|hey|hi|hello|and|but|um+|uh|yeah|yes|no|wait|ok|okay|like|i\smean|or)[\s,.!]*+){0,3})"
_FILLER = re.compile(
    rf"(?i)\W*+{_MORE}(?:right|y(?:ou\s|\W)know|ok|okay|yeah|yes|no|huh|eh|hm+|really|seriously|what|why|how|see|so|and|oh"
    rf"|get\sit|got\sit|get\sme|know\swhat\si\s(?:mean|\W?m\ssaying)|you\ssee|is\sit|are\syou|do\syou|did\syou|isn\W?t\sit"
    rf"|is\sthat\sso|who\sknows|who\scares|why\snot|you\sknow\swhat|what\sthe\s\w{{2,6}}|are\syou\s(?:kidding|serious|joking)(?:\sme)?"
    rf"|(?:how|what)\s?\W?(?:s|\sare|\sis|re)?\s(?:up|it\sgoing|you(?:\sdoing)?|(?:and\s)?(?:about\s)?you)|you|guess\swhat)?"
    r"[\W_]*+"
)
_TAG = re.compile(r"(?i)[,.\u2026]\s(?:right|y(?:ou\s|\W)know|ok|okay|yeah|huh|eh|got\sit|alright)\s?\W{1,8}\Z")
_BEGINS_AFTER = frozenset(".!?\u2026\u3002\uff01\uff1f;|")
_OPENERS = " \t\"'\u201c\u2018\u00ab([{*_#>\u2022-"
_QUOTES = "\"'\u201c\u201d\u2018\u2019`"
_SPEAKS_ON = re.compile(r"[ \t]+[a-z]|['\u2019]")
_BEFORE = 40  # characters in which the end of the sentence before is looked for
_TAIL = re.compile(r"['\u2019.]")
_NAMED = re.compile(rf"{_LETTER}++(?>(?:['\u2019-]{_LETTER}++)*)\.?[ \u00a0]?")
_PROSE = frozenset({Kind.SENTENCE, Kind.LIST_ITEM, Kind.HEADING})


def facts(text: str) -> list[Fact]:
    """The facts of a text, sorted by where they begin.

    Args:
        text: Any string; lone surrogates and NUL pass through.

    Returns:
        Facts with non-empty spans. Values (numbers, dates, identifiers, names) do not overlap each other, nor do
        sentences (decisions, promises, questions); a value may stand in a sentence. Where a sentence is of several
        kinds, a question goes before a decision, and a decision before a promise.

    Example:
        >>> [(f.kind.value, "Book HAT017 on 3 May."[f.start : f.end]) for f in facts("Book HAT017 on 3 May.")]
        [('identifier', 'HAT017'), ('date', '3 May')]
    """
    return sorted([*_values(text), *_sentences(text)])


def value_texts(text: str) -> list[tuple[FactKind, str]]:
    """Kind and text of each number, date, identifier and name, in order."""
    return [(kind, text[start:end]) for start, end, kind in _values(text)]


def _values(text: str) -> Iterator[Fact]:
    for found in _VALUE.finditer(text):
        group = found.lastgroup
        if group == "name":
            if span := _name(text, *found.span()):
                yield Fact(*span, FactKind.NAME)
        elif group:
            yield Fact(*found.span(), FactKind(group.split("_")[0]))


def _name(text: str, start: int, end: int) -> Span | None:
    """The name in a run of capitalised words; None where there is none."""
    begins = _begins_sentence(text, start, end)
    while (word := _NAMED.match(text, start, end)) and _bare(word[0]) in (_COMMON if begins else _FUNCTION):
        start, begins = word.end(), False
    name = text[start:end]
    if " " in name:
        return None if name.count(" ") >= 3 and name.isupper() else Span(start, end)  # not where someone shouts
    return None if not name or begins or _bare(name) in _COMMON else Span(start, end)


def _bare(word: str) -> str:
    return _TAIL.split(word.strip().lower(), maxsplit=1)[0]


def _begins_sentence(text: str, start: int, end: int) -> bool:
    """Whether a single capitalised word may owe its capital to where it stands."""
    if start > 0 and end < len(text) and text[start - 1] in _QUOTES and text[end] in _QUOTES:
        return False  # quoted alone, as in {"name": "Ann"}
    before = text[max(0, start - _BEFORE) : start].rstrip(_OPENERS)
    if not before:
        return True
    if before[-1] in ":\uff1a":
        return _SPEAKS_ON.match(text, end) is not None
    return before[-1] in _BEGINS_AFTER or before[-1].isspace()


def _sentences(text: str) -> Iterator[Fact]:
    cues = _CUE.finditer(text)
    cue = next(cues, None)
    for (start, end), segment_kind, _ in segments(text):
        kinds = set()
        while cue and cue.end() <= end:
            kinds.add(cue.lastgroup)
            cue = next(cues, None)
        if segment_kind in _PROSE and end - start <= MAX_SENTENCE and (kind := _kind(text, start, end, kinds)):
            yield Fact(start, end, kind)


def _kind(text: str, start: int, end: int, cues: set[str | None]) -> FactKind | None:
    said = next((kind for kind in _CUES if kind in cues), None)
    if not _ASKS.search(text, max(start, end - 16), end):
        return said
    if said and _TAG.search(text, max(start, end - 24), end):
        return said  # "I'll take that one, OK?"
    return None if _FILLER.fullmatch(text, start, end) else FactKind.QUESTION
