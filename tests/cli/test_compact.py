from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gist_core.cli import app
from gist_core.cli.chats import read_chat
from gist_core.cli.messages import MEDIA_TOKENS, turns_of
from gist_core.memory import ToolCall
from gist_core.tokens import token_counter
from tests.helpers.conversations import QuickCompressor

SAMPLE = Path(__file__).parents[2] / "cookbook/data/chats/support.jsonl"
SMALL = ("--high", 4000, "--low", 2000)
COUNTER = token_counter("o200k_base")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> QuickCompressor:
    made = QuickCompressor()
    monkeypatch.setattr("gist_core.cli.compact.load_compressor", lambda *_args, **_kwargs: made)
    return made


@pytest.fixture
def gist(quick):
    def run(*args: object, stdin: str | bytes | None = None):
        return CliRunner().invoke(app, ["compact", *map(str, args)], input=stdin)

    return run


def lines_of(text: str) -> list[str]:
    return text.split("\n")[:-1]


def written(tmp_path: Path, text: str, name: str = "chat.jsonl") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def turns(tmp_path: Path, *messages: object):
    path = written(tmp_path, "\n".join(json.dumps(message) for message in messages))
    return turns_of(read_chat(str(path)), COUNTER)


def long_chat(count: int = 40) -> list[dict[str, object]]:
    said = [
        f"In the year {1900 + at} the harbour master counted {at * 7} ships, and wrote it down." for at in range(count)
    ]
    return [{"role": ("user", "assistant")[at % 2], "content": text, "x": at} for at, text in enumerate(said)]


# What comes out


def test_lines_in_lines_out_word_for_word_but_for_gists(gist):
    given = lines_of(SAMPLE.read_text(encoding="utf-8"))
    result = gist(SAMPLE, *SMALL)
    assert result.exit_code == 0, result.stderr
    shown = lines_of(result.stdout)
    gists = [json.loads(line) for line in shown if '"gist_of"' in line]
    verbatim = [line for line in shown if '"gist_of"' not in line]
    places = [given.index(line) for line in verbatim]  # byte for byte
    assert places == sorted(places)
    assert shown[0] == given[0]
    assert shown[-6:] == given[-6:]
    for message in gists:
        assert set(message) == {"role", "content", "id", "gist_of"}
        assert message["role"] == "user"
        assert message["id"].startswith("gist-")
    covered = [int(name.removeprefix("turn-")) for message in gists for name in message["gist_of"]]
    assert sorted(places + covered) == list(range(len(given)))


def test_account_on_standard_error(gist):
    result = gist(SAMPLE, *SMALL)
    found = re.fullmatch(
        r"66 -> (\d+) turns, ([\d,]+) -> ([\d,]+) tokens \([\d.]+ %\), (\d+) gists?, [\d,]+ ms\n", result.stderr
    )
    assert found, result.stderr
    assert int(found[1]) == len(lines_of(result.stdout))
    assert int(found[3].replace(",", "")) <= 2000
    assert int(found[4]) == result.stdout.count('"gist_of"')


def test_below_the_high_water_mark_everything_comes_out_as_it_was(gist, quick, tmp_path):
    first = '{"role":"user",  "content":"a\\ud83d\\ude42", "n": 12.50, "n": 1E400}'
    second = '{"content": null, "role":"assistant"}'
    result = gist(written(tmp_path, f"{first}\r\n\n {second}"))
    assert result.stdout == f"{first}\n{second}\n"
    assert quick.calls == 0


def test_no_call_loses_its_result(gist):
    shown = [json.loads(line) for line in lines_of(gist(SAMPLE, "--high", 3000, "--low", 900).stdout)]
    asked = [call["id"] for message in shown for call in message.get("tool_calls", ())]
    assert asked == [message["tool_call_id"] for message in shown if message["role"] == "tool"]
    assert asked


def test_pinned_messages_stay(gist):
    shown = lines_of(gist(SAMPLE, "--high", 2000, "--low", 1000).stdout)
    assert any(json.loads(line).get("pinned") for line in shown)


def test_an_array_stays_an_array(gist, tmp_path):
    text = json.dumps(long_chat(), indent=2)
    shown = json.loads(gist(written(tmp_path, text), "--high", 500, "--low", 300).stdout)
    assert shown[-6:] == long_chat()[-6:]
    assert shown[0]["gist_of"][0] == "turn-0"
    assert gist(written(tmp_path, text)).stdout == text + "\n"


