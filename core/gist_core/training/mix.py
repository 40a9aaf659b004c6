"""The mixes of question-answering sets that the shipped selective model is trained on: English, and other languages.

Only sets whose licence lets weights be shipped; how many questions of each is a choice: a question over many
documents is read with six windows, one over a paragraph with two, so most of what is read is of many documents.
``hotpotqa_train100`` is left whole for evaluation. Another count of a set draws other questions of it.
"""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

from gist_core.records import Record, Split, read_records, split_of
from gist_core.training.examples import Example, ExampleBuilder, joined

SELECTIVE_MIX: dict[str, int] = {
    "nq20_even": 1_500,
    "nolicence_squadshifts_new_wiki_10doc": 2_300,
    "nolicence_squadshifts_new_wiki": 2_200,
    "nolicence_squadshifts_reddit": 2_400,
    "nolicence_squadshifts_amazon_reviews": 2_400,
    "fairytaleqa": 1_300,
    "covidqa": 900,
    "policyqa": 2_600,
    "qed_dev": 500,
    "qmsum_train": 300,
    "friendsqa": 1_200,
}
LANGUAGES_MIX: dict[str, int] = {"xquad": 2_800, "jaquad": 3_100, "cmrc2018": 2_300, "squad_it_test": 1_400}


def build_examples(data: Path, builder: ExampleBuilder, split: Split, mix: dict[str, int]) -> dict[str, list[Example]]:
    """For each set of the mix, examples of the split; a small set is gone through again with new negatives.

    A set whose files are larger than asked for is sampled without replacement first.
    """
    return {name: _examples(data, name, builder, split, count) for name, count in mix.items()}


def _examples(data: Path, name: str, builder: ExampleBuilder, split: Split, count: int) -> list[Example]:
    records = [r for r in read_records(data, name) if r["query"] and r["evidence"] and split_of(r) == split]
    rng = random.Random(f"{name}-{count}")
    rng.shuffle(records)
    records = _with_double_questions(records, rng)
    built: list[Example] = []
    for record in records * (count // max(len(records), 1) + 2):
        if len(built) >= count:
            break
        example = builder.build(record)
        if example is not None:
            built.append(example)
    return built


def _with_double_questions(records: list[Record], rng: random.Random, share: float = 0.1) -> list[Record]:
    """A ``share`` of the records asks a second question of the same documents as well."""
    by_documents: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_documents["\n".join(d["text"] for d in record["documents"])].append(record)
    partner = {id(r): rng.choice(group) for group in by_documents.values() for r in group}
    return [joined(r, partner[id(r)]) if partner[id(r)] is not r and rng.random() < share else r for r in records]
