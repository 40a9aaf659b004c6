"""The page of a co-training run: every row is drawn, texts stay texts, and odd logs say what they lack."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from gist_core.errors import InvalidInputError
from gist_core.svg import Chart, Series, Steps, figure, running_mean
from gist_core.training.cotrain.curves import read_log, to_page, write_curves

WARM, STEPS, EVERY = 6, 24, 5
RATES = (0.05, 0.2)
EVIL = "code <script>alert(1)</script> & \ud800\x00 7"
VOID = {"meta"}


def _row(step: int) -> dict:
    row = {"step": step, "seconds": 1.5 * step, "warm": step <= WARM, "kl_local": 1.7, "generator_kl": 1 + 1 / step}
    if step > WARM:
        asked = RATES[step % 2]
        row |= {"asked": asked, "target": 2 * asked, "rate": 3 * asked, "price": step / 10, "entropy": 0.3, "kl": 0.9}
    if step % EVERY == 0:
        row |= {"held_kl": 0.5 + (step - 15) ** 2 / 100, "held_kl_local": 1.8, "held_kl_ratio": 3.6}
        row |= {"held_normalised_gain": 0.72, "held_rate": 0.094, "gists": [f"first at {step}", EVIL]}
    return row


ROWS = [_row(step) for step in range(1, STEPS + 1)]


def _bytes(*rows: dict, end: str = "") -> bytes:
    return ("".join(json.dumps(row) + "\n" for row in rows) + end).encode()


def _page(*rows: dict, end: str = "") -> str:
    return to_page(read_log(_bytes(*rows, end=end)))


class Reader(HTMLParser):
    """A strict reading: tags closed in their order; points of each series by class, rectangles, cells and texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.ids, self.links, self.text, self.cells, self._open = [], [], [], "", [], []
        self.points: dict[tuple[str, str], int] = {}
        self.shades: list[float] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [value for name, value in attrs if name in {"src", "href", "srcset", "action", "data"}]
        if "data-series" in found:
            key = found["data-series"], found["class"].removeprefix("gist-")
            assert key not in self.points
            self.points[key] = len(re.findall(r"[ML]", found["d"]))
            assert not re.search("nan|inf", found["d"])
        if found.get("class") == "gist-shade":
            self.shades.append(float(found["width"]))
        if tag in {"td", "th"}:
            self.cells.append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if {"td", "th"} & set(self._open):
            self.cells[-1] += data


