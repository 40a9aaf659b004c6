"""GistNodePostprocessor: what any LlamaIndex postprocessor must do, and what ours promises."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import re

import pydantic
import pytest
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.schema import (
    Document,
    ImageNode,
    IndexNode,
    MediaResource,
    MetadataMode,
    Node,
    NodeRelationship,
    NodeWithScore,
    QueryBundle,
    RelatedNodeInfo,
    TextNode,
)

from gist_core import load_compressor
from gist_core.errors import (
    BudgetTooSmallError,
    CheckpointError,
    CompressionError,
    DeviceError,
    GistError,
    InvalidBudgetError,
    InvalidInputError,
    TokenizerError,
)
from gist_core.fallback import GistWarning
from gist_core.passage import hash_text, render
from gist_core.settings import CompressionSettings
from gist_core.tokens import token_counter
from llamaindex_gist import GistCompressionEndEvent, GistCompressionStartEvent, GistNodePostprocessor
from tests.helpers.lexical import Broken, LexicalCompressor, count_words
from tests.helpers.stories import ANSWERS, QUESTIONS, SONG_QUESTION, SONGS, STORIES

QUERY = QUESTIONS["bridge"]


@pytest.fixture
def nodes():
    return [
        NodeWithScore(
            node=TextNode(
                id_=name,
                text=text,
                metadata={"source": name},
                excluded_llm_metadata_keys=["source"],
                relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="doc")},
                start_char_idx=7,
            ),
            score=0.5 + rank,
        )
        for rank, (name, text) in enumerate(STORIES.items())
    ]


@pytest.fixture
def postprocessor():
    return GistNodePostprocessor(model=LexicalCompressor(), tokens=40)


def test_fields_are_the_shared_settings():
    fields = {name: field for name, field in GistNodePostprocessor.model_fields.items() if name != "callback_manager"}
    assert list(fields) == list(CompressionSettings.__dataclass_fields__)
    for name, field in fields.items():
        assert field.default == CompressionSettings.__dataclass_fields__[name].default
        assert field.description


@pytest.mark.parametrize("at", [0, 1])
def test_titles_of_nodes_are_read(at):
    titles = ["Winter Mountain", "Winter Mountain"]
    titles[at] = "Autumn Harbour"
    pairs = zip(SONGS, titles, strict=True)
    songs = [NodeWithScore(node=TextNode(text=text, metadata={"document_title": title})) for text, title in pairs]
    [found] = GistNodePostprocessor(tokens=10).postprocess_nodes(songs, query_str=SONG_QUESTION)
    assert found.node.get_content(MetadataMode.NONE) in SONGS[at]


@pytest.mark.parametrize("is_async", [False, True])
def test_copies_keep_all_but_the_text(postprocessor, nodes, is_async):
    before = copy.deepcopy(nodes)
    if is_async:
        found = asyncio.run(postprocessor.apostprocess_nodes(nodes, query_str=QUERY))
    else:
        found = postprocessor.postprocess_nodes(nodes, query_str=QUERY)
    assert nodes == before
    texts = [item.node.get_content(MetadataMode.NONE) for item in found]
    assert any(ANSWERS["bridge"] in text for text in texts)
    assert token_counter("o200k_base").count("\n\n".join(texts)) <= 40
    for item, text in zip(found, texts, strict=True):
        gist = item.metadata["gist"]
        source = nodes[gist["rank"]]
        assert item.node is not source.node
        assert (item.node_id, item.score) == (source.node_id, source.score)
        assert item.node.relationships == source.node.relationships
        assert item.node.start_char_idx == 7
        assert item.metadata["source"] == item.node_id
        assert render(source.text, gist["kept"]) == text
        assert gist["source_hash"] == hash_text(source.text)
        assert isinstance(gist["score"], float)
        assert gist["model"] == "lexical-1"
        assert json.loads(json.dumps(item.metadata)) == item.metadata
    assert [item.node_id for item in found] == [n for n in STORIES if n in {item.node_id for item in found}]


def test_our_metadata_is_hidden_from_llm_and_embedder(postprocessor, nodes):
    for item in postprocessor.postprocess_nodes(nodes, query_str=QUERY):
        assert item.node.excluded_llm_metadata_keys == ["source", "gist"]
        assert item.node.excluded_embed_metadata_keys == ["gist"]
        assert item.node.get_content(MetadataMode.LLM) == item.text
        assert "gist" not in item.node.get_content(MetadataMode.EMBED)


def test_twice_is_fine(postprocessor, nodes):
    once = postprocessor.postprocess_nodes(nodes, query_str=QUERY)
    twice = postprocessor.postprocess_nodes(once, query_str=QUERY)
    assert [item.text for item in twice] == [item.text for item in once]
    assert all(item.node.excluded_llm_metadata_keys == ["source", "gist"] for item in twice)


@pytest.mark.parametrize("bundle", [None, QueryBundle(""), QueryBundle("  ")])
def test_a_missing_query_compresses_for_no_question(postprocessor, nodes, bundle):
    assert postprocessor.postprocess_nodes(nodes, bundle)
    assert asyncio.run(postprocessor.apostprocess_nodes(nodes, bundle))


def test_other_nodes_pass_through_in_place(nodes):
    image = NodeWithScore(node=ImageNode(text="a caption that no budget touches " * 9, image="aGk="), score=0.1)
    media = Node(text_resource=MediaResource(text="words " * 99), image_resource=MediaResource(data=b"aGk="))
    audio = NodeWithScore(node=Node(audio_resource=MediaResource(data=b"aGk=")))
    mixed = [image, nodes[0], NodeWithScore(node=media), nodes[1], audio]
    found = GistNodePostprocessor(model=LexicalCompressor(), tokens=40, drop_empty=False).postprocess_nodes(
        mixed, query_str=QUERY
    )
    assert [found[at] is mixed[at] for at in range(5)] == [True, False, True, False, True]
    assert [found[at].metadata["gist"]["rank"] for at in (1, 3)] == [1, 3]
    assert GistNodePostprocessor(model=LexicalCompressor()).postprocess_nodes([image]) == [image]


@pytest.mark.parametrize(
    "node",
    [
        TextNode(text=STORIES["train"]),
        Document(text=STORIES["train"]),
        IndexNode(text=STORIES["train"], index_id="x"),
        Node(text_resource=MediaResource(text=STORIES["train"])),
    ],
    ids=lambda node: type(node).__name__,
)
def test_every_kind_of_text_node(node):
    (found,) = GistNodePostprocessor(model=LexicalCompressor()).postprocess_nodes(
        [NodeWithScore(node=node)], query_str=QUESTIONS["train"]
    )
    assert type(found.node) is type(node)
    assert ANSWERS["train"] in found.node.get_content(MetadataMode.NONE)
    assert node.get_content(MetadataMode.NONE) == STORIES["train"]


def test_empty_nodes_are_dropped_unless_asked_for(nodes):
    nodes.insert(1, NodeWithScore(node=TextNode(text="")))
    model = LexicalCompressor()
    kept = GistNodePostprocessor(model=model, tokens=12, drop_empty=False).postprocess_nodes(nodes, query_str=QUERY)
    dropped = GistNodePostprocessor(model=model, tokens=12).postprocess_nodes(nodes, query_str=QUERY)
    assert [item.metadata["gist"]["rank"] for item in kept] == list(range(5))
    assert [item.node_id for item in dropped] == [item.node_id for item in kept if item.text]
    assert 0 < len(dropped) < 5
    assert GistNodePostprocessor(model=model).postprocess_nodes([]) == []


def test_keep_spans_in_the_metadata(nodes):
    start = STORIES["train"].index("Sleeping cars")
    nodes[3].node.metadata["keep"] = [[start, start + 13]]
    nodes[0].node.metadata["keep"] = True
    with pytest.warns(GistWarning, match="is True"):
        found = GistNodePostprocessor(model=LexicalCompressor(), tokens=60).postprocess_nodes(nodes, query_str=QUERY)
    assert "Sleeping cars" in found[-1].text
    nodes[0].node.metadata["keep"] = [[0, 24], [90_000, 90_010]]
    with pytest.raises(InvalidInputError, match="outside"):
        GistNodePostprocessor(model=LexicalCompressor(), on_error="raise").postprocess_nodes(nodes, query_str=QUERY)
    with pytest.warns(GistWarning, match="outside"):
        found = GistNodePostprocessor(model=LexicalCompressor(), tokens=60).postprocess_nodes(nodes, query_str=QUERY)
    assert {item.metadata["gist"]["model"] for item in found} == {"lexical-1"}


def test_what_must_stay_and_does_not_fit_is_answered_as_on_error_says():
    nodes = [NodeWithScore(node=TextNode(text="Call +1 555 0100. " * 40))]
    settings = {"model": LexicalCompressor(), "tokens": 20, "keep": [r"\+1 555 \d+"]}
    with pytest.warns(GistWarning, match="BudgetTooSmallError"):
        [found] = GistNodePostprocessor(**settings).postprocess_nodes(nodes, query_str=QUERY)
    assert 0 < token_counter("o200k_base").count(found.text) <= 20
    with pytest.raises(BudgetTooSmallError):
        GistNodePostprocessor(**settings, on_error="raise").postprocess_nodes(nodes, query_str=QUERY)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("given", "query", "named"),
    [
        ([TextNode(text="a text")], QUERY, r"nodes\[0\] is a TextNode"),
        ([NodeWithScore(node=TextNode(text="a text"))], 5, "query is 5"),
    ],
)
def test_arguments_of_the_wrong_type_are_named(postprocessor, given, query, named, is_async):
    with pytest.raises(InvalidInputError, match=named) as caught:
        if is_async:
            asyncio.run(postprocessor.apostprocess_nodes(given, query))
        else:
            postprocessor.postprocess_nodes(given, query)
    assert caught.value.hint


def test_nothing_relevant_may_be_an_answer():
    nodes = [NodeWithScore(node=TextNode(text="The cat is grey. Dogs bark."))]
    settings = {"model": LexicalCompressor(), "threshold": 0.5}
    assert GistNodePostprocessor(**settings).postprocess_nodes(nodes, query_str="Who approved the budget?")
    post = GistNodePostprocessor(**settings, allow_empty=True)
    assert post.postprocess_nodes(nodes, query_str="Who approved the budget?") == []


class Events(BaseEventHandler):
    seen: list

    def handle(self, event, **_):
        if isinstance(event, GistCompressionStartEvent | GistCompressionEndEvent):
            self.seen.append(event)


def test_events_carry_the_numbers(postprocessor, nodes):
    handler = Events(seen=[])
    root = get_dispatcher()
    root.add_event_handler(handler)
    try:
        found = postprocessor.postprocess_nodes(nodes, query_str=QUERY)
        asyncio.run(postprocessor.apostprocess_nodes(nodes))
    finally:
        root.event_handlers.remove(handler)
    start, end, start_without, _ = handler.seen
    assert (start.query, start.nodes, start.model_name) == (QUERY, 4, "lexical-1")
    assert (end.nodes, end.model_name) == (len(found), "lexical-1")
    assert 0 < end.tokens_out <= 40 < end.tokens_in
    assert end.tokens_out == sum(item.metadata["gist"]["tokens_out"] for item in found)
    assert end.span_id == start.span_id
    assert start_without.query is None
    assert {event.class_name() for event in handler.seen} == {"GistCompressionStartEvent", "GistCompressionEndEvent"}


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"ratio": 2.0}, InvalidBudgetError),
        ({"threshold": 2}, InvalidBudgetError),
        ({"tokens": True}, pydantic.ValidationError),
        ({"model": "default", "device": "cuda:99"}, DeviceError),
        ({"device": "gpu"}, DeviceError),
        ({"tokenizer": "no-such"}, TokenizerError),
        ({"timeout": -1}, GistError),
        ({"model": ""}, GistError),
        ({"top_k": 3}, pydantic.ValidationError),
        ({"on_error": "ignore"}, pydantic.ValidationError),
    ],
)
def test_bad_settings_fail_at_construction(wrong, error):
    with pytest.raises(error):
        GistNodePostprocessor(**{"model": LexicalCompressor(), **wrong})


def test_wrong_settings_that_show_late_are_no_failure_at_run_time(nodes):
    with pytest.raises(CheckpointError):
        GistNodePostprocessor(model=Broken(CheckpointError("damaged"))).postprocess_nodes(nodes, query_str=QUERY)


def test_failure_at_run_time_truncates_with_a_warning(nodes):
    postprocessor = GistNodePostprocessor(model=Broken(CompressionError("nan")), tokens=40)
    with pytest.warns(GistWarning, match="nan"):
        found = asyncio.run(postprocessor.apostprocess_nodes(nodes, QueryBundle(QUERY)))
    assert found[0].metadata["gist"]["model"] == "fallback-truncate"
    assert postprocessor.fallbacks == 1


def settings_of(one):
    return {name: getattr(one, name) for name in CompressionSettings.__dataclass_fields__}


def test_dict_json_and_pydantic_round_trips():
    shared = LexicalCompressor()
    one = GistNodePostprocessor(model=shared, tokens=40, keep=[re.compile("a", re.IGNORECASE)], timeout=3)
    for data in (one.to_dict(), json.loads(one.to_json()), one.model_dump(), json.loads(one.model_dump_json())):
        assert (data["class_name"], data["model"]) == ("GistNodePostprocessor", None)
        with pytest.raises(InvalidInputError, match=r"model is None.*pass it again"):
            GistNodePostprocessor.from_dict(data)
        again = GistNodePostprocessor.from_dict(data, model=shared)
        assert settings_of(again) == settings_of(one)
        assert settings_of(GistNodePostprocessor.model_validate({**data, "model": shared})) == settings_of(one)
    assert GistNodePostprocessor.model_json_schema()["properties"]["class_name"]


def test_a_shared_model_is_saved_by_the_name_it_loads_by():
    one = GistNodePostprocessor(model=load_compressor(), tokens=20)
    for data in (one.to_dict(), json.loads(one.to_json())):
        assert GistNodePostprocessor.from_dict(data).model == "default"


def test_a_tokenizer_object_must_be_given_again():
    one = GistNodePostprocessor(model=LexicalCompressor(), tokenizer=count_words)
    data = json.loads(one.to_json())
    with pytest.raises(GistError, match="tokenizer is None"):
        GistNodePostprocessor.from_dict(data, model=one.model)
    again = GistNodePostprocessor.from_dict(data, model=one.model, tokenizer=count_words)
    assert settings_of(again) == settings_of(one)


def test_pickle_and_copies_work_on(nodes):
    one = GistNodePostprocessor(model=LexicalCompressor(), tokens=40, tokenizer=count_words)
    expected = one.postprocess_nodes(nodes, query_str=QUERY)
    for other in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one), one.model_copy()):
        assert other.tokens == 40
        assert other.postprocess_nodes(nodes, query_str=QUERY) == expected


def test_what_cannot_be_pickled_is_never_replaced_by_a_default():
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        pickle.dumps(GistNodePostprocessor(model=LexicalCompressor(), tokenizer=lambda text: len(text.split())))
