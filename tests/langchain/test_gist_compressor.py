"""GistCompressor: what any LangChain document compressor must do, and what ours promises."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import pickle
import re

import pydantic
import pytest
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.documents.compressor import BaseDocumentCompressor as Base

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
from gist_core.loading import DEFAULT
from gist_core.passage import hash_text, render
from gist_core.settings import CompressionSettings
from gist_core.tokens import token_counter
from langchain_gist import GistCompressor
from tests.helpers.lexical import Broken, LexicalCompressor, count_words
from tests.helpers.stories import ANSWERS, QUESTIONS, SONG_QUESTION, SONGS, STORIES

QUERY = QUESTIONS["bridge"]


@pytest.fixture
def documents():
    return [
        Document(id=name, page_content=text, metadata={"source": name, "nested": {"page": [1]}})
        for name, text in STORIES.items()
    ]


@pytest.fixture
def compressor():
    return GistCompressor(model=LexicalCompressor(), tokens=40)


def test_interface(compressor):
    assert BaseDocumentCompressor is Base
    assert isinstance(compressor, Base)
    for method in (GistCompressor.compress_documents, GistCompressor.acompress_documents):
        assert list(inspect.signature(method).parameters) == ["self", "documents", "query", "callbacks"]


def test_fields_are_the_shared_settings():
    assert list(GistCompressor.model_fields) == list(CompressionSettings.__dataclass_fields__)
    for name, field in GistCompressor.model_fields.items():
        assert field.default == CompressionSettings.__dataclass_fields__[name].default
        assert field.description


@pytest.mark.parametrize("at", [0, 1])
def test_titles_of_documents_are_read(at):
    titles = ["Winter Mountain", "Winter Mountain"]
    titles[at] = "Autumn Harbour"
    songs = [Document(page_content=t, metadata={"Title": title}) for t, title in zip(SONGS, titles, strict=True)]
    [found] = GistCompressor(tokens=10).compress_documents(songs, SONG_QUESTION)
    assert found.page_content in SONGS[at]
    assert found.metadata["Title"] == "Autumn Harbour"


def test_keeps_the_answer_within_the_budget(compressor, documents):
    found = compressor.compress_documents(documents, QUERY)
    assert any(ANSWERS["bridge"] in document.page_content for document in found)
    assert token_counter("o200k_base").count("\n\n".join(d.page_content for d in found)) <= 40


def test_copies_keep_ids_order_and_metadata(compressor, documents):
    before = copy.deepcopy(documents)
    found = compressor.compress_documents(documents, QUERY)
    assert documents == before
    by_id = {document.id: document for document in documents}
    assert [d.id for d in found] == [name for name in STORIES if name in {d.id for d in found}]
    for document in found:
        source = by_id[document.id]
        gist = document.metadata["gist"]
        assert document is not source
        assert document.metadata["source"] == document.id
        assert documents[gist["rank"]] is source
        assert render(source.page_content, gist["kept"]) == document.page_content
        assert gist["source_hash"] == hash_text(source.page_content)
        assert gist["tokens_out"] <= gist["tokens_in"]
        assert gist["model"] == "lexical-1"
        assert isinstance(document.metadata["relevance_score"], float)
        assert json.loads(json.dumps(document.metadata)) == document.metadata


def test_empty_documents_are_dropped_unless_asked_for(documents):
    documents.insert(1, Document("   "))
    dropped = GistCompressor(model=LexicalCompressor(), tokens=12).compress_documents(documents, QUERY)
    kept = GistCompressor(model=LexicalCompressor(), tokens=12, drop_empty=False).compress_documents(documents, QUERY)
    assert len(kept) == len(documents)
    assert [d.metadata["gist"]["rank"] for d in kept] == list(range(len(documents)))
    assert [d.id for d in dropped] == [d.id for d in kept if d.page_content]
    assert 0 < len(dropped) < len(documents)


def test_empty_in_empty_out(compressor):
    assert list(compressor.compress_documents([], QUERY)) == []
    assert compressor._compressor()[1].inner.calls == 0


@pytest.mark.parametrize("query", ["", "  ", None])
def test_a_blank_query_compresses_for_no_question(compressor, documents, query):
    assert compressor.compress_documents(documents, query)


def test_documents_without_id_and_of_own_classes():
    class Mine(Document):
        extra: str = "mine"

    (found,) = GistCompressor(model=LexicalCompressor(), ratio=1.0).compress_documents([Mine("One. Two.")], "one")
    assert (type(found), found.id, found.extra, found.page_content) == (Mine, None, "mine", "One. Two.")


def test_keep_patterns_and_spans(documents):
    start = STORIES["train"].index("Sleeping cars")
    documents[3].metadata["keep"] = [[start, start + 13]]
    documents[0].metadata["keep"] = "a field of the user's own"
    compressor = GistCompressor(model=LexicalCompressor(), tokens=60, keep=[re.compile("POTATOES", re.IGNORECASE)])
    with pytest.warns(GistWarning, match="a field of the user's own"):
        text = " ".join(d.page_content for d in compressor.compress_documents(documents, QUERY))
    assert "potatoes" in text
    assert "Sleeping cars" in text


def test_spans_that_a_splitter_has_copied_from_a_longer_text_are_left_out(documents):
    documents[1].metadata["keep"] = [[0, 24], [90_000, 90_010]]
    expected = GistCompressor(model=LexicalCompressor(), tokens=40).compress_documents(documents[2:], QUERY)
    with pytest.warns(GistWarning, match="outside"):
        found = GistCompressor(model=LexicalCompressor(), tokens=40).compress_documents(documents, QUERY)
    assert any(ANSWERS["bridge"] in document.page_content for document in found)
    assert {d.metadata["gist"]["model"] for d in [*found, *expected]} == {"lexical-1"}
    with pytest.raises(InvalidInputError, match="outside"):
        GistCompressor(model=LexicalCompressor(), on_error="raise").compress_documents(documents, QUERY)


def test_what_must_stay_and_does_not_fit_is_answered_as_on_error_says():
    documents = [Document("Call +1 555 0100. " * 40, id="a"), Document("The harbour opens at noon.", id="b")]
    settings = {"model": LexicalCompressor(), "tokens": 20, "keep": [r"\+1 555 \d+"]}
    with pytest.warns(GistWarning, match="BudgetTooSmallError"):
        found = GistCompressor(**settings).compress_documents(documents, QUERY)
    assert token_counter("o200k_base").count("\n\n".join(d.page_content for d in found)) <= 20
    with pytest.warns(GistWarning, match="BudgetTooSmallError"):
        whole = GistCompressor(**settings, on_error="original").compress_documents(documents, QUERY)
    assert [d.page_content for d in whole] == [d.page_content for d in documents]
    with pytest.raises(BudgetTooSmallError):
        GistCompressor(**settings, on_error="raise").compress_documents(documents, QUERY)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"ratio": 2.0}, InvalidBudgetError),
        ({"threshold": 2}, InvalidBudgetError),
        ({"tokens": True}, pydantic.ValidationError),
        ({"timeout": True}, pydantic.ValidationError),
        ({"model": "default", "device": "cuda:99"}, DeviceError),
        ({"tokens": 5, "ratio": 0.5}, InvalidBudgetError),
        ({"device": "gpu"}, DeviceError),
        ({"tokenizer": "no-such"}, TokenizerError),
        ({"timeout": -1}, GistError),
        ({"model": ""}, GistError),
        ({"top_k": 3}, pydantic.ValidationError),
        ({"scope": "all"}, pydantic.ValidationError),
        ({"keep": ["("]}, pydantic.ValidationError),
    ],
)
def test_bad_settings_fail_at_construction(wrong, error):
    with pytest.raises(error):
        GistCompressor(**{"model": LexicalCompressor(), **wrong})


def test_a_bad_model_name_fails_at_construction(tmp_path):
    pytest.importorskip("gist_core.loading")
    with pytest.raises(GistError):
        GistCompressor(model=str(tmp_path / "nothing"))


def test_wrong_settings_that_show_late_are_no_failure_at_run_time(documents):
    with pytest.raises(CheckpointError):
        GistCompressor(model=Broken(CheckpointError("damaged"))).compress_documents(documents, QUERY)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("given", "query", "named"),
    [
        (["a text"], QUERY, r"documents\[0\] is a str"),
        (5, QUERY, "documents are 5"),
        ([Document("a text")], 5, "query is 5"),
    ],
)
def test_arguments_of_the_wrong_type_are_named(compressor, given, query, named, is_async):
    with pytest.raises(InvalidInputError, match=named) as caught:
        if is_async:
            asyncio.run(compressor.acompress_documents(given, query))
        else:
            compressor.compress_documents(given, query)
    assert caught.value.hint


def test_an_iterator_of_documents_will_do(compressor, documents):
    assert compressor.compress_documents(iter(documents), QUERY) == compressor.compress_documents(documents, QUERY)


def test_nothing_relevant_may_be_an_answer():
    documents = [Document("The cat is grey. Dogs bark.")]
    settings = {"model": LexicalCompressor(), "threshold": 0.5}
    assert GistCompressor(**settings).compress_documents(documents, "Who approved the budget?")
    assert GistCompressor(**settings, allow_empty=True).compress_documents(documents, "Who approved the budget?") == []


def test_failure_at_run_time_truncates_with_a_warning(documents):
    compressor = GistCompressor(model=Broken(CompressionError("nan")), tokens=40)
    with pytest.warns(GistWarning, match="nan"):
        found = compressor.compress_documents(documents, QUERY)
    assert found[0].page_content.startswith("The lighthouse")
    assert found[0].metadata["gist"]["model"] == "fallback-truncate"
    assert compressor.fallbacks == 1
    with pytest.raises(CompressionError):
        GistCompressor(model=Broken(CompressionError("nan")), on_error="raise").compress_documents(documents, QUERY)


def test_changed_fields_count_at_the_next_call(compressor, documents):
    few = compressor.compress_documents(documents, QUERY)
    built = compressor._compressor()[1]
    compressor.tokens = 80
    assert len(str(compressor.compress_documents(documents, QUERY))) > len(str(few))
    assert compressor._compressor()[1] is built
    compressor.tokens = -1
    with pytest.raises(InvalidBudgetError):
        compressor.compress_documents(documents, QUERY)
    assert compressor.model_copy(update={"tokens": 40, "on_error": "original"})._compressor()[1].on_error == "original"


def same_settings(one, two):
    assert {n: getattr(one, n) for n in type(one).model_fields} == {n: getattr(two, n) for n in type(two).model_fields}


def test_pydantic_round_trips():
    shared = LexicalCompressor()
    one = GistCompressor(model=shared, tokens=40, keep=[re.compile("a", re.IGNORECASE)], tokenizer=count_words)
    same_settings(GistCompressor(**one.model_dump()), one)
    same_settings(GistCompressor.model_validate(one.model_dump()), one)
    data = json.loads(one.model_dump_json())
    assert (data["model"], data["tokenizer"]) == (None, None)
    with pytest.raises(GistError, match=r"model is None.*pass it again"):
        GistCompressor(**data)
    with pytest.raises(GistError, match="tokenizer is None"):
        GistCompressor(**{**data, "model": shared})
    again = GistCompressor(**{**data, "model": shared, "tokenizer": count_words})
    same_settings(again, one)
    assert GistCompressor.model_json_schema()["properties"].keys() == GistCompressor.model_fields.keys()


@pytest.mark.parametrize("make", [load_compressor, lambda: load_compressor(str(DEFAULT), on_error="truncate")])
def test_a_shared_model_is_saved_by_the_name_it_loads_by(make):
    one = GistCompressor(model=make(), tokens=20)
    again = GistCompressor.model_validate_json(one.model_dump_json())
    assert load_compressor(again.model).model_id == one.model.model_id
    assert again.model in ("default", str(DEFAULT))


def test_pickle_and_copies_work_on(documents):
    one = GistCompressor(model=LexicalCompressor(), tokens=40, tokenizer=count_words)
    expected = one.compress_documents(documents, QUERY)
    again = pickle.loads(pickle.dumps(one))
    assert again._built is None
    for other in (again, copy.deepcopy(one), one.model_copy()):
        assert other.compress_documents(documents, QUERY) == expected
