"""GistNodePostprocessor inside LlamaIndex's own query engines, really run, with an LLM that records its prompts."""

from __future__ import annotations

import asyncio
import re

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import CompletionResponse, LLMMetadata
from llama_index.core.llms import CustomLLM
from llama_index.core.query_engine import CitationQueryEngine, RetrieverQueryEngine
from llama_index.core.response_synthesizers import get_response_synthesizer
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from pydantic import PrivateAttr

from gist_core.errors import CompressionError, CompressionTimeoutError
from gist_core.tokens import token_counter
from llamaindex_gist import GistNodePostprocessor
from tests.helpers.lexical import FAIL, SLOW, LexicalCompressor
from tests.helpers.models import MODELS
from tests.helpers.stories import ANSWERS, QUESTIONS, STORIES
from tests.helpers.words import embed


class Words(BaseEmbedding):
    def _get_text_embedding(self, text):
        return embed(text)

    def _get_query_embedding(self, query):
        return embed(query)

    async def _aget_query_embedding(self, query):
        return embed(query)


class Recorder(CustomLLM):
    """Answers with a citation of the first source; remembers what it was asked."""

    _prompts: list[str] = PrivateAttr(default_factory=list)

    @property
    def metadata(self):
        return LLMMetadata()

    def complete(self, prompt, formatted=False, **_):
        self._prompts.append(prompt)
        return CompletionResponse(text="It is so [1].")

    def stream_complete(self, prompt, formatted=False, **_):
        raise NotImplementedError


@pytest.fixture
def llm():
    return Recorder()


@pytest.fixture(scope="module")
def index():
    nodes = [TextNode(id_=n, text=t, metadata={"title": f"The {n}"}) for n, t in STORIES.items()]
    return VectorStoreIndex(nodes, embed_model=Words())


@pytest.fixture(params=MODELS, scope="module")
def postprocessor(request):
    model = LexicalCompressor() if request.param == "lexical" else "default"
    return GistNodePostprocessor(model=model, tokens=45, on_error="raise")


def check_prompt(name, prompt, response):
    assert ANSWERS[name] in prompt
    assert not re.search(r"gist|source_hash|tokens_in|\bkept\b|lexical-1", prompt)
    texts = [item.node.metadata["gist"] and item.text for item in response.source_nodes]
    assert all(text.strip() in prompt for text in texts)
    assert not any(story in prompt for story in STORIES.values())


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("name", STORIES)
def test_retriever_query_engine(index, postprocessor, llm, name, is_async):
    engine = RetrieverQueryEngine(
        index.as_retriever(similarity_top_k=3),
        response_synthesizer=get_response_synthesizer(llm=llm),
        node_postprocessors=[postprocessor],
    )
    ask = (lambda text: asyncio.run(engine.aquery(text))) if is_async else engine.query
    response = ask(QUESTIONS[name])
    (prompt,) = llm._prompts
    check_prompt(name, prompt, response)
    assert f"title: The {name}" in prompt  # the user's own metadata still is there
    kept = "\n\n".join(item.text for item in response.source_nodes)
    assert token_counter("o200k_base").count(kept) <= 45


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("name", STORIES)
def test_citation_numbers_lead_back_to_the_retrieved_nodes(index, postprocessor, llm, name, is_async):
    retriever = index.as_retriever(similarity_top_k=4)
    engine = CitationQueryEngine.from_args(
        index, llm=llm, retriever=retriever, node_postprocessors=[postprocessor], citation_chunk_size=512
    )
    ask = (lambda text: asyncio.run(engine.aquery(text))) if is_async else engine.query
    response = ask(QUESTIONS[name])
    (prompt,) = llm._prompts
    check_prompt(name, prompt, response)
    retrieved = retriever.retrieve(QUESTIONS[name])
    for number, source in enumerate(response.source_nodes, start=1):
        account = source.metadata["gist"]
        original = retrieved[account["rank"]].text
        assert source.text.startswith(f"Source {number}:\n")
        assert source.text.strip() in prompt
        first = original[slice(*account["kept"][0])]
        assert source.text.split("\n", 1)[1].startswith(first.strip())


def spans(found):
    return [(item.node_id, item.metadata["gist"]["kept"]) for item in found]


@pytest.fixture(scope="module")
def calls():
    nodes = [NodeWithScore(node=TextNode(id_=n, text=t)) for n, t in STORIES.items()]
    return [(nodes[n % 4 :] + nodes[: n % 4], QueryBundle(list(QUESTIONS.values())[n % 3])) for n in range(32)]


def test_32_concurrent_calls_keep_the_spans_of_32_sequential_ones(postprocessor, calls):
    sequential = [spans(postprocessor.postprocess_nodes(*call)) for call in calls]

    async def together():
        return await asyncio.gather(*(postprocessor.apostprocess_nodes(*call) for call in calls))

    assert [spans(found) for found in asyncio.run(together())] == sequential


def test_one_cancelled_one_late_one_failing_of_32(calls):
    model = LexicalCompressor()
    patient = GistNodePostprocessor(model=model, tokens=45, on_error="raise")
    impatient = GistNodePostprocessor(model=model, tokens=45, on_error="raise", timeout=0.1)
    sequential = [spans(patient.postprocess_nodes(*call)) for call in calls]
    unreadable = [NodeWithScore(node=TextNode(text=FAIL))]

    async def together():
        tasks = [asyncio.create_task(patient.apostprocess_nodes(*call)) for call in calls[:29]]
        failing = asyncio.create_task(patient.apostprocess_nodes(unreadable))
        late = asyncio.create_task(impatient.apostprocess_nodes(calls[0][0], QueryBundle(SLOW)))
        cancelled = asyncio.create_task(patient.apostprocess_nodes(*calls[0]))
        await asyncio.sleep(0.001)
        cancelled.cancel()
        return await asyncio.gather(*tasks, failing, late, cancelled, return_exceptions=True)

    *fine, failed, late, cancelled = asyncio.run(together())
    assert [spans(found) for found in fine] == sequential[:29]
    assert max(model.batches) > len(STORIES)  # callers shared batches, and nobody noticed
    assert isinstance(failed, CompressionError)
    assert isinstance(late, CompressionTimeoutError)
    assert isinstance(cancelled, asyncio.CancelledError)
