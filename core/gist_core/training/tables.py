"""Questions over tables, made up: no set that may be trained on has any. What a row is worth is learned from these."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gist_core.cases import Case
from gist_core.passage import Passage, Span
from gist_core.segment import Kind, segments

Table = Sequence[Sequence[str]]
_FEWEST, _MOST = 4, 40  # rows of a table
_TABLES = (1, 1, 1, 2, 3)  # in a call
_CONSONANTS, _VOWELS = "bcdfghjklmnprstvz", "aeio"
_SAY = (
    "What is the {column} of {key}?",
    "Which {column} does {key} have?",
    "{column} of {key}",
    "Tell me the {column} for {key}.",
    "What {column} was recorded for {key}?",
    "How does {key} stand: what is its {column}?",
)
_FIND = ("Which {key_column} has the {column} {value}?", "Whose {column} is {value}?", "What is listed with {value}?")


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, what makes a value of it, and other ways to ask for it, with ``{key}`` for the row's key."""

    name: str
    value: Callable[[random.Random], str]
    questions: tuple[str, ...] = ()


def table_cases(count: int, seed: int, topics: Sequence[Sequence[Column]] | None = None) -> list[Case]:
    """So many calls, each a question about one row of one table, in one of six forms; the same for a seed.

    What the table asked about is about makes the set.

    Args:
        count: How many.
        seed: Of what is drawn.
        topics: What the tables are about, the key's column first; ``TOPICS`` if not given.
    """
    rnd = random.Random(seed)
    return [_case(f"table-{seed}-{at}", rnd, topics or TOPICS) for at in range(count)]


def as_tables(cases: Sequence[Case], seed: int) -> list[Case]:
    """The cases with the units of every passage as the rows of a table, so that rows are not found by words alone."""
    rnd = random.Random(seed)
    return [_as_table(case, rnd) for case in cases]


def _as_table(case: Case, rnd: random.Random) -> Case:
    passages, evidence = [], []
    for passage, spans in zip(case.passages, case.evidence, strict=True):
        units = [s.span for s in segments(passage.text)]
        said = [passage.text[a:b].split() for a, b in units]
        rows = [[str(at), " ".join(words), str(len(words))] for at, words in enumerate(said, start=1)]
        text = rnd.choice(FORMS)(("Number", "Text", "Words"), rows)
        good = [any(a < e.end and e.start < b for e in spans) for a, b in units]
        held = _row_spans(text)
        pairs = zip(held, good, strict=True) if len(held) == len(good) else ()  # one or two lines are no table
        passages.append(replace(passage, text=text))
        evidence.append([row for row, is_good in pairs if is_good])
    return replace(case, set=f"tables of {case.set}", passages=passages, evidence=evidence)


def _case(id_: str, rnd: random.Random, topics: Sequence[Sequence[Column]]) -> Case:
    passages, evidence, query, answer = [], [], "", ""
    drawn = rnd.sample(topics, min(rnd.choice(_TABLES), len(topics)))
    for at, topic in enumerate(drawn):
        columns = [topic[0], *rnd.sample(topic[1:], rnd.randint(2, len(topic) - 1))]
        rows = _rows(columns, rnd)
        text = rnd.choice(FORMS)([column.name for column in columns], rows)
        passages.append(Passage(f"{id_}-{at}", text))
        asked = rnd.randrange(len(rows))
        evidence.append([_row_spans(text)[asked]] if not at else [])
        if not at:
            query, answer = _question(columns, rows, asked, rnd)
    order = rnd.sample(range(len(passages)), len(passages))
    about = f"tables/{drawn[0][0].name.lower()}"
    return Case(id_, about, query, [passages[i] for i in order], [answer], [evidence[i] for i in order])


def _rows(columns: Sequence[Column], rnd: random.Random) -> list[list[str]]:
    """Rows whose first values differ."""
    rows = [[column.value(rnd) for column in columns] for _ in range(rnd.randint(_FEWEST, _MOST))]
    return list({row[0]: row for row in rows}.values())


def _question(columns: Sequence[Column], rows: Table, asked: int, rnd: random.Random) -> tuple[str, str]:
    """A question and its answer: for a value of the row that is named, or for the row that alone has a value."""
    at = rnd.randrange(1, len(columns))
    column, key, value = columns[at], rows[asked][0], rows[asked][at]
    if rnd.random() < 0.25 and [row[at] for row in rows].count(value) == 1:
        say = rnd.choice(_FIND)
        return say.format(key_column=columns[0].name.lower(), column=column.name.lower(), value=value), key
    return rnd.choice((*_SAY, *column.questions * 3)).format(column=column.name.lower(), key=key), value


def _row_spans(text: str) -> list[Span]:
    return [s.span for s in segments(text) if s.kind is Kind.TABLE_ROW]


def _markdown(names: Sequence[str], rows: Table) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (names, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(names), *lines[1:]])


def _delimited(delimiter: str) -> Callable[[Sequence[str], Table], str]:
    def form(names: Sequence[str], rows: Table) -> str:
        out = io.StringIO()
        csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows([names, *rows])
        return out.getvalue()

    return form


