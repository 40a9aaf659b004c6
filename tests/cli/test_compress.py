from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gist_core.errors import BudgetTooSmallError, CheckpointError, InvalidInputError
from gist_core.passage import hash_text, render

FOX = "The fox is red. The sky is blue. A fox can swim."


@pytest.fixture
def fox(tmp_path: Path) -> Path:
    path = tmp_path / "fox.txt"
    path.write_text(FOX, encoding="utf-8")
    return path


def test_text_on_stdout_account_on_stderr(gist, fox):
    result = gist("compress", fox, "--query", "fox", "--tokens", 50)
    assert result.exit_code == 0
    assert result.stdout == "The fox is red. A fox can swim.\n"
    assert re.fullmatch(r"[\d,]+ -> [\d,]+ tokens \([\d.]+ %\), [\d,]+ ms\n", result.stderr)


@pytest.mark.parametrize("names", [[], ["-"]])
def test_reads_standard_input(gist, names):
    result = gist("compress", *names, "-q", "sky", "--ratio", 0.5, stdin=FOX)
    assert (result.exit_code, result.stdout) == (0, "The sky is blue.\n")


def test_files_and_standard_input_in_the_order_given(gist, fox, matcher):
    result = gist("compress", "-", fox, "-q", "swim birds", "-n", 50, stdin="Some birds sing.")
    assert [passage.id for passage in matcher.calls[0].passages] == ["-", str(fox)]
    assert result.stdout == "Some birds sing.\n\nA fox can swim.\n"


def test_every_option_reaches_the_call(gist, fox, matcher):
    gist(
        *("compress", fox, "--tokens", 9, "--threshold", 0.1, "--scope", "each"),
        *("--tokenizer", "cl100k_base", "--keep", "blue", "--keep", r"\d+"),
    )
    (call,) = matcher.calls
    assert (call.budget.tokens, call.budget.threshold) == (9, 0.1)
    assert (call.budget.scope, call.budget.tokenizer) == ("each", "cl100k_base")
    assert (call.query, call.keep) == (None, ["blue", r"\d+"])


def test_json_leads_back_to_the_source(gist, fox):
    result = gist("compress", fox, "-q", "fox", "-n", 50, "--json")
    found = json.loads(result.stdout)
    (passage,) = found["passages"]
    assert passage["id"] == str(fox)
    assert passage["text"] == found["text"] == render(FOX, passage["kept"])
    assert passage["source_hash"] == hash_text(FOX)
    assert passage["score"] == 0.5
    assert found["usage"]["tokens_out"] < found["usage"]["tokens_in"]


def test_page_is_written_whole_and_leaves_nothing_behind(gist, fox, tmp_path):
    page = tmp_path / "out.html"
    page.write_text("older", encoding="utf-8")
    result = gist("compress", fox, "-q", "fox", "-n", 50, "--html", page)
    assert result.exit_code == 0
    written = page.read_text(encoding="utf-8")
    assert "<mark>The fox is red.</mark>" in written
    assert "The sky is blue." in written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fox.txt", "out.html"]


def test_newlines_and_byte_order_mark(gist, tmp_path, matcher):
    path = tmp_path / "dos.txt"
    path.write_bytes(b"\xef\xbb\xbfA fox.\r\nA dog.\r\n")
    gist("compress", path, "-q", "fox", "-n", 50)
    assert matcher.calls[0].passages[0].text == "A fox.\r\nA dog.\r\n"


def test_nothing_kept_prints_nothing(gist, fox):
    result = gist("compress", fox, "-q", "whale", "-n", 50)
    assert (result.exit_code, result.stdout) == (0, "")


