"""The allocation's promises: random cases by brute force, then each promise by itself."""

import importlib.util
import math
import random
import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers, trainers

from gist_core.allocation import Unit, allocate
from gist_core.allocation.draft import Draft
from gist_core.allocation.sizes import RememberingCounter
from gist_core.allocation.stretches import Words
from gist_core.budget import Budget
from gist_core.errors import BudgetTooSmallError
from gist_core.passage import Span, render
from gist_core.segment import words
from gist_core.tokens import token_counter


def _load_cases():
    spec = importlib.util.spec_from_file_location("allocation_cases", Path(__file__).with_name("allocation_cases.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["allocation_cases"] = module
    spec.loader.exec_module(module)
    return module


cases = _load_cases()


@pytest.fixture(scope="module")
def counters():
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator([" ".join(cases.WORDS)] * 3, trainer)
    specs = {"o200k": "o200k_base", "cl100k": "cl100k_base", "hf": made, "characters": len}
    specs |= {"words": lambda text: len(text.split()), "quarter": lambda text: len(text) // 4}
    return {name: token_counter(spec) for name, spec in specs.items()}


def random_budget(rng, scope):
    separator = rng.choice(["\n\n", "\n\n", " ", "", "\n---\n"])
    if rng.random() < 0.5:
        return Budget(tokens=rng.choice([0, 1, 2, 3, 5, 8, 13, 20, 30, 50, 80]), scope=scope, separator=separator)
    return Budget(ratio=rng.choice([0.1, 0.25, 0.5, 0.75, 0.9, 1.0]), scope=scope, separator=separator)


# 1,700 x 6 = 10,200 cases over the three tokenizers and both scopes
@pytest.mark.slow
@pytest.mark.parametrize("scope", ["total", "each"])
@pytest.mark.parametrize("name", ["o200k", "cl100k", "hf"])
def test_promises_in_random_cases(name, scope, counters):
    _check_random(1_700, name, scope, counters)


@pytest.mark.parametrize("scope", ["total", "each"])
@pytest.mark.parametrize("name", ["characters", "words", "quarter"])
def test_promises_hold_for_functions(name, scope, counters):
    _check_random(150, name, scope, counters)


def _check_random(number, name, scope, counters):
    rng = random.Random(f"{name} {scope}")
    for _ in range(number):
        texts = [cases.random_text(rng, 4) for _ in range(rng.randint(0, 4))]
        units = [cases.cut_units(rng, text) for text in texts]
        budget = random_budget(rng, scope)
        finer = rng.choice([None, cases.random_words(rng, texts)])
        result = allocate(texts, units, budget, counters[name], finer=finer)
        cases.check_promises(texts, units, budget, counters[name], result)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(st.characters(exclude_categories=()), max_size=60), max_size=4), seed=st.integers(0, 9))
def test_promises_hold_for_any_text(texts, seed):
    counter = token_counter("o200k_base")
    rng = random.Random(seed)
    units = [cases.cut_units(rng, text) for text in texts]
    budget = random_budget(rng, rng.choice(["total", "each"]))
    cases.check_promises(texts, units, budget, counter, allocate(texts, units, budget, counter))


@pytest.mark.parametrize("text", cases.HOSTILE)
@pytest.mark.parametrize("tokens", [0, 3, 6, 1000])
def test_hostile_texts(text, tokens, counters):
    units = [Unit(Span(*found.span()), 0.0) for found in re.finditer(r"\S{1,9}", text)]
    for counter in counters.values():
        budget = Budget(tokens=tokens)
        finer = cases.random_words(random.Random(ascii(text)), [text, text])
        result = allocate([text] * 2, [units] * 2, budget, counter, finer=finer)
        cases.check_promises([text, text], [units, units], budget, counter, result)


def sentences(number, seed=0, words=(4, 9)):
    rng = random.Random(seed)
    text = " ".join(
        " ".join(rng.choice(cases.WORDS[:7]) for _ in range(rng.randint(*words))) + "." for _ in range(number)
    )
    return text, [Unit(Span(*found.span()), rng.random()) for found in re.finditer(r"\w[^.]*\.", text)]


@pytest.mark.parametrize("name", ["o200k", "cl100k", "hf", "characters", "words", "quarter"])
@pytest.mark.parametrize("scope", ["total", "each"])
def test_at_least_nine_tenths_of_the_budget_are_used(name, scope, counters):
    texts, units = zip(*(sentences(80, seed) for seed in range(3)), strict=True)
    counter = counters[name]
    largest = max(
        counter.count(text[u.span.start : u.span.end]) for text, us in zip(texts, units, strict=True) for u in us
    )
    for tokens in (max(64, 20 * largest), max(64, 25 * largest)):
        result = allocate(texts, units, Budget(tokens=tokens, scope=scope), counter)
        outputs = [render(text, kept) for text, kept in zip(texts, result.kept, strict=True)]
        used = [counter.count("\n\n".join(filter(None, outputs)))] if scope == "total" else result.tokens_out
        wholes = [sum(result.tokens_in)] if scope == "total" else result.tokens_in
        assert all(0.9 * min(tokens, whole) <= found <= tokens for found, whole in zip(used, wholes, strict=True))


def test_the_best_come_first():
    text = "One is here. Two is here. Three is here. Four is here."
    units = [Unit(Span(*m.span()), s) for m, s in zip(re.finditer(r"\w[^.]*\.", text), [1, 4, 2, 3], strict=True)]
    result = allocate([text], [units], Budget(tokens=8), token_counter("o200k_base"))
    assert render(text, result.kept[0]) == "Two is here. Four is here."


def test_a_length_exponent_prefers_short_units():
    text = "A long unit of many words stands here. Short."
    units = [Unit(Span(0, 38), 1.0), Unit(Span(39, 45), 0.9)]
    result = allocate([text], [units], Budget(tokens=9), token_counter("o200k_base"), length_exponent=1.0)
    assert result.kept == [[Span(39, 45)]]


def test_what_must_be_kept_is_kept_or_refused():
    text, units = sentences(40)
    keep = [[Span(100, 120), Span(200, 220)]]
    counter = token_counter("o200k_base")
    result = allocate([text], [units], Budget(tokens=40), counter, keep=keep)
    assert all(any(s <= a and b <= e for s, e in result.kept[0]) for a, b in keep[0])
    assert result.tokens_out[0] <= 40
    with pytest.raises(BudgetTooSmallError, match=r"needs \d+ tokens, and 3 are available"):
        allocate([text], [units], Budget(tokens=3), counter, keep=keep)


def test_required_slices_come_along():
    text = "# Heading\nFirst of it. Second of it."
    units = [Unit(Span(0, 9), -9.0), Unit(Span(10, 22), 2.0, (Span(0, 9),)), Unit(Span(23, 36), 1.0, (Span(0, 9),))]
    result = allocate([text], [units], Budget(tokens=7), token_counter("o200k_base"))
    assert render(text, result.kept[0]) == "# Heading\nFirst of it."


@pytest.mark.parametrize("scope", ["total", "each"])
def test_a_threshold_keeps_what_scores_above_it(scope):
    texts = ["Low here. High here.", "Low again."]
    units = [[Unit(Span(0, 9), 0.0), Unit(Span(10, 20), 2.0)], [Unit(Span(0, 10), 0.5)]]
    counter = token_counter("o200k_base")
    kept = allocate(texts, units, Budget(threshold=1.0, scope=scope), counter).kept
    assert kept == [[Span(10, 20)], [] if scope == "total" else [Span(0, 10)]]
    assert allocate(texts, units, Budget(threshold=0.5, scope=scope), counter, allow_empty=True).kept == [
        [Span(10, 20)],
        [],
    ]
    assert allocate(texts, units, Budget(threshold=-1.0, scope=scope), counter).kept == [[Span(0, 20)], [Span(0, 10)]]


def test_never_silently_empty():
    texts, units = ["Low here. Best here."], [[Unit(Span(0, 9), 0.0), Unit(Span(10, 20), 0.5)]]
    counter = token_counter("o200k_base")
    assert allocate(texts, units, Budget(threshold=9.0), counter).kept == [[Span(10, 20)]]
    assert allocate(texts, units, Budget(threshold=9.0), counter, allow_empty=True).kept == [[]]


ADDRESS = "He drives on Sundays, she lives at 12 Harbour Street near the old pier, as they all say."


def words_with(text, scores):
    """Finer: the words of a unit with these scores, 1 where none is given."""
    return lambda _, unit: [Unit(s, scores.get(text[s.start : s.end], 1.0)) for s in words(text, unit.span)]


def kept_words(text, units, finer, **budget):
    kept = allocate([text], [units], Budget(**budget), token_counter("o200k_base"), finer=finer).kept[0]
    return [text[s.start : s.end] for s in kept]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=12, unique=True), st.integers(0, 30), st.integers(1, 9))
