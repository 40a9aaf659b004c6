"""The entry point: one allocation over texts, total or each.

Every step that keeps more is verified by counting the text that results; sums of
sizes only guide the search, because tokens merge over a join. What is left out on purpose: an optimal packing
(knapsack). The best units go in first, as a model's user expects, then whatever still fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gist_core.allocation.choices import rank
from gist_core.allocation.draft import Draft, close_gaps
from gist_core.allocation.filling import fill, keep_best, top_up
from gist_core.allocation.refining import Finer, Refiner
from gist_core.allocation.sizes import RememberingCounter, Sizes, sizes_for
from gist_core.allocation.units import Unit
from gist_core.budget import Budget
from gist_core.errors import BudgetTooSmallError
from gist_core.passage import Span, merge_spans, render
from gist_core.tokens import TokenCounter


@dataclass(frozen=True, slots=True)
class Allocation:
    """What to keep of each text: sorted, disjoint spans for ``render``; tokens of each text and rendering alone."""

    kept: list[list[Span]]
    tokens_in: list[int]
    tokens_out: list[int]


def allocate(
    texts: Sequence[str],
    units: Sequence[Sequence[Unit]],
    budget: Budget,
    counter: TokenCounter,
    *,
    keep: Sequence[Sequence[Span]] = (),
    allow_empty: bool = False,
    finer: Finer | None = None,
    length_exponent: float = 0.0,
) -> Allocation:
    """Choose what to keep of each text.

    Args:
        texts: The sources.
        units: Candidates of each text; together they cover all of it but white space.
        budget: What may remain. With a threshold, units that do not score above it are left out.
        counter: Counts in the budget's tokenizer; if ``counter.is_callable``, the number of its calls grows with
            the logarithm of the number of units.
        keep: Spans of each text that must stay; empty for none.
        allow_empty: With a threshold that nothing passes, keep nothing; else the best unit that fits is kept.
        finer: ``finer(index, unit)`` gives the words of a unit that does not fit even alone, with scores in logits
            like units; asked for a few of the best such units, of which a stretch of words is kept.
        length_exponent: Units are ranked by ``score - length_exponent * ln(tokens)``.

    Raises:
        BudgetTooSmallError: what must stay does not fit.
    """
    remembering = RememberingCounter(counter)
    keep = keep or [()] * len(texts)
    plan = _Plan(budget, remembering, allow_empty, finer, length_exponent, texts)
    tokens_in = [remembering.count(text) for text in texts]
    if budget.scope == "total":
        kept = plan.run(texts, units, keep, tokens_in, 0)
    else:
        kept = []
        for i, text in enumerate(texts):
            kept += plan.run([text], [units[i]], [keep[i]], [tokens_in[i]], i)
    rendered = [render(text, spans) for text, spans in zip(texts, kept, strict=True)]
    return Allocation(kept, tokens_in, [remembering.count(text) for text in rendered])


@dataclass
class _Plan:
    """The settings of one call, and its run over the texts that share a limit."""

    budget: Budget
    counter: RememberingCounter
    allow_empty: bool
    finer: Finer | None
    exponent: float
    all_texts: Sequence[str]
    _sizes: Sizes | None = None

    def run(
        self,
        texts: Sequence[str],
        units: Sequence[Sequence[Unit]],
        keep: Sequence[Sequence[Span]],
        tokens_in: Sequence[int],
        first: int,
    ) -> list[list[Span]]:
        """The kept spans of texts that share a limit; ``first`` is the index of the first in the whole call."""
        joined = self.budget.separator.join(text for text in texts if text)
        limit = self.budget.limit(self.counter.count(joined))
        draft = Draft(texts, self.budget.separator, self.counter, limit, tokens_in)
        allowed, dropped = self._split(units)
        if not any(dropped) and draft.place({i: draft.whole(i) for i in range(len(texts))}):
            return draft.kept
        sizes = self._sizes_once()
        _place_keep(draft, keep)
        mandatory = list(draft.kept)
        refiner = self._refiner(texts, sizes, first)
        ranked = rank(texts, allowed, sizes, self.exponent)
        choices = refiner.refine(ranked, draft.slack)
        keep_best(draft, choices, sizes)
        fill(draft, choices, sizes)
        _complete(draft, units)
        _shorten(draft, mandatory)
        if draft.is_empty:
            keep_best(draft, choices, sizes)
        top_up(draft, choices, sizes)
        if refiner.use_rest(draft, ranked) or choices != ranked:
            top_up(draft, ranked, sizes)  # beside a stretch of it, what is left of a unit may fit
        if draft.is_empty and any(dropped) and not self.allow_empty:
            ranked = rank(texts, dropped, sizes, self.exponent)
            keep_best(draft, refiner.refine(ranked, draft.slack), sizes)
        return draft.kept

    def _split(self, units: Sequence[Sequence[Unit]]) -> tuple[list[list[Unit]], list[list[Unit]]]:
        """The units of each text that score above the threshold, and the others; empty spans are neither."""
        least = self.budget.threshold
        real = [[unit for unit in some if unit.span.start < unit.span.end] for some in units]
        if least is None:
            return real, [[] for _ in real]
        above = [[unit for unit in some if unit.score > least] for some in real]
        return above, [[unit for unit in some if not unit.score > least] for some in real]

    def _refiner(self, texts: Sequence[str], sizes: Sizes, first: int) -> Refiner:
        least = self.budget.threshold

        def words(index: int, unit: Unit) -> list[Unit]:
            found = self.finer(first + index, unit) if self.finer else ()
            if least is None or not unit.score > least:
                return list(found)
            return [word for word in found if word.score > least]

        return Refiner(texts, sizes, words, self.exponent)

    def _sizes_once(self) -> Sizes:
        if self._sizes is None:
            self._sizes = sizes_for(self.counter, self.budget.separator.join(text for text in self.all_texts if text))
        return self._sizes


def _place_keep(draft: Draft, keep: Sequence[Sequence[Span]]) -> None:
    merged = {i: merge_spans(spans) for i, spans in enumerate(keep) if spans}
    if not merged or any(draft.place(changes) for changes in _ways_to_keep(draft, merged)):
        return
    needed = min(map(draft.count, _ways_to_keep(draft, merged)))
    raise BudgetTooSmallError(
        f"What must be kept needs {needed} tokens, and {draft.limit} are available.",
        hint=f"Raise the budget to {needed} tokens or keep less.",
    )


def _ways_to_keep(draft: Draft, merged: Mapping[int, list[Span]]) -> Iterator[dict[int, list[Span]]]:
    """What holds the spans that must stay, in the order to try: a whole text may have fewer tokens than fragments."""
    yield {i: close_gaps(draft.texts[i], spans) for i, spans in merged.items()}
    yield dict(merged)
    dear = [i for i, spans in merged.items() if draft.counter.count(draft.render(i, spans)) > draft.tokens_in[i]]
    yield dict(merged) | {i: draft.whole(i) for i in dear}
    yield {i: draft.whole(i) for i in merged}
    yield {i: draft.whole(i) for i in range(len(draft.texts))}


def _complete(draft: Draft, units: Sequence[Sequence[Unit]]) -> None:
    """Texts of which every unit is kept come back byte for byte, if that fits."""
    spans = [[unit.span for unit in some] for some in units]
    full = [i for i, some in enumerate(spans) if some and draft.covers(i, some)]
    changes = {i: draft.whole(i) for i in full if draft.kept[i] != draft.whole(i)}
    if changes:
        draft.place(changes)


def _shorten(draft: Draft, mandatory: Sequence[list[Span]]) -> None:
    """A kept text with more tokens than its source becomes the source or, where that does not fit, starts anew."""
    counts = draft.counter.count_many(list(draft.rendered.values()))
    for i, tokens in zip(list(draft.rendered), counts, strict=True):
        if tokens > draft.tokens_in[i] and not draft.place({i: draft.whole(i)}):
            draft.place({i: mandatory[i]})
