"""The generative compressor: write a gist of each passage, hold it to its share and its source, else take sentences."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gist_core.budget import Budget
from gist_core.checkpoint import Manifest
from gist_core.compressor import TextCompressor, check_call, check_timeout
from gist_core.errors import BudgetTooSmallError, CompressionTimeoutError
from gist_core.generative.fitting import settle
from gist_core.generative.guard import Source
from gist_core.generative.shares import Shares, share_out
from gist_core.keep import KeepItem, resolve_keep
from gist_core.lazy import Lazy
from gist_core.passage import Compressed, Passage, Usage, hash_text
from gist_core.tokens import TokenCounter, token_counter

if TYPE_CHECKING:
    from gist_core.generative.config import GenerativeConfig
    from gist_core.generative.engine import Engine
    from gist_core.generative.writing import Draft, WriteItem

LEAST_TOKENS = 4  # of the budget, for each chunk of a passage: what is written shorter says nothing
LEAST_LIMIT = 16  # tokens a model may always write, so that it can come to its end
GENEROUS = 1.25  # a gist may be written so much longer than its share, since tokenizers differ and the guard cuts
RUN_ON = 2.0  # and so much longer than the model was trained to write
TIGHTER = (1.0, 0.9, 0.7, 0.4)  # parts of the shares that are tried until the joined gists fit
TRIES = 4  # budgets tried for what is joined with the gists

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Call:
    """A checked call: its arguments, which passages have something to keep, its shares, and when it began."""

    passages: Sequence[Passage]
    query: str | None
    budget: Budget
    keep: Sequence[KeepItem]
    allow_empty: bool
    protected: list[bool]
    counter: TokenCounter
    shares: Shares
    began: float

    def joined_tokens(self, texts: Iterable[str]) -> int:
        """Tokens of the non-empty texts as they will be joined."""
        return self.counter.count(self.budget.separator.join(text for text in texts if text))

    def results(self, gists: Mapping[int, str], model_id: str) -> dict[int, Compressed]:
        """The gists as results, by the passage's place in the call."""
        counts = self.counter.count_many(list(gists.values()))
        return {
            at: Compressed(
                source_id=self.passages[at].id,
                text=text,
                kept=None,
                score=0.0,
                usage=Usage(self.shares.tokens_in[at], count),
                source_hash=hash_text(self.passages[at].text),
                model=model_id,
            )
            for (at, text), count in zip(gists.items(), counts, strict=True)
        }


@dataclass(slots=True)
class _Plan:
    """What the model is to write: ``items``, and for each the place of its passage."""

    items: list[WriteItem] = field(default_factory=list)
    owner: list[int] = field(default_factory=list)