def test_a_draft_tells_what_it_touches(edges, start, length):
    edges = sorted(edges)
    draft = Draft(["x" * 40], "", token_counter(len), 40, [40])
    draft.kept[0] = [Span(a, b) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    inside = {at for a, b in draft.kept[0] for at in range(a, b)}
    assert draft.touches(0, Span(start, start + length)) == any(at in inside for at in range(start, start + length))


MARKED = st.sampled_from(["wo", "wo", "w,", "w.", "(w", "\u201cw", "w\u3001"])
WORDS = st.tuples(st.floats(-9, 9), st.integers(1, 5), MARKED)


@settings(max_examples=400, deadline=None)
@given(st.lists(WORDS, max_size=12), st.integers(0, 30))
def test_no_stretch_that_fits_holds_more_odds(words, room):
    """Those that begin or end where a clause does count a tenth more for each."""
    text = " ".join(word for _, _, word in words)
    units = [Unit(Span(3 * i, 3 * i + 2), score) for i, (score, _, _) in enumerate(words)]
    found = Words(text, units, [size for _, size, _ in words]).stretch(room)
    least = min((score for score, _, _ in words), default=0.0)
    worth = [size * (math.exp(score) - math.exp(least)) for score, size, _ in words]
    parted = [True, *(one[-1] in ",.\u3001" or two[0] in "(\u201c" for (*_, one), (*_, two) in pairwise(words)), True]

    def value(first, last):
        return sum(worth[first : last + 1]) * (1 + 0.1 * (parted[first] + parted[last + 1]))

    windows = [(a, b) for a in range(len(words)) for b in range(a, len(words))]
    fitting = [value(a, b) for a, b in windows if sum(size for _, size, _ in words[a : b + 1]) <= room]
    if found is None:
        assert not fitting
    else:
        first, last = found.start // 3, found.end // 3
        assert sum(size for _, size, _ in words[first : last + 1]) <= room
        assert value(first, last) == pytest.approx(max(fitting), rel=1e-6, abs=1e-4)


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ({"Harbour": 5.0, "Street": 5.0}, "12 Harbour Street"),
        ({"He": 5.0}, "He drives on"),
        ({"say.": 5.0}, "they all say."),
        ({}, "He drives on"),
    ],
)
def test_of_a_unit_that_does_not_fit_the_best_stretch_of_words_stays(scores, kept):
    units = [Unit(Span(0, len(ADDRESS)), 1.0)]
    assert kept_words(ADDRESS, units, words_with(ADDRESS, scores), tokens=4) == [kept]


