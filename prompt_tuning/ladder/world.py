"""A world: all its facts, drawn once from a seed.

Every entity, ambiguous word and cue word belongs to one split. Documents speak of all
of them; a task asks about those of its split alone.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from prompt_tuning.ladder.lexicon import ATTRIBUTES, TOPICS, known_words

VERSION = 1  # of the generator: raised when the same world gives other text or items
SPLITS = ("train", "dev", "test")

_NAME_SHAPES = {"creatures": "CVCV", "engines": "VCCVC", "words": "CVCVC"}
_LETTERS = {"C": "bdfgklmnprstvz", "V": "aeiou"}


@dataclass(frozen=True)
class WorldConfig:
    """How large a world is, and which one of that size.

    Attributes:
        split_shares: of train, dev and test; they add up to 1.
        verified: whose facts documents verify and boolq asks for: an attribute of each domain.
    """

    seed: int = 0
    num_creatures: int = 240
    num_engines: int = 80
    num_words: int = 24
    split_shares: tuple[float, float, float] = (0.40, 0.15, 0.45)
    verified: tuple[str, ...] = ("colour", "port")


LADDER_WORLD = WorldConfig()  # that the shipped models read about, and the mini tasks ask about


@dataclass(frozen=True)
class Entity:
    """A creature or an engine, with its value of each attribute of its domain."""

    name: str
    domain: str
    split: str
    facts: Mapping[str, str]


@dataclass(frozen=True)
class Word:
    """An invented word that means one thing in one topic and another in the other."""

    name: str
    split: str
    topics: list[str]  # two


class World:
    """The facts of a world: `entities`, `words`, and their topics' `cues` by split."""

    def __init__(self, config: WorldConfig) -> None:
        """Draws everything from `config.seed`."""
        self.config = config
        rng = random.Random(f"world {config.seed}")
        taken = known_words()
        self.entities: list[Entity] = []
        self._members: dict[tuple[str, str | None], list[Entity]] = {}
        for domain, count in (("creatures", config.num_creatures), ("engines", config.num_engines)):
            names = _invent_names(count, _NAME_SHAPES[domain], taken, rng)
            drawn = _draw_entities(domain, names, config, rng)
            self.entities += drawn
            self._members[domain, None] = drawn
            for split in SPLITS:
                self._members[domain, split] = [each for each in drawn if each.split == split]
        names = _invent_names(config.num_words, _NAME_SHAPES["words"], taken, rng)
        self.cues = _draw_cues(config, rng)
        splits = _deal_splits(len(names), config, rng)
        self.words = [
            Word(name, split, rng.sample(list(TOPICS), 2))
            for name, split in zip(names, splits, strict=True)
        ]

    def of_domain(self, domain: str, split: str | None = None) -> list[Entity]:
        """The creatures or the engines, of one split or of all."""
        return self._members[domain, split]

    def all_words(self) -> set[str]:
        """Every word of its documents and tasks: names, values, verdicts, the words of frames."""
        names = {entity.name for entity in self.entities} | {word.name for word in self.words}
        return known_words() | names

    def cues_of(self, topic: str) -> list[str]:
        """The cue words of a topic, of all splits."""
        return [cue for split in SPLITS for cue in self.cues[split][topic]]


def _invent_names(count: int, shape: str, taken: set[str], rng: random.Random) -> list[str]:
    """Pronounceable words (shape: C consonant, V vowel), which are then taken."""
    names: list[str] = []
    while len(names) < count:
        name = "".join(rng.choice(_LETTERS[letter]) for letter in shape)
        if name not in taken:
            taken.add(name)
            names.append(name)
    return names


def _deal_splits(count: int, config: WorldConfig, rng: random.Random) -> list[str]:
    """A split for each of `count` things, in the configured shares."""
    ends = [round(count * sum(config.split_shares[: i + 1])) for i in range(len(SPLITS))]
    splits = [SPLITS[sum(n >= end for end in ends)] for n in range(count)]
    rng.shuffle(splits)
    return splits


def _draw_entities(
    domain: str, names: list[str], config: WorldConfig, rng: random.Random
) -> list[Entity]:
    """Entities among which every value of an attribute is equally frequent."""
    splits = _deal_splits(len(names), config, rng)
    columns = {}
    for attribute in ATTRIBUTES[domain]:
        column = [attribute.values[i % len(attribute.values)] for i in range(len(names))]
        rng.shuffle(column)
        columns[attribute.name] = column
    return [
        Entity(name, domain, split, {key: column[i] for key, column in columns.items()})
        for i, (name, split) in enumerate(zip(names, splits, strict=True))
    ]


def _draw_cues(config: WorldConfig, rng: random.Random) -> dict[str, dict[str, list[str]]]:
    """The cue words of each split, by topic."""
    cues: dict[str, dict[str, list[str]]] = {split: {} for split in SPLITS}
    for topic, known in TOPICS.items():
        shuffled = list(known)
        rng.shuffle(shuffled)
        dealt = list(zip(shuffled, _deal_splits(len(known), config, rng), strict=True))
        for split in SPLITS:
            cues[split][topic] = [cue for cue, its_split in dealt if its_split == split]
    return cues
