"""LlamaIndex' postprocessors and models under ``gist evaluate``: your own pipeline measured beside Gist.

In a module of yours, ``mypackage.py``, then ``gist evaluate --system mypackage:pipeline``:

Example:
    >>> from llamaindex_gist.evaluation import as_text_compressor
    >>> def pipeline():
    ...     return as_text_compressor(my_postprocessor, name="my pipeline")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.postprocessor.optimizer import SentenceEmbeddingOptimizer
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
from pydantic import PrivateAttr

from gist_core.budget import Budget
from gist_core.evaluation.embedding import RememberingEncoder, shared_encoder
from gist_core.evaluation.outside import OutsideCompressor, cut_to, joined_tokens, token_limit
from gist_core.evaluation.reader import question_prompt
from gist_core.passage import Passage

_PERCENTS = range(100, 0, -1)


def as_text_compressor(
    postprocessor: BaseNodePostprocessor | Callable[[Budget], BaseNodePostprocessor], *, name: str = ""
) -> OutsideCompressor:
    """A LlamaIndex node postprocessor as a TextCompressor.

    Nodes that come back are led to their passage by their id; where that was changed, to the first passage that holds
    their text, else to the first. Several of one passage are joined by the budget's separator.

    Args:
        postprocessor: A postprocessor, whose output is measured as it is, over the budget or not; or a function that
            makes one for a budget, so that it can keep to it.
        name: What results and reports call it; default: the class's name.

    Example:
        >>> from llamaindex_gist import GistNodePostprocessor
        >>> as_text_compressor(lambda budget: GistNodePostprocessor(tokens=budget.tokens), name="gist").model_id
        'gist'
    """
    make = (lambda _: postprocessor) if isinstance(postprocessor, BaseNodePostprocessor) else postprocessor

    def shrink(passages: Sequence[Passage], query: str | None, budget: Budget) -> list[str]:
        nodes = make(budget).postprocess_nodes(to_nodes(p.text for p in passages), query_bundle=_bundle(query))
        return texts_of(nodes, passages, budget.separator)

    return OutsideCompressor(name or type(postprocessor).__name__, shrink)


def sentence_embedding_optimizer() -> OutsideCompressor:
    """LlamaIndex' SentenceEmbeddingOptimizer with all-MiniLM-L6-v2, each passage a node, as a query engine runs it.

    The percentile is the largest whole percent whose output fits into the budget. A percentile takes its share of
    every node, with a sentence of context on each side, and one that gives less than a sentence keeps the whole node;
    so at high rates over short passages none may fit. Then the shortest output is cut at the budget after a whole word.
    """
    return OutsideCompressor("SentenceEmbeddingOptimizer", _Optimized(joined=False))


def joined_sentence_embedding_optimizer() -> OutsideCompressor:
    """As ``sentence_embedding_optimizer``, all passages in one node, so that the best sentences of all are taken.

    Stronger than what a query engine does with it at high rates, so that the peer is not only shown at its worst.
    """
    return OutsideCompressor("SentenceEmbeddingOptimizer, joined", _Optimized(joined=True))


class LlamaIndexReader:
    """Any LLM of LlamaIndex as the reader of ``gist evaluate --reader mypackage:factory``.

    Args:
        llm: The model; set its temperature to 0, so that a changed answer is the context's doing.
    """

    def __init__(self, llm: BaseLLM) -> None:
        self._llm = llm

    def answer(self, question: str, context: str) -> str:
        """The model's answer."""
        return self._llm.complete(question_prompt(question, context)).text.strip()


def to_nodes(texts: Iterable[str]) -> list[NodeWithScore]:
    """One node a text; its id is its position.

    No metadata, since some postprocessors read that into the text, and no score, since no retriever gave one.
    """
    return [NodeWithScore(node=TextNode(id_=str(index), text=text)) for index, text in enumerate(texts)]


def texts_of(nodes: Iterable[NodeWithScore], passages: Sequence[Passage], separator: str) -> list[str]:
    """What the nodes hold of each passage."""
    found: list[list[str]] = [[] for _ in passages]
    for item in nodes:
        text = item.node.get_content(metadata_mode=MetadataMode.NONE)
        if text:
            found[_owner(item.node.node_id, text, passages)].append(text)
    return [separator.join(texts) for texts in found]