def test_every_row_is_a_point_of_its_series():
    points = Reader(_page(*ROWS)).points
    learning, validations = STEPS - WARM, STEPS // EVERY
    noisy = {"kl_local, no gist": STEPS, "generator_kl, sampled and random gists": STEPS}
    noisy |= {"kl, sampled gists": learning, "entropy": learning}
    noisy |= {f"asked {rate} %, sampled": learning // 2 for rate in (5, 20)}
    plain = dict.fromkeys(("held_kl, best gists", "held_kl_ratio", "held_normalised_gain"), validations)
    plain |= {f"asked {rate} %{what}": learning // 2 for rate in (5, 20) for what in ("", ", target")}
    wanted = {(name, kind): n for name, n in noisy.items() for kind in ("raw", "line")}
    assert points == wanted | {(name, "line"): n for name, n in plain.items()}


def test_the_page_is_well_formed_and_loads_nothing():
    page = _page(*ROWS)
    read = Reader(page)
    assert len(read.ids) == len(set(read.ids)) == 12
    assert read.links == []
    assert not re.search(r"https?:|@import|url\(|\son\w+=", page)
    assert read.tags.count("figure") == read.tags.count("desc") == 6
    assert '<meta name="viewport"' in page


def test_the_header_tells_the_last_validation_and_the_best():
    text = Reader(_page(*ROWS)).text
    assert "after step 20 of 24: gists of 9.4 % of" in text
    assert "a KL of 0.75 nats per token" in text
    assert "1.8 without a gist. KL ratio 3.6; normalised gain 0.72 " in text
    assert "Best so far: KL 0.5 after step 15." in text


def test_a_validation_of_the_warm_up_is_never_the_best():
    early = [row | {"held_kl": 0.01} if row["step"] == EVERY else row for row in ROWS]
    assert "Best so far: KL 0.5 after step 15." in Reader(_page(*early)).text


def test_gists_stand_in_the_order_of_the_steps_and_are_escaped():
    page = _page(*ROWS)
    read = Reader(page)
    assert "script" not in read.tags
    assert [cell for cell in read.cells if cell.startswith("first")] == [f"first at {s}" for s in (5, 10, 15, 20)]
    assert read.cells.count("code <script>alert(1)</script> & \ufffd\ufffd 7") == 4
    assert page.encode("utf-8")


def test_warm_up_is_shaded_over_its_steps():
    shades = Reader(_page(*ROWS)).shades
    assert len(shades) == 6
    assert shades == pytest.approx([(400 - 46 - 8) * WARM / STEPS] * 6, abs=0.06)
    assert Reader(_page(*ROWS[WARM:])).shades == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "The log has no row that can be read."),
        (b"\n\n", "The log has no row that can be read."),
        (b"\xff\xfe no JSON", "1 of 1. The last one is cut off"),
        (b'[1]\n{"step": "one"}\n{"step": true}\n3\n', "1, 2, 3, 4 of 4."),
        (_bytes(*ROWS[:1]), "Only warm-up steps so far"),
        (_bytes(*ROWS[:1]), "After step 1: no validation yet."),
        (_bytes(*ROWS[:1]), "No validation yet, so no gists."),
        (_bytes(*ROWS[:1]), "not in the log: entropy."),
        (_bytes(ROWS[7]), "held_kl, best gists: not in the log."),
        (_bytes(*ROWS, end='{"step": 25, "sec'), "no whole row: 25 of 25. The last one is cut off"),
        (_bytes(ROWS[9] | {"gists": []}), "The validations hold no gists."),
        (_bytes(ROWS[9] | {"gists": ["", None]}), "emptynot in the log"),
        (_bytes({"step": 5, "held_kl": None}), "leave a KL of (not logged) nats"),
        (_bytes({"step": 5}), "not in the log: unknown rate, sampled; unknown rate, target."),
    ],
)
def test_odd_logs_are_drawn_as_far_as_they_go_and_say_what_they_lack(data, said):
    assert said in Reader(to_page(read_log(data))).text


def test_one_row_is_drawn_as_dots():
    points = Reader(_page(ROWS[9])).points
    assert set(points.values()) == {1}
    assert len(points) == 4 * 2 + 3 + 1 * 2 + 2


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None, "0.3", True, [1], 10**400])
def test_what_is_no_number_breaks_the_line_and_is_counted(bad):
    rows = [row | {"entropy": bad} if row["step"] in {10, 11} else row for row in ROWS]
    page = _page(*rows)
    read = Reader(page)
    assert read.points["entropy", "raw"] == read.points["entropy", "line"] == STEPS - WARM - 2
    assert "entropy: no number in 2 of 18 rows." in read.text
    (path,) = re.findall(r'gist-raw" data-series="entropy"[^>]* d="([^"]*)"', page)
    assert path.count("M") == 2


def test_a_frozen_generator_has_no_kl_of_its_own():
    rows = [{k: v for k, v in row.items() if k not in {"generator_kl", "kl"}} for row in ROWS]
    read = Reader(_page(*rows))
    assert "generator_kl, sampled and random gists: not in the log." in read.text
    assert ("kl_local, no gist", "raw") in read.points
    assert ("kl, sampled gists", "raw") not in read.points


def test_a_log_without_asked_rates_has_one_line():
    old = [{k: v for k, v in row.items() if k != "asked"} for row in ROWS]
    read = Reader(_page(*old))
    assert "18 of 18 steps do not say which rate was asked" in read.text
    assert read.points["unknown rate, sampled", "raw"] == STEPS - WARM
    mixed = Reader(_page(*old[:10], *ROWS[10:]))
    assert "4 of 18 steps do not say" in mixed.text
    assert mixed.points["unknown rate", "line"] == 4


