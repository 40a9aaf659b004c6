"""compact_messages as a function and as a Runnable, the shared settings, and what may be imported."""

from __future__ import annotations

import asyncio
import copy
import gc
import subprocess
import sys

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda

from gist_core.errors import BudgetTooSmallError, CompressionError, GistError, InvalidInputError
from gist_core.fallback import GistWarning
from gist_core.memory import MemoryArchive, Turn
from gist_core.memory.gist import gist_from_json
from langchain_gist import GistEdit, GistMiddleware, compact_messages, gist_pre_model_hook, gist_rewrite_hook
from langchain_gist.memory import turn_to_message
from tests.helpers.lexical import Broken, LexicalCompressor
from tests.helpers.models import MODELS
from tests.helpers.scripted import FACT, check_prompt, conversation, prompt_tokens, question, script

SMALL = {"high_water": 1_200, "low_water": 600, "keep_last": 4}


@pytest.fixture(scope="module")
def messages():
    return conversation(40)


@pytest.fixture
def model():
    return LexicalCompressor()


def gists(view):
    return [message for message in view if "gist" in message.additional_kwargs]


def check(view, messages, high_water=1_200):
    """What every view promises: within the limit, a valid prompt, the caller's own objects but for gists."""
    check_prompt([*view, HumanMessage("And now?")])
    assert prompt_tokens(view) <= high_water
    own = {id(message) for message in messages}
    assert all(id(message) in own for message in view if message not in gists(view))
    assert [id(m) for m in view[-4:]] == [id(m) for m in messages[-4:]]
    assert view[0] is messages[0]


@pytest.mark.parametrize("name", MODELS)
def test_the_view_is_small_valid_and_made_of_the_callers_objects(messages, name):
    before = copy.deepcopy(messages)
    view = compact_messages(messages, model="default" if name == "default" else LexicalCompressor(), **SMALL)
    check(view, messages)
    assert gists(view)
    assert all(isinstance(message, HumanMessage) and message.id for message in gists(view))
    assert messages == before


def test_a_gist_names_all_it_stands_for(messages, model):
    view = compact_messages(messages, model=model, **SMALL)
    found = [gist_from_json(message.additional_kwargs["gist"]) for message in gists(view)]
    assert [gist.text for gist in found] == [message.content for message in gists(view)]
    covered = [name for gist in found for name in gist.turns]
    shown = {id(message) for message in view}
    assert covered == [message.id for message in messages if id(message) not in shown]


def test_nothing_happens_below_the_high_water_mark(messages, model):
    view = compact_messages(messages, model=model, high_water=1_000_000)
    assert len(view) == len(messages)
    assert all(a is b for a, b in zip(view, messages, strict=True))
    assert compact_messages([], model=model) == []


def test_anything_like_messages_will_do(model):
    view = compact_messages([("system", "Be brief."), {"role": "user", "content": "Hi."}, "Hello?"], model=model)
    assert [type(message) for message in view] == [SystemMessage, HumanMessage, HumanMessage]
    prompt = ChatPromptTemplate([("system", "Be brief."), ("user", "{question}")]).invoke({"question": "Why?"})
    assert [message.content for message in compact_messages(prompt, model=model)] == ["Be brief.", "Why?"]


def test_pinned_messages_and_patterns_stay(messages, model):
    pinned = messages[90].model_copy(update={"additional_kwargs": {"pinned": True}})
    given = [*messages[:90], pinned, *messages[91:]]
    view = compact_messages(given, model=model, keep=["locker code"], **SMALL)
    assert any(message is pinned for message in view)
    assert FACT in "\n".join(str(message.content) for message in gists(view))


def test_originals_come_back_from_the_archive(messages, model):
    archive = MemoryArchive()
    compact_messages(messages, model=model, archive=archive, conversation="c", **SMALL)
    assert [turn_to_message(turn) for turn in archive.turns("c")] == messages


def test_an_archive_carries_gists_from_call_to_call(messages, model):
    archive = MemoryArchive()
    options = {"model": model, "archive": archive, **SMALL}
    first = compact_messages(messages, **options)
    calls = model.calls
    again = compact_messages(messages, **options)
    assert [m.id for m in again] == [m.id for m in first]
    assert model.calls == calls


def test_runnable_pipes_batches_and_goes_async(messages, model):
    step = compact_messages(model=model, **SMALL)
    assert isinstance(step, Runnable)
    chain = step | RunnableLambda(lambda view: script([*view, question(1)]))
    assert isinstance(chain.invoke(messages), AIMessage)
    threads = [{"configurable": {"thread_id": str(n)}} for n in range(3)]
    lists = [messages, messages[:30], messages[:9]]
    expected = [[m.id for m in compact_messages(given, model=model, **SMALL)] for given in lists]
    for views in (step.batch(lists, threads), asyncio.run(step.abatch(lists, threads))):
        assert [[m.id for m in view] for view in views] == expected
    check(asyncio.run(step.ainvoke(messages)), messages)


def test_runnable_remembers_gists_and_keeps_the_beginning(messages, model):
    step = compact_messages(model=model, conversation="chat", **SMALL)
    same, before = 0, []
    for end in range(10, len(messages)):
        if messages[end].type == "tool":
            continue
        view = [message.id for message in step.invoke(messages[: end + 1])]
        same += view[: len(before)] == before
        before = view
    assert same > 0.6 * (len(messages) - 10)
    assert step.invoke(messages)[1] == step.invoke(messages)[1]


