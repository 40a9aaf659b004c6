"""Facts by examples from chats, transcripts and tool results, and what holds for any text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gist_core.facts import MAX_SENTENCE, Fact, FactKind, facts, value_texts

VALUES = frozenset({FactKind.NUMBER, FactKind.DATE, FactKind.IDENTIFIER, FactKind.NAME})


def of(kind: FactKind, text: str) -> list[str]:
    return [text[fact.start : fact.end] for fact in facts(text) if fact.kind is kind]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Um , I guess 5.2 kg", ["5.2 kg"]),
        ("We paid $1,234.50 , or about 1,150 EUR.", ["$1,234.50", "1,150 EUR"]),
        ("It is 20 % off, -12.50 in all, and 3/4 cup is ~5 oz.", ["20 %", "-12.50", "3/4", "~5 oz"]),
        ("That's $30 per bag and US$5 for 2 guests", ["$30", "US$5", "2 guests"]),
        ("5-7 days, 10k views, the 3rd floor, 20 °C", ["5-7 days", "10k", "3rd", "20 °C"]),
        ("twenty-five minutes and two bags, half an hour", ["twenty-five minutes", "two bags", "half an hour"]),
        ("1920x1080 at 1e400, 1.10, 2h30m", ["1920x1080", "1e400", "1.10", "2h30m"]),
        ("15 more seconds , 14 , 13 ...", ["15", "14", "13"]),
        ('{"flight_number": "HAT017", "price": 523, "zip": "92164"}', ["523", "92164"]),
        ("价格是500元", ["500元"]),
        ("1. apples\n2. pears\n- plums", []),  # a list's numbers
        ("one of those two, no more", []),
        ("see section_2b", []),
    ],
)
def test_numbers(text: str, found: list[str]) -> None:
    assert of(FactKind.NUMBER, text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Can you move it to Friday the 3rd at 4pm?", ["Friday the 3rd at 4pm"]),
        ("on May 3rd, 2024 at 16:30.", ["May 3rd, 2024 at 16:30"]),
        ("the 10th of March. 5 Mar. 2024", ["10th of March", "5 Mar. 2024"]),
        ('"created_at": "2024-05-11T08:28:51", "dob": "1982-10-19"', ["2024-05-11T08:28:51", "1982-10-19"]),
        ("29.12.2023, 00:51:12 and 5/3/24", ["29.12.2023, 00:51:12", "5/3/24"]),
        ("It departs at 06:00 AM EST or 11:30 am", ["06:00 AM EST", "11:30 am"]),
        ("next monday at 11 am, Sat at 4pm", ["next monday at 11 am", "Sat at 4pm"]),
        ("tomorrow at 4:30, noon, in May, since 1999", ["tomorrow at 4:30", "noon", "May", "1999"]),
        ("from 2010-2015, the 1990s, Q3 2024", ["2010-2015", "1990s", "Q3 2024"]),
        ("2024年5月3日下午3点30分", ["2024年5月3日", "3点30分"]),
        ("I may go, may I? The score is 3:1, sat on 3 chairs; the 3 may come", []),
        ("tomorrow, soon, some day", []),
    ],
)
def test_dates(text: str, found: list[str]) -> None:
    assert of(FactKind.DATE, text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("my user id is sofia_kim_7287, ok", ["sofia_kim_7287"]),
        ('{"flight_number": "HAT017", "address1": "x"}', ["HAT017"]),
        ('{"gift_card_3481935": {"source": "gift_card"}}', ["gift_card_3481935", "gift_card"]),
        ("reservations OI5L9G and 2FBBAH, seat 14C, COVID-19", ["OI5L9G", "2FBBAH", "14C", "COVID-19"]),
        ("order #88213, ABC-1234, +1 (555) 123-4567", ["#88213", "ABC-1234", "+1 (555) 123-4567"]),
        ("call 408-971-8523", ["408-971-8523"]),
        ("see https://a.org/x,y?z=1. and www.example.com/path", ["https://a.org/x,y?z=1", "www.example.com/path"]),
        ("mail john.doe+x@mail.example.com!", ["john.doe+x@mail.example.com"]),
        ("/usr/lib/x.so src/a/b.py C:\\dir\\file.txt", ["/usr/lib/x.so", "src/a/b.py", "C:\\dir\\file.txt"]),
        ("v2.0, 1.2.3, 192.168.1.1, 0xFF", ["v2.0", "1.2.3", "192.168.1.1", "0xFF"]),
        ("550e8400-e29b-41d4-a716-446655440000", ["550e8400-e29b-41d4-a716-446655440000"]),
        ("CALL get_user_details()", ["get_user_details"]),
        ("and/or, he/she, ____ , e.g. this, well-known, 24/7, 5kg", []),
    ],
)
def test_identifiers(text: str, found: list[str]) -> None:
    assert of(FactKind.IDENTIFIER, text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("But Sarah and Tom went to New York with Dr. Chen.", ["Sarah", "Tom", "New York", "Dr. Chen"]),
        ("Sarah Connor called. Paris is nice. I live in Paris.", ["Sarah Connor", "Paris"]),
        ("Hey Bob, thanks. The Great Gatsby by J. K. Rowling?", ["Bob", "Great Gatsby", "J. K. Rowling"]),
        ("Ludwig van Beethoven's Plan B, O'Brien", ["Ludwig van Beethoven", "Plan B", "O'Brien"]),
        ("at the University of California, from JFK to LAX", ["University of California", "JFK", "LAX"]),
        ('{"name": {"first_name": "Sofia", "last": "Kim"}}', ["Sofia", "Kim"]),
        ("- **Passenger:** Sofia Kim\n- Origin: Boston", ["Sofia Kim", "Boston"]),
        ("nach Österreich und Москва", ["Österreich", "Москва"]),
        ("I think I'm in, and I'll go on Monday in June. OK, Oh God.", []),
        ("Maybe later. Don't worry! Yes. No way… Thanks", []),
        ("YES I LOVE IT SO MUCH", []),
        ("Note: He left. Anna: went home.", []),
    ],
)
def test_names(text: str, found: list[str]) -> None:
    assert of(FactKind.NAME, text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hm. We decided on the blue one. Fine.", ["We decided on the blue one."]),
        ("Let's go with option B. It rained.", ["Let's go with option B."]),
        ("Let 's go back to Jordie .", []),
        ("I'd prefer the window seat.", ["I'd prefer the window seat."]),
        ("I’ll take the 4pm one, OK?", ["I’ll take the 4pm one, OK?"]),
        ("Okay! Please cancel it.", ["Please cancel it."]),
        ("Yes, please proceed with the change.", ["Yes, please proceed with the change."]),
        ("Your booking has been successfully cancelled.", ["Your booking has been successfully cancelled."]),
        ("Agreed. See you.", ["Agreed."]),
        ("We haven't decided. Let's see. I will take a look.", []),
        ("She booked a room; please don't shout.", []),
    ],
)
def test_decisions(text: str, found: list[str]) -> None:
    assert of(FactKind.DECISION, text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I'll send it over. Bye.", ["I'll send it over."]),
        ("Ok , I 'll do it .", ["Ok , I 'll do it ."]),
        ("Remind me to call Ann. Nice day.", ["Remind me to call Ann."]),
        ("It has to be there by tomorrow.", ["It has to be there by tomorrow."]),
        ("We will never forget, I promise!", ["We will never forget, I promise!"]),
        ("I won't tell.", ["I won't tell."]),
        ("I'll need your user ID. I'll bet. Grown by 10%, by hand.", []),
        ("He is ill. The will was read.", []),
    ],
)
def test_promises(text: str, found: list[str]) -> None:
    assert of(FactKind.PROMISE, text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hey. Can you move it to Friday?", ["Can you move it to Friday?"]),
        ("What does Ross want to name his son ? Breathe .", ["What does Ross want to name his son ?"]),
        ("You're coming on Friday, right?", ["You're coming on Friday, right?"]),
        ("Could you please cancel it?", ["Could you please cancel it?"]),
        ("Is it in “Dune”?? He asked (why not now?)", ["Is it in “Dune”??", "He asked (why not now?)"]),
        ("几点了？我不知道。", ["几点了？"]),
        ("Right? OK? You know? Really?! How are you? Oh, yeah? What ?", []),
        ("?", []),
        ("It is 5. Is it.", []),
    ],
)
def test_questions(text: str, found: list[str]) -> None:
    assert of(FactKind.QUESTION, text) == found


def test_a_sentence_has_one_kind() -> None:
    text = "Can we agree that I'll take it, and you will call me?"
    assert facts(text) == [Fact(0, len(text), FactKind.QUESTION)]


def test_data_is_no_sentence() -> None:
    assert facts("[" + ", ".join(['"we agreed on it"'] * 60) + "]") == []
    assert of(FactKind.DECISION, "```\nwe agreed on it\n```") == []
    assert of(FactKind.DECISION, "we agreed on it " + "x" * MAX_SENTENCE) == []


def test_value_texts_are_the_values() -> None:
    text = "Can Ann book HAT017 for $5 on May 3?"
    assert value_texts(text) == [
        (FactKind.NAME, "Ann"),
        (FactKind.IDENTIFIER, "HAT017"),
        (FactKind.NUMBER, "$5"),
        (FactKind.DATE, "May 3"),
    ]
    assert facts(text)[0].kind is FactKind.QUESTION


def sound(text: str) -> bool:
    """In range, not empty, sorted; values apart from each other, sentences apart from each other."""
    found = facts(text)
    values = [fact for fact in found if fact.kind in VALUES]
    sentences = [fact for fact in found if fact.kind not in VALUES]
    return (
        found == sorted(found)
        and all(0 <= fact.start < fact.end <= len(text) for fact in found)
        and all(a.end <= b.start for row in (values, sentences) for a, b in pairwise(row))
    )


PARTS = st.sampled_from(
    [*"aBz019 .,;:!?\n\r\t-–|#@'\"’“”()[]{}_/\\$€%=<>+。？年月日中é😀", "\u0301", "\ud83d", "\0",
     "May ", "Friday ", "the 3rd ", " at ", "4pm", "Mr. ", "New York", "of the ", "J. ", "we agreed ", "I'll ",
     "right?", "HAT017", "a_1", "http://", "a@b.org", "12:30", "2024-", " kg", "- ", "1. ", "\n\n",
     "```\n", "|---|\n"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(PARTS, max_size=60).map("".join)))
def test_any_text(text: str) -> None:
    assert sound(text)
    assert facts(text) == facts("".join(list(text)))
    assert [kind for kind, _ in value_texts(text)] == [f.kind for f in facts(text) if f.kind in VALUES]


UNITS = (
    "1", "A ", ".", "a", " ", "\n", "1 ", "1.", "1,", "1-", "a.", "a-", "A-", "a_", "a@", "a@b.", "/", "/a", "a/",
    "C:\\", "http://", "+1", "a+", "a%", "1A-", "a1.", "Aa-", "J. ", "Aa of ", "Mr. ", "May ", "Friday the ",
    "a? ", "? ", "I'll ", "by ", "中", "\ud83d", "\0", "'", '"',
)  # fmt: skip


@pytest.mark.parametrize("unit", UNITS, ids=ascii)
def test_nasty_repeats(unit: str) -> None:
    """Quadratic work would take minutes here; the tail makes matches fail at their very end."""
    assert sound(unit * (100_000 // len(unit)) + "_@é")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1" * 10**6, [Fact(0, 10**6, FactKind.NUMBER)]),
        ("A " * 500_000, []),
        ("." * 10**6, []),
        ("a_" * 500_000, []),
    ],
    ids=["digits", "capitals", "stops", "snake"],
)
def test_a_million_characters(text: str, found: list[Fact]) -> None:
    assert facts(text) == found
