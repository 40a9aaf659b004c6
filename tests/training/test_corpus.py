"""Whatever text there is, as a corpus with two sides that share no document."""

from __future__ import annotations

import json
import lzma

import pytest

from gist_core.errors import InvalidInputError
from gist_core.training.lm.corpus import read_corpus

RECORD = {
    "id": "1",
    "query": "q",
    "documents": [{"id": "a", "title": "Rome", "text": "One."}, {"id": "b", "title": "Oslo", "text": "Two."}],
    "answers": [],
    "evidence": [],
}


def _lines(*rows):
    return "\n".join(map(json.dumps, rows)) + "\n"


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.rst"])
def test_a_plain_file_is_a_document(tmp_path, name):
    (tmp_path / name).write_text("H\u00e9llo.\n", encoding="utf-8")
    [found] = read_corpus(tmp_path / name)
    assert (found.set, found.title, found.text) == (tmp_path.name, name, "H\u00e9llo.\n")


def test_bytes_that_are_no_text_do_not_stop_a_run(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    assert read_corpus(tmp_path)[0].text == "caf\ufffd"


@pytest.mark.parametrize("packed", [False, True])
def test_records_and_lines_give_their_documents(tmp_path, packed):
    content = _lines(
        RECORD, {"text": "Alone."}, {"text": "Part.", "title": "Book"}, {"text": "No title.", "title": None}
    )
    path = tmp_path / ("qa.jsonl.xz" if packed else "qa.jsonl")
    path.write_bytes(lzma.compress(content.encode()) if packed else content.encode())
    found = read_corpus(path)
    assert [(d.set, d.title, d.text) for d in found] == [
        ("qa", "Rome", "One."),
        ("qa", "Oslo", "Two."),
        ("qa", "", "Alone."),
        ("qa", "Book", "Part."),
        ("qa", "", "No title."),
    ]
    assert read_corpus(tmp_path) == found


def test_blank_lines_and_blank_texts_are_left_out(tmp_path):
    (tmp_path / "a.jsonl").write_text('\n{"text": "One."}\n\n{"text": " \\n"}\n', encoding="utf-8")
    (tmp_path / "b.txt").write_text("\n \n", encoding="utf-8")
    assert [d.text for d in read_corpus(tmp_path)] == ["One."]


def test_folders_are_read_to_the_bottom_in_a_fixed_order(tmp_path):
    for name in ("b.txt", "a/c.md", "a/b.txt", "d.csv", "e.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    assert [d.text for d in read_corpus(tmp_path)] == ["a/b.txt", "a/c.md", "b.txt"]


def test_beside_question_sets_only_prose_is_read(tmp_path):
    (tmp_path / "facts.jsonl").write_text(_lines(RECORD), encoding="utf-8")
    assert len(read_corpus(tmp_path)) == 2
    (tmp_path / "lm_wiki.jsonl").write_text(_lines({"text": "Prose."}), encoding="utf-8")
    assert [d.text for d in read_corpus(tmp_path)] == ["Prose."]
    assert len(read_corpus(tmp_path / "facts.jsonl")) == 2


def test_all_parts_of_a_title_stand_on_one_side(tmp_path):
    rows = [{"text": f"{n} {part}", "title": f"Book {n}"} for n in range(60) for part in range(3)]
    rows += [{"text": f"untitled {n}"} for n in range(60)] + [{"text": f"null {n}", "title": None} for n in range(60)]
    (tmp_path / "a.jsonl").write_text(_lines(*rows), encoding="utf-8")
    sides = {side: read_corpus(tmp_path, side) for side in ("train", "validation", "test")}
    assert sum(map(len, sides.values())) == len(rows)
    titles = {side: {d.title for d in found if d.title} for side, found in sides.items()}
    assert not titles["train"] & titles["validation"] | titles["train"] & titles["test"]
    assert not titles["validation"] & titles["test"]
    for start in ("untitled", "null"):  # texts without a title are split each for itself
        assert all(any(d.text.startswith(start) for d in found) for found in sides.values())
    assert 0.6 < len(sides["train"]) / len(rows) < 0.95
    assert read_corpus(tmp_path, "train") == sides["train"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", "{", "a.jsonl:1 is not JSON"),
        ("a.jsonl", '{"text": "x"}\n[1]', "a.jsonl:2 has neither"),
        ("a.jsonl", '{"query": "x"}', "neither 'text' nor 'documents'"),
        ("a.jsonl", '{"text": null}', "neither 'text' nor 'documents'"),
        ("a.jsonl", '{"documents": [{"id": "a"}]}', "neither 'text' nor 'documents'"),
        ("a.jsonl", '{"documents": null}', "neither 'text' nor 'documents'"),
        ("a.txt", " \n", "There is no text in"),
        ("a.csv", "x", "There is no text in"),
    ],
)
def test_what_cannot_be_read_is_named_with_a_hint(tmp_path, name, content, message):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=message) as caught:
        read_corpus(tmp_path)
    assert caught.value.hint


def test_a_side_without_text_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("One.", encoding="utf-8")
    side = read_corpus(tmp_path)[0].split
    other = next(s for s in ("train", "validation", "test") if s != side)
    with pytest.raises(InvalidInputError, match=f"the {other} side"):
        read_corpus(tmp_path, other)
    with pytest.raises(InvalidInputError, match="There is no text in"):
        read_corpus(tmp_path / "nowhere")