def test_without_thread_name_and_archive_nothing_is_remembered(model):
    step = compact_messages(model=model, high_water=200, keep_last=2)
    for chat in range(3):
        view = step.invoke([HumanMessage(f"Chat {chat}, message {n}: the harbour is open.") for n in range(30)])
        assert gists(view)
        assert f"Chat {chat - 1}" not in str(view)
    gc.collect()
    turns = [one for one in gc.get_objects() if type(one) is Turn]  # isinstance would look into lazy objects of torch
    assert not any(turn.content.startswith("Chat ") for turn in turns)


def test_what_cannot_be_read_is_left_or_raised(messages, model):
    endless = {}
    endless["again"] = endless
    given = [*messages, HumanMessage("x", additional_kwargs=endless)]
    with pytest.warns(GistWarning, match="stay as they were"):
        view = compact_messages(given, model=model, **SMALL)
    assert all(a is b for a, b in zip(view, given, strict=True))
    with pytest.warns(GistWarning, match="stay as they were"):
        assert compact_messages(model=model, **SMALL).invoke(messages, {"configurable": {"thread_id": ""}}) == messages
    with pytest.raises(ValueError, match=r"[Cc]ircular"):
        compact_messages(given, model=model, on_error="raise", **SMALL)


def test_an_unknown_setting_is_named():
    for make in (compact_messages, GistEdit, gist_pre_model_hook, gist_rewrite_hook, GistMiddleware):
        with pytest.raises(InvalidInputError, match=r"'high'.*'high_water'"):
            make(high=1)


def test_results_as_blocks_are_never_parted_from_their_calls(messages, model):
    call = {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {"q": "ship"}}
    found = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "found 12 ships"}
    given = [*messages[:60], AIMessage([call], id="call"), HumanMessage([found], id="found"), HumanMessage("So?")]
    for keep_last in (1, 2, 3):
        view = compact_messages(given, model=model, high_water=1_500, keep_last=keep_last)
        assert len(view) < len(given)
        assert given[60] in view or given[61] not in view


def test_threads_are_kept_apart(messages, model):
    archive = MemoryArchive()
    step = compact_messages(model=model, archive=archive, conversation="none", **SMALL)
    step.invoke(messages, {"configurable": {"thread_id": "a"}})
    step.invoke(messages[:3], {"configurable": {"thread_id": 7}})
    step.invoke(messages[:1])
    assert archive.conversations() == ["7", "a", "none"]
    assert len(archive.turns("7")) == 3


def test_the_own_gists_are_known_again(messages, model):
    step = compact_messages(model=model, **SMALL)
    view = step.invoke(messages)
    again = step.invoke(view)
    assert all(a is b for a, b in zip(view, again, strict=True))
    renamed = [m.model_copy(update={"id": f"x-{m.id}"}) if m in gists(view) else m for m in view]
    assert all(a is b for a, b in zip(renamed, step.invoke(renamed), strict=True))
    check_prompt(
        [*step.invoke([*view, *[m.model_copy(update={"id": f"x{m.id}"}) for m in messages[1:31]]]), question(1)]
    )


@pytest.mark.parametrize("error", [CompressionError("nan"), RuntimeError("out of memory")])
def test_failure_leaves_the_messages_as_they_were_with_a_warning(messages, error):
    with pytest.warns(GistWarning, match=str(error)):
        view = compact_messages(messages, model=Broken(error), **SMALL)
    assert all(a is b for a, b in zip(view, messages, strict=True))
    with pytest.raises(GistError, match=str(error)):
        compact_messages(messages, model=Broken(error), on_error="raise", **SMALL)


def test_what_cannot_fit_is_left_or_raised(messages, model):
    with pytest.warns(GistWarning, match="high_water=50"):
        assert compact_messages(messages, model=model, high_water=50)[-1] is messages[-1]
    with pytest.raises(BudgetTooSmallError):
        compact_messages(messages, model=model, high_water=50, on_error="raise")


@pytest.mark.parametrize(
    "wrong", [{"high_water": 0}, {"device": "gpu"}, {"tokenizer": "no-such"}, {"keep": ["("]}, {"model": ""}]
)
def test_bad_settings_fail_at_once(wrong):
    with pytest.raises(InvalidInputError):
        compact_messages(**{"model": LexicalCompressor(), **wrong})


def test_removals_are_refused(model):
    with pytest.raises(InvalidInputError, match="RemoveMessage"):
        compact_messages([RemoveMessage(id="x")], model=model)


def test_importing_needs_langchain_core_alone():
    code = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"langchain", "langgraph"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.split(".")[0])
sys.meta_path.insert(0, Blocker())
import langchain_gist, langchain_gist.memory
for module in (langchain_gist, langchain_gist.memory):
    try:
        module.GistMiddleware
    except ImportError as error:
        print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == 2 * [
        'MissingExtraError GistMiddleware needs langchain. pip install "gist-compressor[langchain-agents]"'
    ]


def test_an_unknown_name_is_an_attribute_error():
    import langchain_gist

    with pytest.raises(AttributeError, match="Nothing"):
        _ = langchain_gist.Nothing
    with pytest.raises(AttributeError, match="Nothing"):
        _ = langchain_gist.memory.Nothing