def _owner(node_id: str, text: str, passages: Sequence[Passage]) -> int:
    if node_id.isdecimal() and int(node_id) < len(passages):
        return int(node_id)
    return next((i for i, p in enumerate(passages) if text in p.text), 0)


def _bundle(query: str | None) -> QueryBundle | None:
    return QueryBundle(query) if query and query.strip() else None


class _Optimized:
    """The optimizer at the largest percentile that fits; a case's outputs are made once for all its budgets."""

    def __init__(self, *, joined: bool) -> None:
        model = _MiniLM()
        self._outputs = lru_cache(maxsize=1)(partial(_every_output, model, joined=joined))

    def __call__(self, passages: Sequence[Passage], query: str | None, budget: Budget) -> list[str]:
        limit = token_limit(passages, budget)
        shortest = [p.text for p in passages]
        fewest = joined_tokens(shortest, budget)
        if fewest <= limit or not (query and query.strip()):
            return cut_to(shortest, limit, budget)  # without a query the optimizer leaves nodes as they are
        for output in self._outputs(query, tuple(shortest)):
            tokens = joined_tokens(output, budget)
            if tokens <= limit:
                return output
            if tokens < fewest:
                shortest, fewest = output, tokens
        return cut_to(shortest, limit, budget)


def _every_output(model: BaseEmbedding, query: str, texts: Sequence[str], *, joined: bool) -> list[list[str]]:
    """What is left of each text at every percentile, from the largest down."""
    sentences = [_split(text) for text in texts]
    if not joined:
        nodes = [_Node(model, query, own) for own in sentences]
        return [[node.keep(percent) for node in nodes] for percent in _PERCENTS]
    whole = _Node(model, query, [s for own in sentences for s in own])
    owners = [i for i, own in enumerate(sentences) for _ in own]
    return [_shared_out(whole.keep(percent), whole.sentences, owners, len(texts)) for percent in _PERCENTS]


class _Node:
    """A node under the optimizer; its output depends on the number of sentences only, so each is made once."""

    def __init__(self, model: BaseEmbedding, query: str, sentences: list[str]) -> None:
        self.sentences = sentences
        self._model = model
        self._query = query
        self._known: dict[int, str] = {}

    def keep(self, percent: int) -> str:
        if not self.sentences:
            return ""
        count = int(len(self.sentences) * (percent / 100))
        if count not in self._known:
            optimizer = SentenceEmbeddingOptimizer(
                embed_model=self._model, percentile_cutoff=percent / 100, tokenizer_fn=lambda _: self.sentences
            )
            nodes = to_nodes([" ".join(self.sentences)])
            [found] = optimizer.postprocess_nodes(nodes, query_bundle=QueryBundle(self._query))
            self._known[count] = found.node.get_content(metadata_mode=MetadataMode.NONE)
        return self._known[count]


def _split(text: str) -> list[str]:
    """Sentences as the optimizer's own default makes them: Punkt without training, which needs no nltk data."""
    from nltk.tokenize import PunktSentenceTokenizer

    found: list[str] = PunktSentenceTokenizer().tokenize(text)
    return found


def _shared_out(output: str, sentences: Sequence[str], owners: Sequence[int], count: int) -> list[str]:
    """The sentences of an output, which are joined by spaces, given back to the passages they are from."""
    found: list[list[str]] = [[] for _ in range(count)]
    at, last = 0, -1
    while at < len(output):
        follows = last + 1 < len(sentences) and output.startswith(sentences[last + 1], at)
        matches = (i for i, s in enumerate(sentences) if output.startswith(s, at))
        last = last + 1 if follows else max(matches, key=lambda i: len(sentences[i]))
        found[owners[last]].append(sentences[last])
        at += len(sentences[last]) + 1
    return [" ".join(own) for own in found]


class _MiniLM(BaseEmbedding):
    _encoder: RememberingEncoder = PrivateAttr(default_factory=shared_encoder)

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._encoder.embed(texts).tolist()
        return vectors

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)
