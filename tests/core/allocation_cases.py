"""Small random allocations, and the promises they must keep, checked by brute force."""

import random
import re
from collections.abc import Sequence
from fractions import Fraction

from gist_core.allocation import Allocation, Finer, Unit
from gist_core.budget import Budget
from gist_core.passage import Span, merge_spans, render
from gist_core.segment import words

HOSTILE = [
    "",
    "   \n\t ",
    "😀👩‍👩‍👧‍👦 🏳️‍🌈! ok",
    "one.\r\ntwo.\r\nthree.",
    "lone \ud800 surrogate \udfff here.",
    "nul \0 byte. and \0\0 more",
    "北京是中国的首都。人口众多。上海更大!",
    "שלום עולם. مرحبا بالعالم. \u200fنص.",
    "<|endoftext|> <|im_start|>user. <s></s>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "e\u0301 a\u0308\u0323 combining\u200b zero\ufeff",
]
WORDS = (  # noqa: SIM905 - easier to read than a list
    "the cat sat on a mat while unbelievable internationalization 42 3.14 km/h https://x.io/a?b=c e.g. Dr. "
    "foo_bar() naïve über 漢字 и так далее 🙂 -- ... \"quoted\" it's don't"
).split()


def random_text(rng: random.Random, most_sentences: int = 6) -> str:
    if rng.random() < 0.15:
        return rng.choice(HOSTILE)
    sentences = []
    for _ in range(rng.randint(0, most_sentences)):
        words = " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 8)))
        sentences.append(words + rng.choice([".", "!", "?", "", "。"]))
    gaps = [rng.choice([" ", " ", "\n", "\n\n", "  ", "\r\n", "", "\n    - "]) for _ in sentences]
    return "".join(piece for pair in zip(sentences, gaps, strict=True) for piece in pair)


def cut_units(rng: random.Random, text: str) -> list[Unit]:
    """Units that cover all but white space, some touching, some with a heading they require."""
    pattern = rng.choice([r"\S+(?: \S+){0,4}", r"[^\s.]+(?:[ ][^\s.]+)*\.?|\S", r"\S{1,7}"])
    spans = [Span(*found.span()) for found in re.finditer(pattern, text)]
    units = []
    for i, span in enumerate(spans):
        requires = (spans[0],) if i and rng.random() < 0.1 else ()
        units.append(Unit(span, round(rng.gauss(0, 2), 1), requires))
    return units


def random_words(rng: random.Random, texts: Sequence[str]) -> Finer:
    """Finer: the words of a unit, with scores at random; now and then none."""

    def finer(index: int, unit: Unit) -> list[Unit]:
        found = words(texts[index], unit.span) if rng.random() < 0.9 else []
        return [Unit(span, rng.gauss(0, 2), unit.requires) for span in found]

    return finer


def joined(texts, separator):
    return separator.join(text for text in texts if text)


def check_promises(texts, units, budget: Budget, counter, result: Allocation, *, threshold=None) -> None:
    """Never over, never longer than the input, whole where all fits, and nothing left out that fits."""
    scopes = [range(len(texts))] if budget.scope == "total" else [[i] for i in range(len(texts))]
    outputs = [render(text, kept) for text, kept in zip(texts, result.kept, strict=True)]
    for text, kept in zip(texts, result.kept, strict=True):
        assert kept == merge_spans(kept)
        assert not kept or (kept[0].start >= 0 and kept[-1].end <= len(text))
    for members in scopes:
        count = _count(counter, [texts[i] for i in members], budget.separator)
        limit = _limit(budget, count)
        assert _count(counter, [outputs[i] for i in members], budget.separator) <= limit, "over the budget"
        for i in members:
            assert result.tokens_out[i] == _count(counter, [outputs[i]], "")
            assert result.tokens_out[i] <= result.tokens_in[i], "longer than the input"
        if threshold is not None:
            continue
        if count <= limit:
            assert [outputs[i] for i in members] == [texts[i] for i in members], "all fits"
        _check_maximal(texts, units, budget, counter, result, outputs, members, limit)


def _check_maximal(texts, units, budget, counter, result, outputs, members, limit):
    for i in members:
        for unit in units[i]:
            spans = merge_spans([*result.kept[i], unit.span, *unit.requires])
            if spans == result.kept[i]:
                continue
            text = render(texts[i], spans)
            tried = [text if k == i else outputs[k] for k in members]
            fits = _count(counter, tried, budget.separator) <= limit
            assert not fits or _count(counter, [text], "") > result.tokens_in[i], f"{unit} would still fit"


def _limit(budget, count):
    if budget.tokens is not None:
        return budget.tokens
    return count if budget.ratio is None else int(Fraction(str(budget.ratio)) * count)


def _count(counter, texts, separator):
    whole = joined(texts, separator)
    return counter.count(whole) if whole else 0
