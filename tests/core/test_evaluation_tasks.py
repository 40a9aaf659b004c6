from __future__ import annotations

import json
import lzma

import pytest

from gist_core.errors import InvalidInputError
from gist_core.evaluation.quality import LANGUAGES, OURS, SETS, chosen_systems, chosen_tasks
from gist_core.evaluation.systems import SYSTEMS
from gist_core.evaluation.tasks import load_task, sets_of
from gist_core.passage import Span
from gist_core.records import split_of
from tests.helpers.lexical import LexicalCompressor


def _record(number: int, **more: object) -> dict:
    return {
        "id": str(number),
        "query": "Who?",
        "documents": [{"id": "d", "title": f"t{number}", "text": f"Ann, number {number}."}],
        "answers": ["Ann"],
        "evidence": [{"doc": "d", "start": 0, "end": 3, "kind": "sentence"}],
        **more,
    }


def _write(path, records):
    write = lzma.open if path.suffix == ".xz" else open
    with write(path, "wt", encoding="utf-8") as file:
        file.write("".join(json.dumps(r) + "\n" for r in records))
    return path


def test_a_folder_is_measured_on_one_side_and_a_file_as_a_whole(tmp_path):
    records = [_record(n) for n in range(60)]
    test = {r["id"] for r in records if split_of(r) == "test"}
    _write(tmp_path / "mine.jsonl", records)
    folder, _ = chosen_tasks(tmp_path, None, "test", None)
    assert {case.id for case in folder} == test
    file, absent = chosen_tasks(tmp_path / "mine.jsonl", None, "test", None)
    assert len(file("mine") or ()) == 60
    assert absent == []
    assert file("other") is None
    limited, _ = chosen_tasks(tmp_path / "mine.jsonl", None, "test", 7)
    assert [c.id for c in limited] == [c.id for c in file][:7]


def test_a_set_that_is_trained_on_is_never_measured_whole(tmp_path):
    records = [_record(n) for n in range(60)]
    path = _write(tmp_path / "covidqa.jsonl.xz", records)
    tasks, _ = chosen_tasks(path, None, "test", None)
    assert {case.id for case in tasks} == {r["id"] for r in records if split_of(r) == "test"}


def test_a_folder_is_measured_on_the_sets_of_the_table_that_it_has(tmp_path):
    for name in ("covidqa", "policyqa", "another"):
        _write(tmp_path / f"{name}.jsonl", [_record(n) for n in range(600)])
    tasks, absent = chosen_tasks(tmp_path, None, "test", None)
    assert list(tasks.files) == ["covidqa", "policyqa"]
    assert set(absent) == SETS.keys() - {"covidqa", "policyqa"}
    assert len(tasks("covidqa") or ()) <= (SETS["covidqa"] or 0) < 600
    named, absent = chosen_tasks(tmp_path, ["another"], "validation", None)
    assert list(named.files) == ["another"]
    assert absent == []


def test_languages_are_parts_of_one_file(tmp_path):
    records = [_record(n, id=f"xquad_{code}-{n}") for code in ("de", "th") for n in range(60)]
    _write(tmp_path / "xquad.jsonl", records)
    tasks, _ = chosen_tasks(tmp_path, ["xquad/th"], "test", None)
    cases = list(tasks)
    assert cases
    assert all(case.id.startswith("xquad_th-") and case.set == "xquad/th" for case in cases)
    with pytest.raises(InvalidInputError, match="jaquad"):
        chosen_tasks(tmp_path, ["languages"], "test", None)
    assert len([name for name in LANGUAGES if name.startswith("xquad/")]) == 12


def test_what_a_record_may_leave_out_is_filled_in(tmp_path):
    path = _write(tmp_path / "bare.jsonl", [{"documents": [{"text": "One."}, {"text": "Two."}]}, _record(2, id=7)])
    bare = next(c for c in load_task(path, "bare", None) if c.id == "7")
    assert (bare.query, bare.answers, bare.evidence) == ("Who?", ["Ann"], [[Span(0, 3)]])
    path = _write(tmp_path / "text.jsonl", [{"documents": [{"text": "One."}, {"text": "Two."}]}])
    (case,) = load_task(path, "text", None)
    assert (case.id, case.query, case.answers, case.evidence) == ("1", "", [], [[], []])
    assert [p.text for p in case.passages] == ["One.", "Two."]