@pytest.mark.parametrize(("she", "kept"), [(2.03, "drives on Sundays,"), (3.0, "on Sundays, she")])
def test_a_stretch_would_rather_end_where_a_clause_does(she, kept):
    finer = words_with(ADDRESS, {"drives": 2.0, "on": 2.0, "Sundays,": 2.0, "she": she})
    assert kept_words(ADDRESS, [Unit(Span(0, len(ADDRESS)), 1.0)], finer, tokens=5) == [kept]


def test_a_stretch_takes_what_better_units_leave():
    text = f"Boats rot. {ADDRESS}"
    units = [Unit(Span(0, 10), 2.0), Unit(Span(11, len(text)), 1.0)]
    finer = words_with(text, {"Harbour": 5.0, "Street": 5.0})
    assert kept_words(text, units, finer, tokens=9) == ["Boats rot.", "at 12 Harbour Street"]


def test_no_stretch_goes_over_words_that_a_threshold_leaves_out():
    units = [Unit(Span(0, len(ADDRESS)), 3.0)]
    finer = words_with(ADDRESS, {"she": 4.0, "at": 4.0, "12": 5.0})
    assert kept_words(ADDRESS, units, finer, tokens=9, threshold=2.0) == ["at 12"]


def test_a_stretch_is_cut_where_whole_units_leave_a_fifth_of_the_budget_unused():
    text = f"Boats rot and nobody cares at all. {ADDRESS}"
    units = [Unit(Span(0, 34), 2.0), Unit(Span(35, len(text)), 1.0)]
    finer = words_with(text, {"Harbour": 5.0, "Street": 5.0})
    assert kept_words(text, units, finer, tokens=25) == [
        text[:34],
        "she lives at 12 Harbour Street near the old pier,",
    ]
    assert kept_words(text, units, finer, tokens=10) == [text[:34]]
    code = [units[0], Unit(units[1].span, 1.0, prose=False)]
    assert kept_words(text, code, finer, tokens=25) == [text[:34]]
    assert kept_words(text, code, finer, tokens=12) == [text[:34]]
    assert kept_words(text, code[1:], finer, tokens=4) == ["12 Harbour Street"]


