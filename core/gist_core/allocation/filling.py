"""How a draft is filled: the best unit, then the longest stretch of the ranking that fits, then all that still fits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice
from math import inf

from gist_core.allocation.choices import LONG, Choice
from gist_core.allocation.draft import Draft
from gist_core.allocation.sizes import Sizes
from gist_core.passage import Span

_ROUNDS = 8
_SWEEPS = 12  # each looks at all units left out; two or three are the rule
_SAVED = 8  # tokens that a unit may cost less between its neighbours than alone
_TRIES = 24  # single insertions that are tried where each costs a call of the user's function
_EXACT_WORK = 2_000_000  # characters that may be counted to try every unit that nearly fits, per sweep


def keep_best(draft: Draft, ranked: Sequence[Choice], sizes: Sizes) -> bool:
    """Keep the first unit that fits beside what is kept already; False if none does.

    Where trying all would be much work, a limited number of those that fit by their costs is tried.
    """
    reach = draft.slack + sizes.margin + (0 if draft.is_empty else _SAVED)
    near = [choice for choice in ranked if choice.own <= reach and (choice.size <= reach or not draft.is_empty)]
    if not sizes.exact:
        near = near[:_TRIES] + sorted(near[_TRIES:], key=lambda choice: choice.size)[:_TRIES]
    elif _work(draft, near) > _EXACT_WORK:
        return any(_keep(draft, choice) for choice in islice(_affordable(draft, near, sizes), _TRIES))
    return any(_keep(draft, choice) for choice in near)


def fill(draft: Draft, ranked: Sequence[Choice], sizes: Sizes) -> None:
    """Keep units in rank order, as many as fit, skipping those that do not."""
    left = [choice for choice in ranked if not draft.covers(choice.passage, choice.spans)]
    for _ in range(_ROUNDS):
        picked, costs = _pick(draft, left, sizes.overhead)
        if not picked:
            return
        taken = _take_longest_prefix(draft, picked, costs)
        done = {id(choice) for choice in picked[: taken + 1]}
        left = [choice for choice in left if id(choice) not in done]


def top_up(draft: Draft, ranked: Sequence[Choice], sizes: Sizes) -> None:
    """Keep units until none that is left out would still fit.

    In small cases every unit that nearly fits is tried. Else, and where each try costs a call of the user's function,
    those that fit by their costs go in together, and only what remains is tried singly, a limited number of times.
    """
    tries = _TRIES + 2 * len(ranked).bit_length()
    for _ in range(_SWEEPS):
        near = _near(draft, ranked, sizes)
        if sizes.exact and _work(draft, near) <= _EXACT_WORK:
            if not sum([_keep(draft, choice) for choice in near]):
                return
            continue
        margin = 0.0 if sizes.exact else sizes.margin
        if not sizes.exact and len(near) <= tries:
            margin = inf  # so few that a wrong estimate need not hide any
        priced = _priced(draft, near, sizes, draft.slack + margin)
        if _take_affordable(draft, priced):
            continue
        kept = False
        for cost, choice in priced:
            if cost <= draft.slack + margin and (tries := tries - 1) >= 0:
                kept |= _keep(draft, choice)
        if not kept:
            return


def _work(draft: Draft, near: Sequence[Choice]) -> int:
    """Characters that are counted to try every choice: all that is kept, and what it brings along, for each."""
    kept = sum(map(len, draft.rendered.values()))
    return len(near) * kept + sum(_brought(draft, choice) for choice in near)


def _brought(draft: Draft, choice: Choice) -> int:
    """Characters of what a choice requires and is not kept."""
    required = choice.unit.requires
    return 0 if draft.covers(choice.passage, required) else sum(end - start for start, end in required)


def _affordable(draft: Draft, near: Sequence[Choice], sizes: Sizes) -> Iterator[Choice]:
    """The choices that fit by their costs, which are counted for some at a time: mostly one of the first fits."""
    for at in range(0, len(near), _TRIES):
        yield from (choice for _, choice in _priced(draft, near[at : at + _TRIES], sizes, draft.slack))


def _take_affordable(draft: Draft, priced: Sequence[tuple[float, Choice]]) -> int:
    """Keep as many of the first as fit by the sum of their costs; how many."""
    costs = [max(cost, 0.0) for cost, _ in priced]
    most = bisect_right(list(accumulate(costs)), draft.slack)
    return _take_longest_prefix(draft, [choice for _, choice in priced[:most]], costs[:most]) if most else 0


def _priced(draft: Draft, near: Sequence[Choice], sizes: Sizes, most: float) -> list[tuple[float, Choice]]:
    """The choices that cost at most ``most``; in rank order, but the cheapest first if costs are estimates."""
    found = [(cost, choice) for cost, choice in zip(_costs(draft, near, sizes), near, strict=True) if cost <= most]
    return found if sizes.exact else sorted(found, key=lambda pair: pair[0])


def _costs(draft: Draft, choices: Sequence[Choice], sizes: Sizes) -> list[float]:
    """What each choice by itself would add, counted on the text around it; alone where it brings much along."""
    costs = [choice.size - sizes.overhead for choice in choices]
    light = [at for at, choice in enumerate(choices) if _brought(draft, choice) <= LONG]
    pairs = draft.joints([(choices[at].passage, choices[at].spans) for at in light])
    without = sizes.many([pair[0] for pair in pairs])
    for at, size, less in zip(light, sizes.many([pair[1] for pair in pairs]), without, strict=True):
        costs[at] = size - less
    return costs


def _keep(draft: Draft, choice: Choice) -> bool:
    return draft.covers(choice.passage, choice.spans) or draft.insert(choice.passage, choice.spans)


def _pick(draft: Draft, left: Sequence[Choice], overhead: float) -> tuple[list[Choice], list[float]]:
    """What a pass in rank order would keep, if sizes were sums; what units require is paid once."""
    picked, costs = [], []
    paid: set[tuple[int, tuple[Span, ...]]] = set()
    slack: float = draft.slack
    for choice in left:
        key = (choice.passage, choice.unit.requires)
        alone = not key[1] or key in paid or draft.covers(*key)
        cost = max((choice.own if alone else choice.size) - overhead, 0.0)
        if cost <= slack:
            picked.append(choice)
            costs.append(cost)
            paid.add(key)
            slack -= cost
    return picked, costs


def _take_longest_prefix(draft: Draft, picked: Sequence[Choice], costs: Sequence[float]) -> int:
    """Keep the first n of ``picked`` such that they fit and n + 1 do not; n. Counts O(log) texts."""
    sums = [0.0, *accumulate(costs)]
    low, high, guess = (0, draft.total), (len(picked) + 1, draft.limit), len(picked)
    best: dict[int, list[Span]] = {}
    best_total = draft.total
    for step in range(4 * len(picked).bit_length() + 4):
        changes = draft.with_all((choice.passage, choice.spans) for choice in picked[:guess])
        total = draft.count(changes)
        if total <= draft.limit:
            low, best, best_total = (guess, total), changes, total
        else:
            high = (guess, total)
        if high[0] - low[0] <= 1:
            break
        guess = (low[0] + high[0]) // 2 if step % 3 == 2 else _interpolate(sums, low, high, draft.limit)
    draft.place(best, best_total)
    return low[0]


def _interpolate(sums: Sequence[float], low: tuple[int, int], high: tuple[int, int], limit: int) -> int:
    """Where the limit is probably reached, strictly between two (number of units, tokens)."""
    share = (limit - low[1]) / max(high[1] - low[1], 1)
    target = sums[low[0]] + share * (sums[high[0]] - sums[low[0]])
    return min(max(bisect_right(sums, target) - 1, low[0] + 1), high[0] - 1)


def _near(draft: Draft, ranked: Sequence[Choice], sizes: Sizes) -> list[Choice]:
    """Units left out that may still fit, in rank order."""
    reach = draft.slack + sizes.margin + _SAVED
    return [c for c in ranked if c.own - sizes.overhead <= reach and not draft.covers(c.passage, c.spans)]
