"""GistCompressor inside LangChain's own retrievers, pipelines and runnables, really run."""

from __future__ import annotations

import asyncio

import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_classic.retrievers.document_compressors import DocumentCompressorPipeline, EmbeddingsFilter
from langchain_community.document_transformers import EmbeddingsRedundantFilter
from langchain_core.documents import BaseDocumentTransformer, Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import Runnable, RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

from gist_core.errors import CompressionError, CompressionTimeoutError
from gist_core.tokens import token_counter
from langchain_gist import GistCompressor
from tests.helpers.lexical import FAIL, SLOW, LexicalCompressor
from tests.helpers.models import MODELS
from tests.helpers.stories import ANSWERS, QUESTIONS, STORIES
from tests.helpers.words import embed


class Words(Embeddings):
    def embed_documents(self, texts):
        return [embed(text) for text in texts]

    def embed_query(self, text):
        return embed(text)


class Upper(BaseDocumentTransformer):
    def transform_documents(self, documents, **_):
        return [document.model_copy(update={"page_content": document.page_content.upper()}) for document in documents]


@pytest.fixture(scope="module")
def retriever():
    store = InMemoryVectorStore(Words())
    store.add_documents([Document(id=n, page_content=t, metadata={"source": n}) for n, t in STORIES.items()])
    return store.as_retriever(search_kwargs={"k": 3})


@pytest.fixture(params=MODELS, scope="module")
def compressor(request):
    model = LexicalCompressor() if request.param == "lexical" else "default"
    return GistCompressor(model=model, tokens=45, on_error="raise")


def check(name, found, tokens=45):
    text = "\n\n".join(document.page_content for document in found)
    assert ANSWERS[name].lower() in text.lower()
    assert token_counter("o200k_base").count(text) <= tokens
    assert all(document.id == document.metadata["source"] for document in found)
    assert all("relevance_score" in document.metadata for document in found)


def test_contextual_compression_retriever(retriever, compressor):
    compressing = ContextualCompressionRetriever(base_compressor=compressor, base_retriever=retriever)
    names, questions = zip(*QUESTIONS.items(), strict=True)
    for name, question in QUESTIONS.items():
        check(name, compressing.invoke(question))
        check(name, asyncio.run(compressing.ainvoke(question)))
    for results in (compressing.batch(list(questions)), asyncio.run(compressing.abatch(list(questions)))):
        for name, found in zip(names, results, strict=True):
            check(name, found)


def test_document_compressor_pipeline(retriever, compressor):
    pipeline = DocumentCompressorPipeline(transformers=[compressor, Upper()])
    compressing = ContextualCompressionRetriever(base_compressor=pipeline, base_retriever=retriever)
    found = compressing.invoke(QUESTIONS["train"])
    assert ANSWERS["train"].upper() in "".join(document.page_content for document in found)
    assert asyncio.run(compressing.ainvoke(QUESTIONS["train"])) == found


def test_as_runnable_pipes_batches_and_streams(retriever, compressor):
    step = compressor.as_runnable()
    assert isinstance(step, Runnable)
    chain = {"documents": retriever, "query": RunnablePassthrough()} | step
    questions = list(QUESTIONS.values())
    for name, found in zip(QUESTIONS, chain.batch(questions), strict=True):
        check(name, found)
    check("orchard", asyncio.run(chain.ainvoke(QUESTIONS["orchard"])))
    assert list(chain.stream(questions[0])) == [chain.invoke(questions[0])]


def spans(found):
    return [(document.id, document.metadata["gist"]["kept"]) for document in found]


@pytest.fixture(scope="module")
def calls():
    documents = [Document(id=n, page_content=t) for n, t in STORIES.items()]
    return [(documents[n % 4 :] + documents[: n % 4], list(QUESTIONS.values())[n % 3]) for n in range(32)]


def test_32_concurrent_calls_keep_the_spans_of_32_sequential_ones(compressor, calls):
    sequential = [spans(compressor.compress_documents(*call)) for call in calls]

    async def together():
        return await asyncio.gather(*(compressor.acompress_documents(*call) for call in calls))

    assert [spans(found) for found in asyncio.run(together())] == sequential


def test_one_cancelled_one_late_one_failing_of_32(calls):
    model = LexicalCompressor()
    compressor = GistCompressor(model=model, tokens=45, on_error="raise")
    impatient = GistCompressor(model=model, tokens=45, on_error="raise", timeout=0.1)
    sequential = [spans(compressor.compress_documents(*call)) for call in calls]

    async def together():
        tasks = [asyncio.create_task(compressor.acompress_documents(*call)) for call in calls[:29]]
        failing = asyncio.create_task(compressor.acompress_documents([Document(FAIL)], "why?"))
        late = asyncio.create_task(impatient.acompress_documents(calls[0][0], SLOW))
        cancelled = asyncio.create_task(compressor.acompress_documents(*calls[0]))
        await asyncio.sleep(0.001)
        cancelled.cancel()
        return await asyncio.gather(*tasks, failing, late, cancelled, return_exceptions=True)

    *fine, failed, late, cancelled = asyncio.run(together())
    assert [spans(found) for found in fine] == sequential[:29]
    assert max(model.batches) > len(STORIES)  # callers shared batches, and nobody noticed
    assert isinstance(failed, CompressionError)
    assert isinstance(late, CompressionTimeoutError)
    assert isinstance(cancelled, asyncio.CancelledError)


def test_a_changed_text_does_not_carry_the_embedding_of_the_old_one():
    class Waters(Embeddings):
        def embed_documents(self, texts):
            return [self.embed_query(text) for text in texts]

        def embed_query(self, text):
            return [1 + text.count("harbour"), 1 + text.count("weather")]

    embeddings = Waters()
    found = Document("The weather is weather and more weather today. " * 8 + "The harbour opens at noon.")
    pipeline = DocumentCompressorPipeline(
        transformers=[
            EmbeddingsRedundantFilter(embeddings=embeddings, similarity_threshold=1.1),
            GistCompressor(model=LexicalCompressor(), tokens=8),
            EmbeddingsFilter(embeddings=embeddings, similarity_threshold=0.9, k=None),
        ]
    )
    [kept] = pipeline.compress_documents([found], "When does the harbour open?")
    assert kept.page_content == "The harbour opens at noon."