@pytest.mark.parametrize("scope", ["total", "each"])
def test_calls_of_a_function_grow_with_the_logarithm(scope):
    calls = {}
    for number in (50, 800, 6_400):
        text, units = sentences(number)
        asked = []

        def count(found, asked=asked):
            asked.append(found)
            return len(found.split()) + len(found) // 7

        allocate([text], [units], Budget(ratio=0.4, scope=scope), token_counter(count))
        calls[number] = len(asked)
    assert max(calls.values()) <= 40 + 12 * 13
    assert calls[6_400] - calls[800] <= 12 * 3 + 24


def test_many_units_take_near_linear_time():
    text, units = sentences(20_000)
    counter = token_counter("o200k_base")
    result = allocate([text], [units], Budget(ratio=0.5), counter)
    limit = result.tokens_in[0] // 2
    assert 0.99 * limit <= result.tokens_out[0] <= limit


class Meter:
    """Counts as a tokenizer, and adds up the characters that it is given."""

    name, is_callable = "meter", False

    def __init__(self):
        self.inner, self.characters = token_counter("o200k_base"), 0

    def count(self, text):
        self.characters += len(text)
        return self.inner.count(text)

    def count_many(self, texts):
        return [self.count(text) for text in texts]


def counted(text, units, keep=(), **budget):
    """How many times the characters of the text are counted."""
    meter = Meter()
    allocate([text], [units], Budget(**budget), meter, keep=keep)
    return meter.characters / len(text)


@pytest.mark.parametrize("ratio", [0.1, 0.25])
def test_a_heading_far_above_costs_no_more_than_its_words(ratio):
    """What is kept between a heading and a unit below it is not counted with every unit that is left out."""
    body, units = sentences(6_000, words=(4, 25))
    plain = counted(body, units, ratio=ratio)
    head = Span(0, 13)
    below = [Unit(Span(u.span.start + 15, u.span.end + 15), u.score, (head,)) for u in units]
    assert counted(f"# The chapter\n\n{body}", below, ratio=ratio) < 3 * plain


def test_the_same_is_kept_below_a_heading_as_without(counters):
    body, units = sentences(600, words=(4, 25))
    below = [Unit(Span(u.span.start + 15, u.span.end + 15), u.score, (Span(0, 13),)) for u in units]
    for name in ("o200k", "hf"):
        for tokens in (100, 500):
            plain = allocate([body], [units], Budget(tokens=tokens), counters[name]).kept[0]
            more = counters[name].count(f"# The chapter\n\n{body}") - counters[name].count(body)
            found = allocate([f"# The chapter\n\n{body}"], [below], Budget(tokens=tokens + more), counters[name])
            assert [Span(s - 15, e - 15) for s, e in found.kept[0] if s > 13] == plain


