"""The running text of a world, in what mixture it says what, and questions in its own words.

A small model learns nothing from the full mix at first: facts come first, judgements after them.
"""

import random
import re
from collections.abc import Iterator, Mapping

from prompt_tuning.ladder.lexicon import PHRASES
from prompt_tuning.ladder.sentences import SENTENCE_KINDS, Draft
from prompt_tuning.ladder.world import World

FACTS_MIX: Mapping[str, float] = {
    "state": 0.32,
    "ask": 0.45,
    "polarity": 0.05,
    "class_fact": 0.03,
    "sense": 0.15,
}
FULL_MIX: Mapping[str, float] = {
    "state": 0.03,
    "ask": 0.16,
    "verify": 0.26,
    "class": 0.24,
    "class_fact": 0.01,
    "polarity": 0.05,
    "sense": 0.03,
    "same_sense": 0.10,
    "choose": 0.07,
    "neutral": 0.04,
    "filler": 0.01,
}
CHANCE: Mapping[str, float] = {  # of the first word of an answer, by the kind of question
    "ask": 1 / 8,
    "verify": 1 / 2,
    "class": 1 / 2,
    "polarity": 1 / 2,
    "same_sense": 1 / 2,
    "choose": 1 / 2,
}

_STAY = 0.8  # the chance that the next sentence is about the same entity


def documents(
    world: World, *, seed: str, mix: Mapping[str, float], num_sentences: tuple[int, int] = (1, 3)
) -> Iterator[str]:
    """An endless stream of documents, each as one text; none tells a fact twice.

    Args:
        seed: names the stream; the same name gives the same documents.
        mix: how often each kind of sentence comes; see `sentences.py` for the kinds.
        num_sentences: the fewest and the most; a question and its answer count as one.
    """
    rng = random.Random(f"documents {world.config.seed} {seed}")
    while True:
        kinds = rng.choices(list(mix), list(mix.values()), k=rng.randint(*num_sentences))
        if sentences := _write(world, rng, kinds):
            yield " ".join(sentences)


def _write(world: World, rng: random.Random, kinds: list[str]) -> list[str]:
    """A document's sentences; a kind that has nothing left to tell is left out."""
    draft = Draft(world, rng, rng.choice(world.entities))
    sentences: list[str] = []
    for position, kind in enumerate(kinds):
        if position > 0 and rng.random() > _STAY:
            draft.entity = rng.choice(world.entities)
        sentences += SENTENCE_KINDS[kind](draft)
    return sentences


def probes(world: World, num_probes: int) -> dict[str, list[tuple[str, str]]]:
    """So many probes of every kind of sentence that asks, always the same ones.

    A probe is a question, or a claim to judge, and the first word of its answer. Documents ask the
    same things of the same entities: it says what is in the weights, not what a prompt can make of
    it.
    """
    found: dict[str, list[tuple[str, str]]] = {kind: [] for kind in CHANCE}
    for kind, of_kind in found.items():
        rng = random.Random(f"probes {world.config.seed} {kind}")
        while len(of_kind) < num_probes:
            sentences = SENTENCE_KINDS[kind](Draft(world, rng, rng.choice(world.entities)))
            if len(sentences) == 2 and not sentences[0].startswith(PHRASES["say_why"].format(c="")):
                of_kind.append((sentences[0], re.findall(r"\w+", sentences[1])[0]))
    return found