def test_documents_may_have_numbers_for_ids_and_no_title(tmp_path):
    record = {"documents": [{"id": 3, "title": None, "text": "ab"}], "evidence": [{"doc": 3, "start": 0, "end": 1}]}
    (case,) = load_task(_write(tmp_path / "x.jsonl", [record]), "x", None)
    assert (case.passages[0].id, case.evidence) == ("3", [[Span(0, 1)]])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "Line 1 of x.jsonl is no JSON"),
        ("5", "Line 1 of x.jsonl is no record"),
        ('{"documents": []}', "has no documents. At the least"),
        ('{"query": "Who?"}', "has no documents. At the least"),
        ('{"documents": [{"text": "ab"}], "query": 5}', "Line 1 of x.jsonl: query is 5. It must be a text or null"),
        ('{"documents": [{"text": "ab"}], "answers": "x"}', "Line 1 of x.jsonl: answers is 'x'. It must be a list"),
        ('{"documents": [{"text": "ab"}], "answers": [1]}', "answers is .1.. It must be a list of texts"),
        ('\n{"documents": [{"text": 7}]}', r"Line 2 of x.jsonl: documents.0..text is 7. It must be a text"),
        ('{"documents": "ab"}', "documents is 'ab'. It must be a list"),
        ('{"documents": ["ab"]}', r"documents.0. is 'ab'. It must be an object"),
        ('{"documents": [{"text": "ab", "title": 3}]}', r"documents.0..title is 3"),
        (
            '{"documents": [{"text": "ab"}], "evidence": [{"doc": "d0", "start": 0, "end": 1.5}]}',
            r"evidence.0..end is 1.5",
        ),
        ('{"documents": [{"text": "ab"}], "evidence": [{"doc": "d0", "end": 1}]}', r"evidence.0..start is None"),
        ('{"documents": [{"id": "d"}]}', "text"),
        ('{"documents": [{"text": "ab"}], "evidence": [{"doc": "d0", "start": 0, "end": 3}]}', "outside"),
        ('{"documents": [{"text": "ab"}], "evidence": [{"doc": "z", "start": 0, "end": 1}]}', "'z'"),
        ('{"id": 1, "documents": [{"text": "ab"}]}\n{"id": "1", "documents": [{"text": "ab"}]}', "id '1'"),
        ("", "no records"),
        ("\udcff", "UTF-8"),
    ],
)
def test_a_damaged_file_is_told_with_its_line(tmp_path, content, says):
    path = tmp_path / "x.jsonl"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidInputError, match=says):
        load_task(path, "x", None)


def test_data_that_is_not_there_or_holds_nothing_is_told(tmp_path):
    with pytest.raises(InvalidInputError, match="gone"):
        sets_of(tmp_path / "gone")
    with pytest.raises(InvalidInputError, match=r"\.jsonl\.xz"):
        sets_of(tmp_path)
    (tmp_path / "a.jsonl.xz").write_bytes(b"not xz")
    with pytest.raises(InvalidInputError, match=r"a\.jsonl\.xz cannot be read"):
        load_task(tmp_path / "a.jsonl.xz", "a", None)


def test_ours_comes_first_and_what_is_named_replaces_the_rest():
    ours = LexicalCompressor()
    assert list(chosen_systems(ours, ["bm25"], alone=False)[0]) == [OURS, "bm25"]
    assert chosen_systems(ours, None, alone=True) == ({OURS: ours}, {})
    with pytest.raises(InvalidInputError, match="nonsense"):
        chosen_systems(ours, ["nonsense"], alone=False)
    with pytest.raises(InvalidInputError, match="bm25"):
        chosen_systems(ours, ["bm25"], alone=True)


def test_all_systems_of_the_table_are_there_or_left_out_with_a_reason():
    systems, missing = chosen_systems(LexicalCompressor(), None, alone=False)
    assert {*systems, *missing} == {OURS, *SYSTEMS}
    assert all(missing.values())