@pytest.mark.parametrize("rows", [1_000, 4_000])
def test_a_long_header_is_counted_once_and_not_with_each_row(rows):
    header = "| " + "x y " * (rows // 2) + "|\n|---|"
    text = header + "\n| a |" * rows
    spans = [Span(at, at + 5) for at in range(len(header) + 1, len(text), 6)]
    units = [Unit(span, 0.0, (Span(0, len(header)),), prose=False) for span in spans]
    assert counted(text, units, ratio=0.1) < 150  # one row alone is counted with 64 characters of the header
    assert counted(text, units, ratio=0.6) < 150


@pytest.mark.parametrize("slack", [0, 2])
def test_what_must_stay_is_not_counted_with_every_unit_that_might_follow(slack):
    text, units = sentences(4_000)
    text = text.replace(". ", ". Qzx! ")  # short ones between, which nearly fit
    found = re.finditer(r"\w[^.!]*[.!]", text)
    units = [Unit(Span(*one.span()), float(one.group() == "Qzx!")) for one in found]
    keep = [[unit.span for unit in units if text[unit.span.start] != "Q"]]
    need = token_counter("o200k_base").count(render(text, keep[0]))
    assert counted(text, units, keep, tokens=need + slack) < 150


def test_a_counter_that_remembers_holds_no_text():
    counter = RememberingCounter(Meter())
    text = " ".join(map(str, range(1_000)))
    before = sys.getrefcount(text)
    assert counter.count(text) == counter.count(text)
    assert sys.getrefcount(text) == before
    assert counter._counter.characters == len(text)
    assert counter.count("") == 0


class Sliced(str):
    """A text that adds up the characters that are sliced out of it or searched."""

    __slots__ = ()
    characters = 0

    def __getitem__(self, at):
        found = super().__getitem__(at)
        Sliced.characters += len(found)
        return found

    def find(self, sub, start=0, end=None):
        Sliced.characters += (len(self) if end is None else end) - start
        return super().find(sub, start, end)


def test_a_tiny_budget_does_not_read_the_source_for_every_unit():
    text, units = sentences(3_000)
    Sliced.characters = 0
    result = allocate([Sliced(text)], [units], Budget(tokens=12), token_counter("o200k_base"))
    assert 1 <= result.tokens_out[0] <= 12
    assert Sliced.characters < 60 * len(text)


def test_of_many_texts_those_of_which_nothing_is_kept_cost_nothing(monkeypatch):
    texts, units = zip(*(sentences(2, seed) for seed in range(3_000)), strict=True)
    joined = []
    join = Draft._join
    monkeypatch.setattr(Draft, "_join", lambda self, some: join(self, joined.extend(some := list(some)) or some))
    allocate(texts, units, Budget(tokens=12), token_counter("o200k_base"))
    assert len(joined) < 40 * len(texts)


def test_fragments_that_cost_more_than_the_whole_keep_the_whole():
    word, other = "internationalization responsibilities characteristically", "Nothing is said here. " * 20
    counter = token_counter("o200k_base")
    keep = [[Span(at, at + 1) for at in range(0, len(word), 2)], []]
    units = [[Unit(Span(0, len(word)), 0.0)], [Unit(Span(0, 21), 1.0)]]
    whole = counter.count(word)
    assert counter.count(render(word, keep[0])) > 3 * whole
    for tokens in (whole, whole + 9):
        assert allocate([word, other], units, Budget(tokens=tokens), counter, keep=keep).kept[0] == [Span(0, len(word))]
    with pytest.raises(BudgetTooSmallError, match=f"needs {whole} tokens, and {whole - 1} are"):
        allocate([word, other], units, Budget(tokens=whole - 1), counter, keep=keep)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(max_size=40), max_size=3), pattern=st.sampled_from(["[aeiou]", r"\S", ".", r"\w+"]))
@pytest.mark.parametrize("scope", ["total", "each"])
def test_without_a_limit_nothing_that_must_stay_is_refused(scope, texts, pattern):
    texts = [*texts, "The quick brown fox jumps over the lazy dog. Another sentence stands here about nothing at all."]
    keep = [[Span(*found.span()) for found in re.finditer(pattern, text)] for text in texts]
    units = [[Unit(Span(*found.span()), 0.0) for found in re.finditer(r"\S+", text)] for text in texts]
    result = allocate(texts, units, Budget(threshold=9.0, scope=scope), token_counter("o200k_base"), keep=keep)
    for spans, must in zip(result.kept, keep, strict=True):
        assert all(any(s <= a and b <= e for s, e in spans) for a, b in must)


def test_the_same_call_gives_the_same_output_and_changes_nothing():
    text, units = sentences(30)
    before = list(units)
    counter = token_counter("o200k_base")
    first = allocate([text], [units], Budget(ratio=0.3), counter)
    assert allocate([text], [units], Budget(ratio=0.3), counter) == first
    assert units == before
