from __future__ import annotations

import pytest
from llama_index.core.base.llms.types import CompletionResponse, LLMMetadata
from llama_index.core.llms import MockLLM
from llama_index.core.llms.custom import CustomLLM
from llama_index.core.postprocessor import LongContextReorder, SentenceEmbeddingOptimizer
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.utils import globals_helper

from gist_core import Budget, Passage
from gist_core.compressor import TextCompressor
from gist_core.evaluation.outside import joined_tokens
from gist_core.evaluation.reader import Reader
from llamaindex_gist import GistNodePostprocessor
from llamaindex_gist.evaluation import (
    LlamaIndexReader,
    _MiniLM,
    _split,
    as_text_compressor,
    joined_sentence_embedding_optimizer,
    sentence_embedding_optimizer,
)
from tests.helpers.budgets import budgets, tokens_of
from tests.helpers.lexical import LexicalCompressor

FILLER = "The sea was calm. The sky was blue. Nobody went out. The wind slept. The birds were silent. "
PASSAGES = [
    Passage("a", FILLER + "The boats lay in the harbour."),
    Passage("b", FILLER + "Captain Nemo was born in India. He built a submarine. He was a prince. " + FILLER.strip()),
    Passage(
        "c", "Whales sing. Some whales sing for hours. Their songs travel far. Nobody knows why. " + FILLER.strip()
    ),
]
QUESTION = "Where was Captain Nemo born?"


class Rewriting(BaseNodePostprocessor):
    """Drops the first node, cuts the second, and gives the third a new id."""

    def _postprocess_nodes(self, nodes, query_bundle=None):
        cut = TextNode(id_=nodes[1].node.node_id, text=nodes[1].node.text[:12])
        return [NodeWithScore(node=TextNode(text="Whales sing.")), NodeWithScore(node=cut)]


def test_outputs_are_led_back_to_their_passages():
    system = as_text_compressor(Rewriting())
    assert isinstance(system, TextCompressor)
    results = system.compress(PASSAGES, query=QUESTION, budget=Budget(tokens=5))
    assert [(r.source_id, r.text) for r in results] == [("a", ""), ("b", FILLER[:12]), ("c", "Whales sing.")]
    assert [r.kept for r in results] == [(), ((0, 12),), ((0, 12),)]
    assert system.model_id == "Rewriting"


def test_a_function_of_the_budget_keeps_to_it_and_passages_stay():
    system = as_text_compressor(
        lambda budget: GistNodePostprocessor(
            model=LexicalCompressor(), tokens=budget.tokens, tokenizer=budget.tokenizer
        ),
        name="gist",
    )
    for budget in budgets(PASSAGES):
        results = system.compress(PASSAGES, query=QUESTION, budget=budget)
        assert 0 < tokens_of(results, budget) <= budget.tokens
    assert PASSAGES[0].text.startswith(FILLER)


def test_the_optimizer_s_own_sentences_need_no_data():
    text = "Dr. Nemo left. He said: No. Then (at 5.2 knots) he dived! Why?\n\nA new paragraph"
    assert _split(text) == globals_helper.punkt_tokenizer.tokenize(text)


def test_the_optimizer_runs_at_the_largest_percentile_that_fits():
    system = sentence_embedding_optimizer()
    model = _MiniLM()

    def by_hand(percent: int) -> list[str]:
        optimizer = SentenceEmbeddingOptimizer(embed_model=model, percentile_cutoff=percent / 100)
        nodes = [NodeWithScore(node=TextNode(text=p.text)) for p in PASSAGES]
        return [n.node.get_content() for n in optimizer.postprocess_nodes(nodes, query_bundle=QueryBundle(QUESTION))]

    outputs = [by_hand(percent) for percent in range(100, 0, -1)]
    fitting = 0
    for tokens in (160, 120, 100, 80, 60):
        budget = Budget(tokens=tokens, tokenizer="cl100k_base")
        largest = next((texts for texts in outputs if joined_tokens(texts, budget) <= tokens), None)
        results = system.compress(PASSAGES, query=QUESTION, budget=budget)
        assert tokens_of(results, budget) <= tokens
        if largest and joined_tokens([p.text for p in PASSAGES], budget) > tokens:
            assert [r.text for r in results] == largest
            fitting += 1
    assert fitting


@pytest.mark.parametrize("factory", [sentence_embedding_optimizer, joined_sentence_embedding_optimizer])
def test_the_optimizer_is_never_over_and_its_sentences_are_found_in_their_passage(factory):
    system = factory()
    for budget in budgets(PASSAGES):
        results = system.compress(PASSAGES, query=QUESTION, budget=budget)
        assert 0 < tokens_of(results, budget) <= budget.tokens
        for result, passage in zip(results, PASSAGES, strict=True):
            assert result.kept is not None
            held = [passage.text[start:end] for start, end in result.kept]
            assert bool(held) is bool(result.text)
            assert all(part.split()[0] in result.text for part in held)


def test_joined_the_best_sentences_of_all_passages_are_taken():
    budget = Budget(tokens=30, tokenizer="cl100k_base")
    results = joined_sentence_embedding_optimizer().compress(PASSAGES, query=QUESTION, budget=budget)
    assert "Nemo was born in India" in results[1].text


def test_without_a_question_the_optimizer_is_a_cut():
    budget = Budget(tokens=30, tokenizer="cl100k_base")
    results = sentence_embedding_optimizer().compress(PASSAGES, budget=budget)
    assert PASSAGES[0].text.startswith(results[0].text)
    assert not results[2].text


class Scripted(CustomLLM):
    @property
    def metadata(self):
        return LLMMetadata()

    def complete(self, prompt, formatted=False, **kwargs):
        return CompletionResponse(text=" India\n" if QUESTION in prompt else "?")

    def stream_complete(self, prompt, formatted=False, **kwargs):
        raise NotImplementedError


def test_any_llamaindex_llm_reads():
    reader = LlamaIndexReader(Scripted())
    assert isinstance(reader, Reader)
    assert reader.answer(QUESTION, PASSAGES[1].text) == "India"
    assert "India" in LlamaIndexReader(MockLLM()).answer(QUESTION, PASSAGES[1].text)  # it echoes its prompt


def test_postprocessors_of_the_framework_run_as_they_are():
    system = as_text_compressor(LongContextReorder())
    results = system.compress(PASSAGES, query=QUESTION, budget=Budget(tokens=5))
    assert [r.text for r in results] == [p.text for p in PASSAGES]
    assert system.model_id == "LongContextReorder"