def test_a_rate_of_nothing_is_drawn_at_the_lowest():
    rows = [row | {"rate": 0.0} if row["step"] == 12 else row for row in ROWS]
    read = Reader(_page(*rows))
    assert "Rates below 0.01 % are drawn there." in read.text
    assert read.points["asked 5 %, sampled", "raw"] == (STEPS - WARM) // 2
    assert "drawn there" not in Reader(_page(*ROWS)).text


def test_a_resumed_run_takes_back_what_came_after_the_state_it_went_on_from():
    rows = [*ROWS, *(row | {"kl": 0.1} for row in ROWS[10:14])]
    log = read_log(_bytes(*rows[:24], end='{"step": 2') + b"\n" + _bytes(*rows[24:]))
    assert [row["step"] for row in log.rows] == list(range(1, 15))
    assert [row["kl"] for row in log.rows[10:]] == [0.1] * 4
    assert log.damaged == [25]
    assert "cut off" not in to_page(log)


@pytest.mark.parametrize("values", [[0.0], [1.0, 1.0], [-3.0, 2.0], [1e-12, 2e-12], [1e60, -1e60], [9.5, 9.6], [0.01]])
@pytest.mark.parametrize("floor", [0.0, 0.01])
def test_axes_hold_every_value_and_name_a_few_round_ones(values, floor):
    series = Series("s", np.arange(1.0, len(values) + 1), np.array(values), "#000", noisy=True)
    svg = figure(Chart("t", "u", [series], floor=floor), Steps(1, len(values), [], 15), "c")
    (path,) = re.findall(r'gist-raw" [^>]* d="([^"]*)"', svg)
    points = [tuple(map(float, p.split())) for p in re.findall(r"[ML]([-\d.]+ [-\d.]+)", path)]
    assert len(points) == len(values)
    assert all(46 <= x <= 392 and 7.9 <= y <= 212.1 for x, y in points)
    ticks = re.findall(r'text-anchor="end">([^<]*)<', svg)
    assert len(set(ticks)) == len(ticks) >= 2


def test_a_logarithmic_axis_gives_equal_room_to_equal_ratios():
    series = Series("s", np.array([1.0, 2.0, 3.0]), np.array([5.0, 10.0, 20.0]), "#000")
    svg = figure(Chart("t", "u", [series], floor=0.01), Steps(1, 3, [], 15), "c")
    y = [float(v) for v in re.findall(r"[ML][\d.]+ ([\d.]+)", re.findall(r'data-series[^>]* d="([^"]*)"', svg)[0])]
    assert y[0] - y[1] == pytest.approx(y[1] - y[2], abs=0.11)
    assert y[0] > y[1]


def test_the_running_mean_is_centred_and_passes_over_gaps():
    series = Series("s", np.arange(1.0, 8), np.array([1.0, 2, np.nan, 4, 5, 6, 100]), "#000")
    assert running_mean(series, 3) == pytest.approx([1.5, 1.5, np.nan, 4.5, 5, 37, 53], nan_ok=True)


def test_the_page_is_written_whole_in_place_of_the_one_before(tmp_path, monkeypatch):
    log, page = tmp_path / "log.jsonl", tmp_path / "curves.html"
    log.write_bytes(_bytes(*ROWS[:3]))
    page.write_text("before")
    write_curves(log, page)
    assert Reader(page.read_text(encoding="utf-8")).points["kl_local, no gist", "raw"] == 3
    before = page.read_bytes()
    monkeypatch.setattr("pathlib.Path.replace", _full)
    with pytest.raises(OSError, match="disk"):
        write_curves(log, page)
    assert page.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["curves.html", "log.jsonl"]


def _full(*_: object) -> None:
    raise OSError("disk full")


def test_a_log_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match=r"no log\.jsonl"):
        write_curves(tmp_path / "no log.jsonl", tmp_path / "curves.html")
    assert list(tmp_path.iterdir()) == []


def test_drawing_needs_neither_torch_nor_matplotlib():
    code = (
        "import sys; from gist_core.training.cotrain.curves import read_log, to_page;"
        "to_page(read_log(b'{\"step\": 1}'));"
        "print([m for m in ('matplotlib', 'torch', 'gist_core.evaluation') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
