"""What several passages say word for word is kept once, in the copy that scores best; within one passage it stays."""

from __future__ import annotations

from gist_core import Budget, Passage, load_compressor
from gist_core.allocation import Unit
from gist_core.passage import Span
from gist_core.selective.repeats import once

BOARD = "The board approved the budget of four million dollars in March."
CHUNKS = [f"{BOARD} Nobody objected to it.", f"It met on Monday.\n{BOARD}", "Ann Weber paid for the new roof in May."]
QUERY = "What budget did the board approve?"


def kept(chunks, budget: Budget) -> list[str]:
    results = load_compressor().compress(
        [Passage(str(at), text) for at, text in enumerate(chunks)], query=QUERY, budget=budget
    )
    return [result.text for result in results]


def test_the_same_sentence_is_paid_for_once() -> None:
    found = kept(CHUNKS, Budget(tokens=30))  # two copies would fit, or one and more
    assert sum(BOARD in text for text in found) == 1
    assert any(text.replace(BOARD, "").strip() for text in found)


def test_a_threshold_takes_one_copy() -> None:
    assert sum(BOARD in text for text in kept(CHUNKS, Budget(threshold=0.02))) == 1


def test_each_by_itself_has_its_own() -> None:
    assert sum(BOARD in text for text in kept(CHUNKS[:2], Budget(tokens=14, scope="each"))) == 2


def test_all_of_it_comes_back_where_it_fits() -> None:
    assert kept(CHUNKS, Budget(ratio=1.0)) == CHUNKS


def scores(texts: list[str], *some: list[float]) -> list[list[float]]:
    units = [[Unit(Span(0, len(text)), score) for score in own] for text, own in zip(texts, some, strict=True)]
    return [[unit.score for unit in own] for own in once(texts, units)]


def test_the_best_copy_stays_and_all_others_go_behind() -> None:
    said = "A sentence that is long enough."
    assert scores([said, said, said], [1.0], [3.0], [2.0]) == [[-99.0], [3.0], [-98.0]]
    assert scores([said, said], [1.0, 0.5], [0.0]) == [[1.0, 0.5], [-100.0]]
    assert scores([said], [1.0, 1.0]) == [[1.0, 1.0]]


def test_what_is_short_or_differs_is_not_the_same() -> None:
    assert scores(["Thank you very much.", "Thank you very much."], [1.0], [2.0]) == [[1.0], [2.0]]
    long = "It cost twelve dollars in March."
    assert scores([long, long.replace("twelve", "eleven")], [1.0], [2.0]) == [[1.0], [2.0]]
    assert scores([long, long.replace(" ", "\n")], [1.0], [2.0]) == [[-99.0], [2.0]]