def _json_lines(names: Sequence[str], rows: Table) -> str:
    return "\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in rows)


def _html(names: Sequence[str], rows: Table) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{value}</td>' for value in row)}</tr>\n" for row in rows)
    return f"<table><tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>\n{body}</table>"


FORMS = (_markdown, _delimited(","), _delimited(";"), _delimited("\t"), _json_lines, _html)
"""The ways in which a table is written."""


def _word(rnd: random.Random) -> str:
    syllables = (rnd.choice(_CONSONANTS) + rnd.choice(_VOWELS) for _ in range(rnd.randint(2, 3)))
    return "".join(syllables).capitalize()


def _name(rnd: random.Random) -> str:
    return " ".join(_word(rnd) for _ in range(rnd.choice((1, 2, 2))))


def _code(rnd: random.Random) -> str:
    return f"{rnd.choice('ABCDEFGHKLMNPRSTUVWXZ')}{rnd.choice('ABCDEFGHK')}-{rnd.randint(100, 9999)}"


def _number(low: int, high: int, mark: str = "") -> Callable[[random.Random], str]:
    return lambda rnd: f"{mark}{rnd.randint(low, high)}"


def _date(rnd: random.Random) -> str:
    return f"{rnd.randint(1990, 2026)}-{rnd.randint(1, 12):02}-{rnd.randint(1, 28):02}"


def _of(words: str) -> Callable[[random.Random], str]:
    known = words.split()
    return lambda rnd: rnd.choice(known)


_COLOURS = _of("red blue green black white grey yellow brown")
_PLACES = _of(
    "London Madrid Vienna Prague Dublin Athens Cairo Tokyo Delhi Lima Quito Boston Denver Seattle Toronto Sydney"
)

TOPICS: tuple[tuple[Column, ...], ...] = (
    (
        Column("Name", _name),
        Column("City", _PLACES, ("Where does {key} live?", "In which town is {key}?")),
        Column("Age", _number(18, 90), ("How old is {key}?",)),
        Column("Department", _of("sales finance research legal support design"), ("Where does {key} work?",)),
        Column("Salary", _number(20_000, 150_000), ("How much does {key} earn?", "What is {key} paid?")),
        Column("Hired", _date, ("When did {key} join?", "Since when has {key} been with us?")),
    ),
    (
        Column("Product", _name),
        Column("Price", _number(1, 999, "$"), ("How much is {key}?", "What does {key} cost?")),
        Column("Colour", _COLOURS, ("What colour is {key}?",)),
        Column("Weight", _number(1, 500), ("How heavy is {key}?", "How much does {key} weigh?")),
        Column("Stock", _number(0, 2_000), ("How many of {key} are left?",)),
        Column("Supplier", _name, ("Who makes {key}?", "From whom do we buy {key}?")),
    ),
    (
        Column("Order", _code),
        Column("Status", _of("shipped pending cancelled returned paid"), ("Has {key} been sent?", "Where is {key}?")),
        Column("Customer", _name, ("Who ordered {key}?",)),
        Column("Total", _number(5, 5_000, "$"), ("How much was {key}?",)),
        Column("Date", _date, ("When was {key} placed?",)),
    ),
    (
        Column("ticket", _number(1, 9_999)),
        Column("user", _name, ("Who reported ticket {key}?",)),
        Column("state", _of("open closed waiting"), ("Is ticket {key} done?", "What is the status of ticket {key}?")),
        Column("minutes", _number(1, 600), ("How long did ticket {key} take?",)),
        Column("priority", _of("low normal high urgent"), ("How urgent is ticket {key}?",)),
    ),
    (
        Column("Country", _word),
        Column("Capital", _word, ("What is the capital city of {key}?",)),
        Column("Population", _number(100_000, 90_000_000), ("How many people live in {key}?",)),
        Column("Area", _number(1_000, 900_000), ("How large is {key}?",)),
        Column("Currency", _of("crown dollar franc peso pound dinar"), ("What does one pay with in {key}?",)),
    ),
    (
        Column("Player", _name),
        Column("Team", _word, ("For whom does {key} play?",)),
        Column("Goals", _number(0, 60), ("How often did {key} score?",)),
        Column("Games", _number(1, 80), ("How many matches has {key} played?",)),
        Column("Height", _number(155, 210), ("How tall is {key}?",)),
    ),
    (
        Column("Server", _code),
        Column("Region", _PLACES, ("Where is {key} hosted?",)),
        Column("Memory", _number(2, 512), ("How much RAM has {key}?",)),
        Column("Load", _number(0, 100), ("How busy is {key}?",)),
        Column("Owner", _name, ("Who runs {key}?", "Who is responsible for {key}?")),
    ),
    (
        Column("Course", _name),
        Column("Teacher", _name, ("Who teaches {key}?",)),
        Column("Room", _number(1, 400), ("Where is {key} held?",)),
        Column("Day", _of("Monday Tuesday Wednesday Thursday Friday"), ("When is {key}?",)),
        Column("Credits", _number(1, 12), ("How much does {key} count?",)),
    ),
)
"""What the tables are about: people, goods, orders, tickets, countries, players, servers, courses."""
