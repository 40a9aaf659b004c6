from __future__ import annotations

import json
import math

import pytest
import typer
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from gist_core.cli.break_even import break_even
from gist_core.errors import InvalidInputError
from gist_core.evaluation.breakeven import (
    Cost,
    Prices,
    costs,
    fastest_reader,
    fit_cost,
    money_breaks_even,
    money_saved,
    seconds_saved,
    table,
    time_breaks_even,
)

positive = st.floats(1e-6, 1e3)


def test_a_line_is_found_again():
    found = fit_cost([(n, 0.05 + n / 8_000) for n in (100, 1_000, 5_000)])
    assert (found.overhead, found.per_token) == pytest.approx((0.05, 1 / 8_000))
    assert fit_cost([(200, 0.1)]) == Cost(0.0, 0.0005)
    assert fit_cost([(100, 0.2), (1_000, 0.1)]).per_token == 0.0
    with pytest.raises(InvalidInputError, match="no measured speed"):
        fit_cost([])


@given(positive, positive, positive, positive, st.floats(1.1, 50))
def test_nothing_is_saved_at_the_break_even_and_more_beyond(overhead, per_token, speed, hour, rate):
    cost, prices = Cost(overhead, per_token), Prices(3.0, speed, hour)
    for begins, saved in ((time_breaks_even, seconds_saved), (money_breaks_even, money_saved)):
        at = begins(rate, cost, prices)
        if math.isinf(at):
            assert saved(1e6, rate, cost, prices) < 0
        else:
            scale = abs(saved(0, rate, cost, prices)) + 1e-12
            assert abs(saved(at, rate, cost, prices)) <= 1e-5 * scale * max(1.0, at)
            assert saved(2 * at + 1, rate, cost, prices) >= saved(at, rate, cost, prices)


def test_without_a_price_of_the_machine_money_is_saved_from_the_first_token():
    assert money_breaks_even(2, Cost(0.1, 0.001), Prices(3.0, 2_000)) == 0
    assert money_saved(1_000_000, 2, Cost(0.1, 0.001), Prices(3.0, 2_000)) == pytest.approx(1.5)


def test_a_compressor_slower_than_the_reader_never_saves_time():
    text = table(Cost(0.0, 0.001), Prices(3.0, 10_000), rates=[4])
    assert "| 4x | never | the first token |" in text


def test_prices_must_be_possible():
    with pytest.raises(InvalidInputError, match="reader_speed=0"):
        Prices(3.0, 0)


def test_the_command_prints_a_table_for_a_measured_system(tmp_path):
    rows = [{"system": "gist", "tokens_in": n, "p50_ms": 20 + n / 10} for n in (500, 4_000)]
    path = tmp_path / "speed.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert set(costs(rows)) == {"gist"}
    done = _break_even(path)
    assert done.exit_code == 0, done.output
    assert "| 4x | 73 tokens |" in done.output  # 0.02 s / (0.75 / 2000 - 0.0001) s
    wrong = _break_even(path, "--system", "bm25")
    assert wrong.exit_code == 2
    assert "It holds: gist" in wrong.output


def _break_even(path: object, *more: str) -> Result:
    app = typer.Typer()
    app.command()(break_even)
    command = ["--price", "3", "--reader-speed", "2000", "--speed-file", str(path), "--rate", "4"]
    return CliRunner().invoke(app, [*command, *more])


def test_a_text_that_a_system_was_not_timed_on_counts_nothing(tmp_path):
    timed = [{"system": "gist", "tokens_in": n, "p50_ms": 20 + n / 10} for n in (500, 4_000)]
    left_out = [{"system": s, "tokens_in": 100_000, "p50_ms": None, "left_out": "too slow"} for s in ("gist", "slow")]
    assert costs([*timed, *left_out]) == costs(timed)
    path = tmp_path / "speed.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*timed, *left_out]))
    assert "| 4x | 73 tokens |" in _break_even(path).output


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "speed.jsonl' is not there"),
        ("folder", "speed.jsonl' is a folder"),
        ("what?\n", "Line 1 of"),
        ("[1]\n", "is no row"),
        ('{"system": "gist", "set": "facts"}\n', "has no 'tokens_in'"),
        ("", "It holds: nothing"),
    ],
)
def test_a_file_that_is_no_measurement_of_speed_is_told(tmp_path, content, says):
    path = tmp_path / "speed.jsonl"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    result = _break_even(path)
    assert result.exit_code == 2
    assert says in result.output


@pytest.mark.parametrize(
    ("option", "value"),
    [("--price", "-3"), ("--reader-speed", "0"), ("--machine-price", "-1"), ("--rate", "0.5"), ("--price", "nan")],
)
def test_an_impossible_number_is_told_with_its_option(tmp_path, option, value):
    result = _break_even(tmp_path / "speed.jsonl", option, value)
    assert result.exit_code == 2
    assert f"{option} is {value}. Give a number, " in result.output


def test_compression_saves_time_for_readers_slower_than_the_fastest():
    cost = Cost(0.05, 1 / 8_000)
    at = fastest_reader(10_000, 4, cost)
    assert (
        seconds_saved(10_000, 4, cost, Prices(1, 0.99 * at)) > 0 > seconds_saved(10_000, 4, cost, Prices(1, 1.01 * at))
    )
    assert math.isinf(fastest_reader(10_000, 4, Cost(0.0, 0.0)))