class GenerativeCompressor:
    """Writes a gist of each passage, in a language model's own words, or in the passage's where it is verbatim.

    Implements ``TextCompressor``. A gist is query-free: the query is for the backup alone. Every passage gets a share
    of the budget in proportion to its tokens; its gist is cut to that by whole words, and numbers, dates, identifiers
    and names that the passage does not hold are cut from it. What a gist leaves of its share is not used.

    A passage goes to the backup instead, a compressor that keeps source text, if it has ``keep`` spans, if its share
    is too small for a gist, or if nothing trustworthy is left of the gist. The backup answers a whole call that has a
    threshold (a gist has no units to hold to it) and one of which everything fits. ``model`` names the one that made a
    result; a gist has ``kept=None`` and no units. ``score`` is 0.0, not rated, in every result of a call in which a
    gist was written; in all other calls it is the backup's.

    Weights load at the first gist. Safe to share between threads and event loops: the passages of concurrent callers
    are written together. Pickles as its settings.

    Args:
        manifest: What the checkpoint says of itself.
        folder: Gives the checkpoint's folder when the weights are first needed (a hub id is fetched then).
        device: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"`` or ``"cuda:<number>"``.
        backup: Gives the backup when it is first needed.
        extractor: Likewise what chooses the words that the model reads, where its checkpoint has one.
    """

    def __init__(
        self,
        manifest: Manifest,
        folder: Callable[[], Path],
        device: str = "auto",
        *,
        backup: Callable[[], TextCompressor],
        extractor: Callable[[], TextCompressor],
    ) -> None:
        self._manifest = manifest
        self._engine = Lazy(partial(_start, folder, device))
        self._backup = Lazy(backup)
        self._extractor = Lazy(extractor)
        self._reset()

    @property
    def model_id(self) -> str:
        """Name and version of the checkpoint."""
        return self._manifest.model_id

    @property
    def cut(self) -> int:
        """How many values that their source does not hold were cut from gists so far."""
        return self._cut

    @property
    def fell_back(self) -> int:
        """How many passages the backup has shortened so far."""
        return self._fell_back

    def compress(
        self,
        passages: Sequence[Passage],
        *,
        query: str | None = None,
        budget: Budget,
        keep: Sequence[KeepItem] = (),
        allow_empty: bool = False,
    ) -> list[Compressed]:
        """As ``TextCompressor.compress``."""
        call = _check(passages, query, budget, keep, allow_empty=allow_empty)
        plan = self._plan(call)
        drafts = self._engine().worker.submit(plan.items).result() if plan.items else []
        return self._finish(call, plan, drafts)

    async def acompress(
        self,
        passages: Sequence[Passage],
        *,
        query: str | None = None,
        budget: Budget,
        keep: Sequence[KeepItem] = (),
        allow_empty: bool = False,
        timeout: float | None = None,
    ) -> list[Compressed]:
        """As ``TextCompressor.acompress``."""
        check_timeout(timeout)
        clock = asyncio.timeout(timeout)
        try:
            async with clock:
                call = await asyncio.to_thread(_check, passages, query, budget, keep, allow_empty=allow_empty)
                plan = await asyncio.to_thread(self._plan, call)
                drafts = await self._engine().worker.run_async(plan.items) if plan.items else []
                return await asyncio.to_thread(self._finish, call, plan, drafts)
        except TimeoutError as error:
            if not clock.expired():
                raise
            raise CompressionTimeoutError(
                f"The call took longer than {timeout} s.", hint="Raise the timeout or pass less text."
            ) from error

    def _plan(self, call: _Call) -> _Plan:
        from gist_core.generative.writing import WriteItem

        plan = _Plan()
        for at, share in enumerate(call.shares.most):
            if share < LEAST_TOKENS or call.protected[at]:
                continue
            engine, whole = self._engine(), max(call.shares.tokens_in[at], 1)
            text, stands_for = self._read(engine, call, at)
            chunks = engine.framing.chunks(text)
            if share < LEAST_TOKENS * len(chunks):
                continue
            rate = share / whole
            plan.items += [
                WriteItem(engine.framing.prompt(ids, rate), _limit(engine.config, rate, stands_for * len(ids)), ids)
                for ids in chunks
            ]
            plan.owner += [at] * len(chunks)
        return plan

    def _read(self, engine: Engine, call: _Call, at: int) -> tuple[str, float]:
        """What the model reads of a passage, and how many tokens of the passage each of its tokens stands for."""
        passage, whole, times = call.passages[at], call.shares.tokens_in[at], engine.config.extract
        most = whole if times is None else ceil(times * call.shares.most[at])
        if most >= whole:
            return passage.text, 1.0
        budget = Budget(tokens=most, tokenizer=call.budget.tokenizer)
        [found] = self._extractor().compress([Passage(passage.id, passage.text)], budget=budget)
        return found.text, whole / max(found.usage.tokens_out, 1)

    def _finish(self, call: _Call, plan: _Plan, drafts: Sequence[Draft]) -> list[Compressed]:
        gists = self._settled(call, self._texts(plan, drafts))
        results = self._results(call, gists) if gists else None
        if results is None:
            results = self._with_backup(call, range(len(call.passages)), call.budget)
        self._note(call, results)
        spent = 1000 * (time.perf_counter() - call.began)
        return [
            replace(result, usage=replace(result.usage, milliseconds=spent))
            for result in (results[at] for at in range(len(call.passages)))
        ]

    def _texts(self, plan: _Plan, drafts: Sequence[Draft]) -> dict[int, str]:
        """What was written of each passage, its chunks joined by a space."""
        parts: dict[int, list[str]] = {}
        for at, draft in zip(plan.owner, drafts, strict=True):
            text = self._engine().framing.text(draft.ids, finished=draft.finished)
            parts.setdefault(at, []).append(text)
        return {at: " ".join(filter(None, texts)) for at, texts in parts.items()}

    def _settled(self, call: _Call, written: Mapping[int, str]) -> dict[int, str]:
        """The gists that hold, within their shares and together within the limit; none where they cannot be."""
        sources = {at: Source(call.passages[at].text) for at in written}
        for part in TIGHTER:
            found = {
                at: settle(sources[at], gist, int(part * call.shares.most[at]), call.counter)
                for at, gist in written.items()
            }
            gists = {at: text for at, (text, _) in found.items() if text}
            if call.shares.limit is None or call.joined_tokens(gists.values()) <= call.shares.limit:
                self._count_cut(sum(cut for _, cut in found.values()))
                return gists
        return {}

    def _results(self, call: _Call, gists: Mapping[int, str]) -> dict[int, Compressed] | None:
        """The gists, and the backup's results for all other passages; None if these need the gists' room."""
        results = call.results(gists, self.model_id)
        rest = [at for at in range(len(call.passages)) if at not in gists]
        if call.shares.limit is None or not rest:
            others = self._with_backup(call, rest, call.budget) if rest else {}
        else:
            found = self._beside(call, gists, rest, call.shares.limit)
            if found is None:
                return None
            others = found
        return results | {at: replace(result, score=0.0) for at, result in others.items()}

    def _beside(
        self, call: _Call, gists: Mapping[int, str], rest: Sequence[int], limit: int
    ) -> dict[int, Compressed] | None:
        """The backup's results for ``rest``, in what the gists leave of the limit, counted as joined in order."""
        room = limit - call.joined_tokens(gists.values())
        for tried in range(TRIES):
            budget = replace(call.budget, tokens=room if tried < TRIES - 1 else 0, ratio=None)
            try:
                found = self._with_backup(call, rest, budget)
            except BudgetTooSmallError:
                return None
            texts = {**gists, **{at: result.text for at, result in found.items()}}
            over = call.joined_tokens(texts[at] for at in sorted(texts)) - limit
            if over <= 0:
                return found
            room = max(room - over, 0)
        return None

    def _with_backup(self, call: _Call, places: Sequence[int], budget: Budget) -> dict[int, Compressed]:
        found = self._backup().compress(
            [call.passages[at] for at in places],
            query=call.query,
            budget=budget,
            keep=call.keep,
            allow_empty=call.allow_empty,
        )
        return dict(zip(places, found, strict=True))

    def _count_cut(self, cut: int) -> None:
        with self._lock:
            self._cut += cut
        if cut:
            logger.info("Cut %d values from gists that their sources do not hold.", cut)

    def _note(self, call: _Call, results: Mapping[int, Compressed]) -> None:
        shortened = [r for at, r in results.items() if r.kept is not None and r.text != call.passages[at].text]
        with self._lock:
            self._fell_back += len(shortened)
        if shortened:
            logger.info("The backup shortened %d of %d passages.", len(shortened), len(results))

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._cut = 0
        self._fell_back = 0

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in ("_manifest", "_engine", "_backup", "_extractor")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()


def _start(folder: Callable[[], Path], device: str) -> Engine:
    from gist_core.generative.engine import load_parts, start_engine

    return start_engine(load_parts(folder()), device)


def _limit(config: GenerativeConfig, rate: float, tokens: float) -> int:
    """How many tokens the model may write of so many of a passage; where it copies, it stops at none sooner."""
    if config.verbatim:
        return max(1, round(rate * tokens))
    return max(ceil(min(GENEROUS * rate, RUN_ON * config.rates[-1]) * tokens), LEAST_LIMIT)


def _check(
    passages: Sequence[Passage], query: str | None, budget: Budget, keep: Sequence[KeepItem], *, allow_empty: bool
) -> _Call:
    began = time.perf_counter()
    check_call(passages, query, budget, keep)
    protected = [bool(spans) for spans in resolve_keep(passages, keep)]
    counter = token_counter(budget.tokenizer)
    shares = share_out([p.text for p in passages], budget, counter)
    return _Call(passages, query, budget, keep, allow_empty, protected, counter, shares, began)
