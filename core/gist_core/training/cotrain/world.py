"""A world in which the best gist is known: C states facts among filler, L is neutral, F asks for some of the facts.

A fact is ``relation name value``, each word one token; the facts of a document have different relations and different
people. F states a few of them again, in the same words, so that whoever knows the facts predicts F and whoever does
not can only guess. A rumour looks like a fact, and F never asks for one: the best gist holds exactly the facts. Left
out on purpose: grammar beyond a few sentence frames, since the world is to prove the algorithm, not to model English.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from gist_core.training.cotrain.episodes import Episode
from gist_core.training.lm.bpe import END, GIST

SEPARATOR = "#"
RUMOUR = "rumour"
_UNKNOWN = "[UNK]"


def _joined(heads: str, ends: str) -> list[str]:
    return [a + b for a, b in product(heads.split(), ends.split())]


_NAMES = _joined("Al Be Cy Do El Fa Gi Ha", "ra ton mir na lis vek dor sen")
_PLACES = _joined("North East South West Old New High Low", "ford bury ham wick")
_NUMBERS = [str(n) for n in range(1007, 9999, 281)]
_DATES = [f"{day}-{month}" for month in ("Jan", "Mar", "Jun", "Sep") for day in range(2, 26, 3)]
_SUMS = [f"{n}-pounds" for n in range(12, 332, 10)]
_PEOPLE = _joined("Mo Ru Te Va Jo Ki Lu Pe", "bin dra gor mel")
VALUES = {"lives": _PLACES, "code": _NUMBERS, "due": _DATES, "owes": _SUMS, "met": _PEOPLE, "left": _PLACES}
"""Relations and the values each can have: 32 places, 32 numbers, 32 dates, 32 sums, 32 people."""

_GUARDED = {*_NAMES, *(value for found in VALUES.values() for value in found)}
_NOUNS = [
    "river",
    "mill",
    "stone",
    "garden",
    "winter",
    "road",
    "lamp",
    "harbour",
    "field",
    "bridge",
    "cloud",
    "letter",
    "window",
    "forest",
    "kitchen",
    "bell",
]
_VERBS = ["passed", "held", "moved", "kept", "turned", "warmed", "crossed", "covered", "reached", "found"]
_TRAITS = ["old", "quiet", "grey", "long", "small", "bright", "cold", "narrow", "early", "distant"]
_FRAMES = (
    "the {t} {n} {v} the {n} .",
    "a {n} {v} a {t} {n} and the {n} {v} again .",
    "near the {n} the {t} {n} {v} slowly .",
    "every {n} {v} before the {t} {n} .",
)
_FUNCTION = ["the", "a", "and", "again", "near", "slowly", "every", "before", "."]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that C states."""

    relation: str
    name: str
    value: str

    @property
    def text(self) -> str:
        """As it stands in C and in F."""
        return f"{self.relation} {self.name} {self.value}"


@dataclass(frozen=True, slots=True)
class WorldSizes:
    """Tokens of C and L; how many facts and rumours C states, and how many facts F asks for."""

    context: int = 256
    local: int = 16
    facts: int = 5
    rumours: int = 1
    asked: int = 3

    @property
    def future(self) -> int:
        """Tokens of F: a fact is three words and a full stop."""
        return 4 * self.asked


@dataclass(frozen=True, slots=True)
class WorldEpisode:
    """An episode and what it states."""

    episode: Episode
    facts: tuple[Fact, ...]


def world_words() -> list[str]:
    """Every word there is."""
    values = dict.fromkeys(word for found in VALUES.values() for word in found)
    return [*_FUNCTION, *_NOUNS, *_VERBS, *_TRAITS, *VALUES, RUMOUR, SEPARATOR, *_NAMES, *values]


def world_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, words parted by blanks.

    ``[CLS]`` and ``[SEP]`` for the encoder, end and gist tokens for the LM.
    """
    words = [_UNKNOWN, "[PAD]", "[CLS]", "[SEP]", END, GIST, *world_words()]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=_UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers' own
        tokenizer_object=tokenizer,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        unk_token=_UNKNOWN,
        additional_special_tokens=[GIST],
        clean_up_tokenization_spaces=False,
    )


def world_episode(rng: random.Random, sizes: WorldSizes, *, rumours_asked: bool = False) -> WorldEpisode:
    """One document: facts and rumours between sentences of filler, a neutral window, and a future that asks.

    With ``rumours_asked`` the future asks for rumours as for facts: so that a model learns to read them.
    """
    names = rng.sample(_NAMES, sizes.facts + sizes.rumours)
    relations = rng.sample(sorted(VALUES), sizes.facts)
    facts = tuple(Fact(r, name, rng.choice(VALUES[r])) for r, name in zip(relations, names, strict=False))
    rumours = [Fact(RUMOUR, name, rng.choice(VALUES[rng.choice(sorted(VALUES))])) for name in names[sizes.facts :]]
    stated = [*(f.text for f in facts), *(r.text for r in rumours)]
    context = _among_filler(rng, stated, sizes.context)
    asked = rng.sample([*facts, *rumours] if rumours_asked else facts, sizes.asked)
    future = " ".join(f"{fact.text} ." for fact in asked)
    return WorldEpisode(Episode(context, _filler(rng, sizes.local), future), facts)


def world_episodes(seed: int, sizes: WorldSizes) -> Iterator[WorldEpisode]:
    """Endless documents; the same for the same seed."""
    rng = random.Random(seed)
    while True:
        yield world_episode(rng, sizes)


def is_kept(fact: Fact, gist: str) -> bool:
    """Whether the gist states the fact: its three words one after another, with nothing but filler between them."""
    return f" {fact.text} " in f" {telling(gist)} "


def telling(gist: str) -> str:
    """The words of a gist that are no filler: relations, names and values."""
    known = {RUMOUR, *VALUES}
    return " ".join(word for word in gist.split() if word in known or word in _GUARDED)


def named(gist: str) -> str:
    """The names and values of a gist: what a guard can hold against its source."""
    return " ".join(word for word in gist.split() if word in _GUARDED)


def invented(gist: str, context: str) -> int:
    """How many words of the gist stand nowhere in the context."""
    known = set(context.split())
    return sum(word not in known for word in gist.split())


def _among_filler(rng: random.Random, stated: list[str], size: int) -> str:
    """``size`` words: the statements in random order, each between two sentences of filler."""
    order = rng.sample(stated, len(stated))
    room = size - 4 * len(order)  # a statement is three words and a full stop
    sentences = [f"{text} ." for text in order]
    while room > 0:
        sentence = _sentence(rng).split()[-room:]
        room -= len(sentence)
        sentences.insert(rng.randrange(len(sentences) + 1), " ".join(sentence))
    return " ".join(sentences)


def _filler(rng: random.Random, size: int) -> str:
    words: list[str] = []
    while len(words) < size:
        words += _sentence(rng).split()
    return " ".join(words[-size:])


def _sentence(rng: random.Random) -> str:
    frame = rng.choice(_FRAMES)
    for slot, options in (("{n}", _NOUNS), ("{v}", _VERBS), ("{t}", _TRAITS)):
        while slot in frame:
            frame = frame.replace(slot, rng.choice(options), 1)
    return frame