def test_an_object_keeps_what_stands_around_its_messages(gist, tmp_path):
    text = f'{{"model": "m-1",\n "messages": [1, 2],\n "messages": {json.dumps(long_chat())}, "temperature": 0.70}}\n'
    path = written(tmp_path, text)
    assert gist(path).stdout == text
    out = gist(path, "--high", 500, "--low", 300).stdout
    assert out.startswith('{"model": "m-1",\n "messages": [1, 2],\n "messages": [{"role": "user", ')
    assert out.endswith('}], "temperature": 0.70}\n')
    shown = json.loads(out)
    assert shown["messages"][-1] == long_chat()[-1]
    assert shown["messages"][0]["gist_of"]


@pytest.mark.parametrize("text", ["[]", "[\n]", '{"messages": [], "n": 1}'])
def test_no_messages_in_none_out(gist, tmp_path, text):
    result = gist(written(tmp_path, text))
    assert (result.exit_code, result.stdout) == (0, text + "\n")


@pytest.mark.parametrize("text", ["", "\n \r\n", "\ufeff"])
def test_an_empty_file_is_a_conversation_without_messages(gist, tmp_path, text):
    result = gist(written(tmp_path, text), "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["view"] == []
    assert result.stderr.startswith("0 -> 0 turns, 0 -> 0 tokens (100.0 %), 0 gists")


@pytest.mark.parametrize("names", [[], ["-"]])
def test_standard_input(gist, names):
    result = gist(*names, *SMALL, stdin=SAMPLE.read_bytes())
    assert result.exit_code == 0
    assert result.stdout == gist(SAMPLE, *SMALL).stdout


def test_json_says_what_each_gist_stands_for(gist):
    messages = [json.loads(line) for line in lines_of(SAMPLE.read_text(encoding="utf-8"))]
    found = json.loads(gist(SAMPLE, *SMALL, "--json").stdout)
    assert set(found) == {"view", "gists", "usage"}
    usage = found["usage"]
    assert (usage["turns_in"], usage["turns_out"]) == (66, len(found["view"]))
    assert usage["tokens_out"] <= 2000 < usage["tokens_in"]
    assert usage["tokenizer"] == "o200k_base"
    by_id = {message["id"]: message for message in found["view"] if "gist_of" in message}
    assert len(found["gists"]) == len(by_id) > 0
    for one in found["gists"]:
        assert by_id[one["id"]]["gist_of"] == one["turns"]
        assert by_id[one["id"]]["content"] == one["text"]
        for piece in one["pieces"]:
            source = messages[int(piece["turn"].removeprefix("turn-"))]["content"]
            for start, end in piece["spans"] or ():
                assert source[start:end] in piece["text"]


def test_recall_is_printed_alone(gist):
    result = gist(SAMPLE, *SMALL, "--recall", "What does the sticker say?", "--recall-tokens", 120)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("[Recalled from earlier turns]")
    assert "gist_of" not in result.stdout
    assert COUNTER.count(result.stdout.removesuffix("\n")) <= 120


def test_recall_beside_the_view_in_json(gist):
    found = json.loads(gist(SAMPLE, *SMALL, "--recall", "serial number of the rack", "--json").stdout)
    assert found["view"]
    assert found["recall"]["tokens"] == COUNTER.count(found["recall"]["text"]) <= 300
    assert {"turn", "label", "text", "spans"} == set(found["recall"]["pieces"][0])


def test_options_reach_the_policy(gist, tmp_path):
    path = written(tmp_path, "\n".join(map(json.dumps, long_chat())))
    args = ("--high", 700, "--low", 200, "--keep-last", 1, "--keep", r"1907 .* \d+ ships", "--tokenizer", "cl100k_base")
    shown = lines_of(gist(path, *args).stdout)
    assert len(shown) == 2
    assert "In the year 1907 the harbour master counted 49 ships" in shown[0]
    found = json.loads(gist(path, *args, "--json").stdout)
    assert found["usage"]["tokenizer"] == "cl100k_base"


def test_the_page_is_written_and_names_the_file(gist, tmp_path):
    page = written(tmp_path, "older", "out.html")
    chat = written(tmp_path, SAMPLE.read_text(encoding="utf-8"))
    assert gist(chat, *SMALL, "--html", page).exit_code == 0
    assert "chat.jsonl" in page.read_text(encoding="utf-8")
    assert "<mark>" in page.read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chat.jsonl", "out.html"]


HOSTILE = [
    "</script><script>alert(1)</script>",
    "line\u2028separator\u2029paragraph\x85next",
    "\ud800 alone",
    "\x00\x1b[31m",
    "<|endoftext|>",
    "\u202eesrever",
    "x" * 5_000,
    '{"a": ' * 50,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_survives(gist, tmp_path, text):
    messages = [{"role": "user", "content": f"{text} {at}"} for at in range(40)]
    path, page = written(tmp_path, "\n".join(map(json.dumps, messages))), tmp_path / "out.html"
    tokens = COUNTER.count(text) + 10
    result = gist(path, "--high", 12 * tokens + 120, "--low", 7 * tokens + 100, "--html", page)
    assert result.exit_code == 0, result.stderr
    shown = [json.loads(line) for line in lines_of(result.stdout)]
    assert len(result.stdout.splitlines()) == len(shown)  # also for readers that split at any line break
    assert shown[-6:] == messages[-6:]
    assert "gist_of" in shown[0]
    assert "<script" not in page.read_text(encoding="utf-8")


# What is refused

BAD = {
    "no JSON": ('{"role": "user", "content": "a"}\nhello\n', "line 2, column 1", "not JSON"),
    "cut off": ('{"role": "user", "content": "a', "line 1", "not JSON"),
    "two on a line": ('{"role": "user"} {"role": "user"}', "line 1", "one JSON value on one line"),
    "over several lines": ('{"role": "user"}\n{\n"role": "user"}', "line 2", "one JSON value on one line"),
    "array cut off": ('[{"role": "user"},\n{"role": ', "line 2", "not JSON"),
    "too deep": ("[" * 100_000, "line 1", "not JSON"),
    "too many digits": ('{"role": "user"}\n{"n": ' + "9" * 5_000 + "}", "line 2", "not JSON"),
    "no object": ('{"role": "user"}\n\n"hello"\n', "line 3", "'hello' is no message"),
    "null in an array": ('[{"role": "user"},\n\n null]', "line 3", "None is no message"),
    "no role": ('{"content": "a"}', "line 1", "role is None"),
    "unknown role": ('{"role": "user"}\n{"role": "robot"}', "line 2", "role is 'robot'"),
    "role is a list": ('{"role": ["user"]}', "line 1", "role is ['user']"),
    "content": ('{"role": "user", "content": 7}', "line 1", "content is 7"),
    "part": ('{"role": "user", "content": [{"text": "a"}]}', "line 1", "content[0] is {'text': 'a'}"),
    "text part": ('{"role": "user", "content": ["a", {"type": "text"}]}', "line 1", "content[1]"),
    "a call as a part": ('{"role": "user", "content": [{"type": "tool_result"}]}', "line 1", "'tool_result'"),
    "calls": ('{"role": "assistant", "tool_calls": {"id": "a"}}', "line 1", "tool_calls is {'id': 'a'}"),
    "call": ('{"role": "assistant", "tool_calls": [7]}', "line 1", "tool_calls[0] is 7"),
    "call without id": ('{"role": "assistant", "tool_calls": [{"name": "f"}]}', "line 1", "tool_calls[0]: id is None"),
    "call without name": ('{"role": "assistant", "tool_calls": [{"id": "a"}]}', "line 1", "name is None"),
    "user calls": (
        '{"role": "user", "tool_calls": [{"id": "a", "name": "f"}]}',
        "line 1",
        "role 'user' has tool calls",
    ),
    "tool_call_id": ('{"role": "tool", "tool_call_id": 7}', "line 1", "tool_call_id is 7"),
    "id": ('{"role": "user", "id": 7}', "line 1", "id is 7"),
    "pinned": ('{"role": "user", "pinned": "yes"}', "line 1", "pinned is 'yes'"),
    "twice the same id": (
        '{"role": "user", "id": "a"}\n{"role": "user", "id": "a"}',
        "line 2",
        "id is 'a', as in line 1",
    ),
    "an id like a position": ('{"role": "user", "id": "turn-1"}\n{"role": "user"}', "line 2", "'turn-1'"),
    "a conversation a line": ('{"messages": []}\n{"messages": []}', "line 1", "a whole conversation"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_messages_are_named_with_file_and_line(gist, tmp_path, case):
    text, line, value = BAD[case]
    result = gist(written(tmp_path, text))
    assert result.exit_code == 2, result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("gist: error: ")
    assert f"chat.jsonl, {line}" in result.stderr
    assert value in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_huge_value_is_shortened_in_the_message(gist, tmp_path):
    result = gist(written(tmp_path, json.dumps({"role": "x" * 100_000})))
    assert (result.exit_code, len(result.stderr) < 400) == (2, True)


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["{dir}/none.jsonl"], "none.jsonl"),
        (["{dir}"], "Cannot read"),
        (["{latin}"], "not UTF-8"),
        (["{chat}", "--low", "9000"], "9000"),
        (["{chat}", "--high", "0"], "high_water is 0"),
        (["{chat}", "--keep-last", "-1"], "keep_last is -1"),
        (["{chat}", "--keep", "("], "regular expression"),
        (["{chat}", "--tokenizer", "no_such_base"], "no_such_base"),
        (["{chat}", "--recall", " "], "query is ' '"),
        (["{chat}", "--recall", "a?", "--recall-tokens", "0"], "recall-tokens"),
        (["{chat}", "--html", "{chat}"], "overwrite"),
        (["{chat}", "--html", "{dir}/none/out.html"], "out.html"),
    ],
)
def test_wrong_usage_exits_with_two(gist, tmp_path, args, named):
    chat = written(tmp_path, json.dumps(long_chat()))
    (tmp_path / "latin").write_bytes(b'{"role": "user", "content": "caf\xe9"}')
    names = {"dir": tmp_path, "chat": chat, "latin": tmp_path / "latin"}
    result = gist(*(arg.format(**names) for arg in args))
    assert result.exit_code == 2, result.stderr
    assert result.stdout == ""
    assert named in result.stderr
    assert json.loads(chat.read_text(encoding="utf-8")) == long_chat()


def test_one_huge_turn_is_a_clear_error(gist, tmp_path):
    page = tmp_path / "out.html"
    chat = written(tmp_path, json.dumps({"role": "user", "content": "ship " * 5_000}))
    result = gist(chat, *SMALL, "--html", page)
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(r"gist: error: 5,?\d+ tokens have to stay word for word.*high_water.*\n", result.stderr)
    assert not page.exists()


def test_one_huge_turn_that_need_not_stay_is_compacted(gist, tmp_path):
    text = " ".join(f"Ship {at} came in." for at in range(2_000))
    chat = written(tmp_path, json.dumps({"role": "user", "content": text}))
    (line,) = lines_of(gist(chat, *SMALL, "--keep-last", 0).stdout)
    assert json.loads(line)["gist_of"] == ["turn-0"]


def test_a_failing_model_exits_with_one(gist, quick, monkeypatch):
    def fail(*_args, **_kwargs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(quick, "compress", fail)
    result = gist(SAMPLE, *SMALL)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "out of memory" in result.stderr


# Messages as turns


def test_roles_and_names(tmp_path):
    found = turns(
        tmp_path,
        {"role": "developer", "content": "a"},
        {"role": "user", "content": "b", "name": "Ann", "id": "m1", "pinned": True},
        {"role": "function", "name": "f", "content": "c"},
    )
    assert [turn.role for turn in found] == ["system", "user", "tool"]
    assert [turn.id for turn in found] == ["turn-0", "m1", "turn-2"]
    assert (found[1].name, found[1].pinned, found[2].name) == ("Ann", True, "f")


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ({"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"n":  1.0}'}}, '{"n":  1.0}'),
        ({"id": "a", "function": {"name": "f", "arguments": {"n": "é"}}}, '{"n": "é"}'),
        ({"id": "a", "name": "f", "args": {"n": 1}, "type": "tool_call"}, '{"n": 1}'),
        ({"id": "a", "name": "f", "arguments": "{}"}, "{}"),
        ({"id": "a", "name": "f"}, "{}"),
    ],
)
def test_forms_of_a_call(tmp_path, call, arguments):
    (turn,) = turns(tmp_path, {"role": "assistant", "content": None, "tool_calls": [call]})
    assert turn.tool_calls == (ToolCall("a", "f", arguments),)
    assert turn.content == ""


def test_calls_of_the_older_form_are_paired(tmp_path):
    found = turns(
        tmp_path,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "2"},
    )
    first, second = found[0].tool_calls[0].id, found[2].tool_calls[0].id
    assert first != second
    assert [found[1].tool_call_id, found[3].tool_call_id] == [first, second]


def test_parts_that_are_no_text(tmp_path):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 9_000}}
    thought = {"type": "reasoning", "summary": "I should look it up."}
    (turn,) = turns(tmp_path, {"role": "user", "content": [{"type": "text", "text": "a"}, image, "b", thought]})
    assert turn.content == "a\nb"
    assert turn.opaque == ("image_url", "reasoning")
    assert MEDIA_TOKENS < turn.opaque_tokens < MEDIA_TOKENS + 40


def test_another_image_is_another_turn(tmp_path):
    one, other = (
        turns(tmp_path, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]})[0]
        for url in ("https://a.example/1.png", "https://a.example/2.png")
    )
    assert one.digest != other.digest


def test_errors_name_standard_input(gist):
    assert "Standard input, line 1: role is 'robot'" in gist(stdin='{"role": "robot"}').stderr
