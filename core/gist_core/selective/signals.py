"""From texts to the signals of their units: segmentation, windows, the network's scores, lexical overlap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from gist_core.errors import CheckpointError
from gist_core.passage import Span
from gist_core.segment import Segment, segments, words
from gist_core.selective import terms
from gist_core.selective.config import SelectiveConfig
from gist_core.selective.fusion import Mode
from gist_core.selective.grams import GramHits, gram_hits, gram_overlap, nearness
from gist_core.selective.lexical import overlap
from gist_core.selective.pooling import pool_arrays
from gist_core.selective.scorer import WindowItem, WindowScores
from gist_core.selective.terms import Terms
from gist_core.selective.windows import (
    Tokens,
    Windows,
    clean,
    collate,
    read_titles,
    spelled_share,
    tokenize,
    windows,
)

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
FOREIGN_TEXT, FOREIGN_QUERY = 0.28, 0.16  # shares of words that are spelled: what parts English from other languages
QUERY_TAIL = 24  # of a query that is too long, so many tokens are kept from its end
NEARNESS = 4.0  # logits between the word nearest to a foreign query's words and one far from them (decision 15)
TITLE_TOKENS = 24  # of a title that is longer, its end is not read


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call made ready for the network; ``mode`` says which fusion rates its units."""

    segments: list[list[Segment]]
    cut: Windows
    mode: Mode
    query: Ints  # its terms
    terms: Terms
    hits: GramHits
    items: list[WindowItem]
    piece_unit: list[Ints]  # for each window, the units its pieces belong to


@dataclass(frozen=True, slots=True)
class Signals:
    """``units`` (U, F) in the order of ``fusion.SIGNALS``; ``keep`` (N,) token logits."""

    units: Floats
    keep: Floats


@dataclass(frozen=True, slots=True)
class Special:
    """Ids of [CLS], [SEP], [PAD]."""

    cls: int
    sep: int
    pad: int


def special_ids(tokenizer: Tokenizer) -> Special:
    """The framing ids of a BERT tokenizer.

    Raises:
        CheckpointError: The tokenizer lacks one of them.
    """
    ids = [tokenizer.token_to_id(t) for t in ("[CLS]", "[SEP]", "[PAD]")]
    found = [i for i in ids if i is not None]
    if len(found) != len(ids):
        raise CheckpointError("The tokenizer lacks [CLS], [SEP] or [PAD].", hint="Use a BERT tokenizer.")
    return Special(*found)


def prepare(
    texts: Sequence[str],
    query: str | None,
    tokenizer: Tokenizer,
    config: SelectiveConfig,
    titles: Sequence[str] = (),
    foreign: Callable[[], Tokenizer] | None = None,
) -> Prepared:
    """Segment, tokenise and cut; work that grows linearly with the text.

    ``titles``, one a text and "" for none, are read with a query only, and only where they differ: they tell which text
    a question is about. ``foreign`` gives what calls in other languages are tokenised with, once ``tokenizer`` has told
    them apart.
    """
    found = [units_of(t, config.granularity) for t in texts]
    units = [[s.span for s in f] for f in found]
    encoded, tokens = _read(query or "", texts, units, tokenizer)
    mode = _mode(query or "", encoded, tokens, tokenizer)
    changed = foreign if mode == "foreign" else None
    if changed:
        tokenizer = changed()
        encoded, tokens = _read(query or "", texts, units, tokenizer)
    tell = encoded.ids and len(set(titles)) > 1
    headed = read_titles(titles, tokenizer, title_room(config)) if tell else None
    cut = windows(tokens, config.window_tokens, headed)
    special, ids = special_ids(tokenizer), _query_ids(encoded, config.query_tokens - 2)
    framed = (special.cls, *ids.tolist(), special.sep)
    items, piece_unit = [], []
    for row in range(len(cut)):
        batch = collate(cut, [row], special.cls, special.sep, special.pad)
        piece, owners = _pieces(cut.tokens.unit, batch.at[0])
        items.append(WindowItem(framed, batch.ids[0], piece, changed is not None))
        piece_unit.append(owners)
    if mode == "foreign":
        asked, said = terms.word_ids(query or ""), terms.words(texts, units, cut)
    else:
        asked, said = ids, terms.pieces(cut)
    return Prepared(found, cut, mode, asked, said, gram_hits(query or "", texts, units), items, piece_unit)


def _read(
    query: str, texts: Sequence[str], units: Sequence[Sequence[Span]], tokenizer: Tokenizer
) -> tuple[Encoding, Tokens]:
    return tokenizer.encode(clean(query), add_special_tokens=False), tokenize(texts, units, tokenizer)


def title_room(config: SelectiveConfig) -> int:
    """What the positions of the network leave beside a full window, [CLS] and two [SEP]."""
    return max(0, min(TITLE_TOKENS, config.max_positions - config.window_tokens - 3))


def units_of(text: str, granularity: str) -> list[Segment]:
    """What is kept or left out as a whole: segments, or their words, which bring no heading along."""
    found = segments(text)
    if granularity == "sentence":
        return found
    return [Segment(word, s.kind) for s in found for word in words(text, s.span)]


