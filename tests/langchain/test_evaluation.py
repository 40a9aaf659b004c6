from __future__ import annotations

import asyncio

import pytest
from langchain_classic.retrievers.document_compressors import DocumentCompressorPipeline
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.language_models import FakeListChatModel, FakeListLLM
from langchain_text_splitters import CharacterTextSplitter

from gist_core import Budget, Passage
from gist_core.compressor import TextCompressor
from gist_core.errors import InvalidInputError
from gist_core.evaluation.reader import Reader
from langchain_gist import GistCompressor
from langchain_gist.evaluation import LangChainReader, as_text_compressor, embeddings_filter, texts_of
from tests.helpers.budgets import budgets, tokens_of
from tests.helpers.lexical import LexicalCompressor

PASSAGES = [
    Passage("a", "The weather was fine. Nobody went out that day. The sea was calm and the sky was blue."),
    Passage("b", "Captain Nemo was born in India. He was a prince. He built a submarine in secret."),
    Passage("c", "Whales sing. Some whales sing for hours. Their songs travel far."),
]
QUESTION = "Where was Captain Nemo born?"
SUNSET = pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset:DeprecationWarning")


class Shouting(BaseDocumentCompressor):
    """Drops the first document, turns the rest around, and loses ids and metadata of one."""

    def compress_documents(self, documents, query, callbacks=None):
        kept = [Document(d.page_content, metadata=d.metadata) for d in documents[:0:-1]]
        return [*kept[:-1], Document(kept[-1].page_content[:12])]


def test_outputs_are_led_back_to_their_passages():
    system = as_text_compressor(Shouting())
    assert isinstance(system, TextCompressor)
    results = system.compress(PASSAGES, query=QUESTION, budget=Budget(tokens=5))
    assert [r.source_id for r in results] == ["a", "b", "c"]
    assert [r.text for r in results] == ["", "Captain Nemo", PASSAGES[2].text]
    assert [r.kept for r in results] == [(), ((0, 12),), ((0, len(PASSAGES[2].text)),)]
    assert system.model_id == results[0].model == "Shouting"


def test_a_text_of_no_passage_counts_as_the_first_s():
    found = texts_of([Document("Never said."), Document("He was a prince.")], PASSAGES, "\n\n")
    assert found == ["Never said.", "He was a prince.", ""]


def test_a_pipeline_that_splits_and_compresses():
    splitter = CharacterTextSplitter(separator=". ", chunk_size=30, chunk_overlap=0)
    gist = GistCompressor(model=LexicalCompressor(), tokens=20)
    pipeline = DocumentCompressorPipeline(transformers=[splitter, gist])
    results = as_text_compressor(pipeline, name="pipeline").compress(PASSAGES, query=QUESTION, budget=Budget(tokens=99))
    assert "Nemo" in results[1].text
    assert all(r.kept is not None for r in results)
    assert {r.model for r in results} == {"pipeline"}


def test_a_function_of_the_budget_keeps_to_it():
    system = as_text_compressor(
        lambda budget: GistCompressor(model=LexicalCompressor(), tokens=budget.tokens, tokenizer=budget.tokenizer)
    )
    for budget in budgets(PASSAGES):
        results = asyncio.run(system.acompress(PASSAGES, query=QUESTION, budget=budget))
        assert 0 < tokens_of(results, budget) <= budget.tokens


def test_keep_is_refused():
    with pytest.raises(InvalidInputError, match="keep"):
        as_text_compressor(Shouting()).compress(PASSAGES, query=QUESTION, budget=Budget(tokens=5), keep=["Nemo"])


@SUNSET
def test_embeddings_filter_keeps_whole_documents_within_the_budget_or_cuts_the_best():
    system = embeddings_filter()
    half, quarter, *_ = budgets(PASSAGES)
    two_thirds = Budget(tokens=45, tokenizer="cl100k_base")
    for budget in (two_thirds, half):
        results = system.compress(PASSAGES, query=QUESTION, budget=budget)
        assert tokens_of(results, budget) <= budget.tokens
        assert results[1].text == PASSAGES[1].text
        assert all(r.text in ("", p.text) for r, p in zip(results, PASSAGES, strict=True))
    assert sum(bool(r.text) for r in system.compress(PASSAGES, query=QUESTION, budget=two_thirds)) == 2
    results = system.compress(PASSAGES, query=QUESTION, budget=quarter)
    assert 0 < tokens_of(results, quarter) <= quarter.tokens
    assert [bool(r.text) for r in results] == [False, True, False]
    assert PASSAGES[1].text.startswith(results[1].text)
    assert not PASSAGES[1].text[len(results[1].text) :][:1].isalnum()
    assert system.compress([], query=QUESTION, budget=half) == []


@SUNSET
def test_a_case_is_embedded_once_for_all_rates(monkeypatch):
    from gist_core.evaluation.embedding import RememberingEncoder, shared_encoder

    shared_encoder.cache_clear()
    loads = []
    load = RememberingEncoder._loaded
    monkeypatch.setattr(RememberingEncoder, "_loaded", lambda self: loads.append(1) or load(self))
    system = embeddings_filter()
    for budget in budgets(PASSAGES):
        system.compress(PASSAGES, query=QUESTION, budget=budget)
    assert len(loads) == 2  # the documents, the question


@pytest.mark.parametrize("model", [FakeListChatModel, FakeListLLM])
def test_any_langchain_model_reads(model):
    reader = LangChainReader(model(responses=[" India\n"]))
    assert isinstance(reader, Reader)
    assert reader.answer(QUESTION, PASSAGES[1].text) == "India"
