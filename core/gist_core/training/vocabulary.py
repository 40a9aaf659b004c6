"""Drop the word pieces that texts hardly use, so that the embedding matrix fits into the package.

A dropped piece falls apart into shorter ones; single characters and special tokens stay, so nothing that
could be read before becomes [UNK].
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from gist_core.selective.model import SelectiveModel
from gist_core.selective.windows import clean


def trim_vocabulary(
    model: SelectiveModel, tokenizer: Tokenizer, texts: Iterable[str], size: int
) -> tuple[SelectiveModel, Tokenizer]:
    """A model and tokenizer with the ``size`` most used pieces of the texts; the inputs stay as they are."""
    counts = np.zeros(tokenizer.get_vocab_size(), dtype=np.int64)
    for text in texts:
        ids = tokenizer.encode(clean(text), add_special_tokens=False).ids
        counts += np.bincount(np.asarray(ids, dtype=np.int64), minlength=len(counts))
    kept = _kept(tokenizer, counts, size)
    smaller = SelectiveModel(replace(model.config, vocab_size=len(kept)))
    state = model.state_dict()
    state["embeddings.word.weight"] = state["embeddings.word.weight"][torch.from_numpy(kept)]
    smaller.load_state_dict(state)
    return smaller, renumbered(tokenizer, kept)


def reachable(tokenizer: Tokenizer) -> NDArray[np.int64]:
    """(V,) ids of the special tokens and of the pieces that some text can come to.

    The inside of a word never begins with an ideograph or a full stop, since those are words by themselves.
    """
    special = {t.content for t in tokenizer.get_added_tokens_decoder().values()}
    kept = [i for piece, i in tokenizer.get_vocab().items() if piece in special or _is_reachable(piece, tokenizer)]
    return np.sort(np.asarray(kept, dtype=np.int64))


def _is_reachable(piece: str, tokenizer: Tokenizer) -> bool:
    word = f"a{piece[2:]}" if piece.startswith("##") and len(piece) > len("##") else piece
    found = tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(word))
    return [text for text, _ in found] == [word]


def _kept(tokenizer: Tokenizer, counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    special = {t.content for t in tokenizer.get_added_tokens_decoder().values()}
    rank = counts.astype(np.float64)
    for piece, number in tokenizer.get_vocab().items():
        if piece in special or len(piece.removeprefix("##")) == 1:
            rank[number] = np.inf
        elif piece.startswith("[unused"):
            rank[number] = -1
    return np.sort(np.argsort(-rank, kind="stable")[:size])


def renumbered(tokenizer: Tokenizer, kept: NDArray[np.int64]) -> Tokenizer:
    """The tokenizer with the ids ``kept`` (V,), sorted, and no others, numbered anew in their order."""
    content = json.loads(tokenizer.to_str())
    number = {int(old): new for new, old in enumerate(kept)}
    vocabulary = content["model"]["vocab"]
    content["model"]["vocab"] = {p: number[i] for p, i in sorted(vocabulary.items(), key=lambda x: x[1]) if i in number}
    for token in content["added_tokens"]:
        token["id"] = number[token["id"]]
    for token in content["post_processor"].get("special_tokens", {}).values():
        token["ids"] = [number[i] for i in token["ids"]]
    return Tokenizer.from_str(json.dumps(content))