def framed(texts: Sequence[str], tokenizer: Tokenizer, limit: int) -> list[Ints]:
    """Ids of each text with [CLS] and [SEP], at most ``limit``; the end of a longer text is left out."""
    special = special_ids(tokenizer)
    encoded = tokenizer.encode_batch([clean(t) for t in texts], add_special_tokens=False)
    return [np.asarray([special.cls, *e.ids[: limit - 2], special.sep], dtype=np.int64) for e in encoded]


def _query_ids(query: Encoding, limit: int) -> Ints:
    ids = query.ids
    if len(ids) > limit:
        ids = ids[: limit - QUERY_TAIL] + ids[-QUERY_TAIL:]
    return np.asarray(ids, dtype=np.int64)


def _mode(query: str, encoded: Encoding, tokens: Tokens, tokenizer: Tokenizer) -> Mode:
    """A call is foreign if question and texts are: names alone are not, nor foreign texts asked in English."""
    if not encoded.ids:
        return "free"
    foreign = tokens.spelled > FOREIGN_TEXT and spelled_share(encoded, tokenizer, query) > FOREIGN_QUERY
    return "foreign" if foreign else "query"


def _pieces(unit: Ints, at: Ints) -> tuple[Ints, Ints]:
    real = at >= 0
    units, inverse = np.unique(unit[at[real]], return_inverse=True)
    piece = np.full(len(at), -1, dtype=np.int64)
    piece[real] = inverse
    return piece, units


def signals(prepared: Prepared, scores: Sequence[WindowScores]) -> Signals:
    """Put the network's scores and the lexical overlap side by side for every unit.

    A unit cut over windows takes its best piece; a unit without tokens (control characters) scores lowest.
    """
    tokens, said = prepared.cut.tokens, prepared.terms
    count = len(tokens.unit_passage)
    keep = np.concatenate([s.keep for s in scores]) if scores else np.zeros(0, dtype=np.float32)
    unit = np.concatenate(prepared.piece_unit) if scores else np.zeros(0, dtype=np.int64)
    window = np.repeat(np.arange(len(scores)), [len(u) for u in prepared.piece_unit])
    shared = overlap(prepared.query, said.ids, said.unit, said.window, count, len(prepared.cut))
    grams = gram_overlap(prepared.hits, tokens.unit_passage)

    def best(values: Floats, empty: float = 0.0) -> Floats:
        out = np.full(count, -np.inf, dtype=np.float32)
        np.maximum.at(out, unit, values)
        return np.where(np.isfinite(out), out, np.float32(empty))

    def of_window(values: Sequence[float] | Floats) -> Floats:
        return best(np.asarray(values, dtype=np.float32)[window])

    def of_piece(name: str) -> Floats:
        return best(np.concatenate([getattr(s, name) for s in scores]) if scores else np.zeros(0, np.float32))

    length = np.log1p(np.bincount(tokens.unit, minlength=count)).astype(np.float32)
    unit_cosine, central = of_piece("piece_cosine"), of_piece("central")
    window_cosine = of_window([s.window_cosine for s in scores])
    columns = (
        pool_arrays(keep, tokens.unit, count),
        of_window([s.relevance for s in scores]),
        unit_cosine,
        window_cosine,
        central,
        shared.unit,
        of_window(shared.window),
        shared.pairs,
        length,
        distinct(unit_cosine, window_cosine, central),
        standardised(unit_cosine),
        standardised(window_cosine),
        grams.unit,
        grams.passage[tokens.unit_passage],
        grams.near,
    )
    return Signals(np.stack(columns, axis=1).astype(np.float32), keep)


def distinct(unit: Floats, window: Floats, central: Floats) -> Floats:
    """Cosine of the query and what sets a unit apart from its window: (u - w)·q / |u - w|, u, w, q of unit length.

    Units read in one window share most of their direction; 0.02 keeps a unit that is its window from blowing up.
    """
    return np.asarray((unit - window) / np.sqrt(np.maximum(2 - 2 * central, 0) + 0.02), dtype=np.float32)


def standardised(values: Floats) -> Floats:
    """Less the call's mean, over its deviation: how far cosines spread differs from query to query."""
    if not len(values):
        return values
    return np.asarray((values - values.mean()) / (values.std() + 1e-3), dtype=np.float32)


def span_logits(prepared: Prepared, keep: Floats, passage: int, spans: Sequence[Span]) -> Floats:
    """Pooled keep logits of arbitrary spans of one passage, for words."""
    tokens = prepared.cut.tokens
    first, last = np.searchsorted(tokens.passage, [passage, passage + 1])
    begins = np.searchsorted(tokens.start[first:last], [s.start for s in spans]) + first
    ends = np.searchsorted(tokens.start[first:last], [s.end for s in spans]) + first
    number = np.concatenate([np.full(e - b, i) for i, (b, e) in enumerate(zip(begins, ends, strict=True))])
    at = np.concatenate([np.arange(b, e) for b, e in zip(begins, ends, strict=True)])
    return pool_arrays(keep[at.astype(np.int64)], number.astype(np.int64), len(spans))


def span_nearness(prepared: Prepared, passage: int, whole: Span, spans: Sequence[Span]) -> Floats:
    """What standing near the query's words adds to the logits of spans, (N,), of a unit; nothing on average."""
    if prepared.mode != "foreign":
        return np.zeros(len(spans), np.float32)
    near = nearness(prepared.hits, passage, whole, np.array([span.start for span in spans]))
    return np.asarray(NEARNESS * (near - near.mean()), dtype=np.float32)