BAD_INPUT = {
    "no size": (["{fox}"], "--tokens"),
    "two sizes": (["{fox}", "-n", "5", "-r", "0.5"], "ratio"),
    "negative tokens": (["{fox}", "-n", "-1"], "-1"),
    "ratio above one": (["{fox}", "-r", "7"], "7"),
    "missing file": (["{dir}/none.txt", "-n", "5"], "none.txt"),
    "a folder": (["{dir}", "-n", "5"], "Cannot read"),
    "not UTF-8": (
        ["{latin}", "-n", "5"],
        "latin.txt' is not UTF-8: byte 0xe9 at offset 3. Convert it first, e.g. with iconv -f LATIN1",
    ),
    "a PDF": (["{dir}/a.pdf", "-n", "5"], "a.pdf' is a PDF. Extract its text first"),
    "UTF-16": (["{dir}/wide.txt", "-n", "5"], "wide.txt' is UTF-16. Convert it first, e.g. with iconv -f UTF-16"),
    "not text": (["{dir}/a.bin", "-n", "5"], "a.bin' is no text: it holds a NUL byte at offset 2. Extract"),
    "stdin twice": (["-", "-", "-n", "5"], "twice"),
    "no such folder for the page": (["{fox}", "-n", "5", "--html", "{dir}/none/out.html"], "out.html"),
    "page over an input": (["{fox}", "-n", "5", "--html", "{fox}"], "overwrite"),
    "unknown tokenizer": (["{fox}", "-n", "5", "--tokenizer", "no_such_base"], "no_such_base"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_clear_line(gist, fox, tmp_path, case):
    (tmp_path / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7 text")
    (tmp_path / "wide.txt").write_bytes("caf\xe9".encode("utf-16"))
    (tmp_path / "a.bin").write_bytes(b"PK\0\xff\xfe")
    args, named = BAD_INPUT[case]
    names = {"fox": fox, "dir": tmp_path, "latin": tmp_path / "latin.txt"}
    result = gist("compress", *(arg.format(**names) for arg in args), stdin="x")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("gist: error: ")
    assert named in result.stderr
    assert result.stderr.count("\n") == 1
    assert fox.read_text(encoding="utf-8") == FOX


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInputError("bad", hint="mend"), 2),
        (BudgetTooSmallError("bad", hint="mend"), 2),
        (CheckpointError("bad", hint="mend"), 2),
        (RuntimeError("bad mend"), 1),
    ],
)
def test_errors_of_the_core_are_one_line_with_the_hint(gist, fox, matcher, error, code):
    matcher.error = error
    result = gist("compress", fox, "-n", 5)
    assert result.exit_code == code
    assert "bad mend" in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_shows_where(gist, fox, matcher, monkeypatch):
    monkeypatch.setenv("GIST_DEBUG", "1")
    matcher.error = RuntimeError("deep inside")
    assert isinstance(gist("compress", fox, "-n", 5).exception, RuntimeError)


def test_failed_run_leaves_the_page_alone(gist, fox, matcher, tmp_path):
    page = tmp_path / "out.html"
    page.write_text("older", encoding="utf-8")
    matcher.error = RuntimeError("boom")
    gist("compress", fox, "-n", 5, "--html", page)
    assert page.read_text(encoding="utf-8") == "older"


@pytest.mark.parametrize(("option", "value"), [("-r", "25%"), ("-n", "5k"), ("-n", "2.5"), ("--threshold", "low")])
def test_a_size_that_is_no_number_is_named(gist, fox, option, value):
    result = gist("compress", fox, option, value)
    assert result.exit_code == 2
    assert f"{value!r} is no " in " ".join(result.stderr.split())


@pytest.mark.parametrize("value", [1, 1.5, -0.1, "nan"])
def test_a_threshold_that_no_score_can_pass_is_refused(gist, fox, value):
    result = gist("compress", fox, "--threshold", value)
    assert result.exit_code == 2
    assert f"threshold is {float(value)}. Scores are from 0 to 1" in " ".join(result.stderr.split())


def test_a_very_small_share_is_not_shown_as_nothing(gist, tmp_path):
    path = tmp_path / "long.txt"
    path.write_text("A fox can swim." + " The sky is blue." * 5_000)
    shown = gist("compress", path, "-q", "fox", "-n", 50).stderr
    assert re.fullmatch(r"25,\d+ -> 5 tokens \(0\.02 %\), [\d,]+ ms\n", shown), shown


@pytest.mark.parametrize("args", [["--nope"], ["compress", "--scope", "some", "-n", "5"], ["unknown"]])
def test_wrong_usage_exits_with_two(gist, args):
    assert gist(*args).exit_code == 2


def test_version_and_help(gist):
    assert re.fullmatch(r"gist \d+\.\d+\.\d+\S*\n", gist("--version").stdout)
    assert "compress" in gist("--help").stdout
