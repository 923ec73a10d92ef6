"""Questions in the running text's own words: what pre-training itself has learned, kind by kind."""

import random
import re
from collections.abc import Mapping
from typing import NamedTuple

from prompt_tuning.ladder.lexicon import PHRASES
from prompt_tuning.ladder.sentences import SENTENCE_KINDS, Draft
from prompt_tuning.ladder.world import World

CHANCE: Mapping[str, float] = {  # of the first word of an answer
    "ask": 1 / 8,
    "verify": 1 / 2,
    "class": 1 / 2,
    "polarity": 1 / 2,
    "same_sense": 1 / 2,
    "choose": 1 / 2,
}


class Probe(NamedTuple):
    """A question, or a claim to judge, and the first word of its answer."""

    question: str
    answer: str


def probes(world: World, num_probes: int) -> dict[str, list[Probe]]:
    """So many probes of every kind of sentence that asks, always the same ones.

    Documents ask the same things of the same entities: a probe says what is in the weights, not
    what a prompt can make of it.
    """
    return {kind: _of_kind(world, kind, num_probes) for kind in CHANCE}


def _of_kind(world: World, kind: str, num_probes: int) -> list[Probe]:
    rng = random.Random(f"probes {world.config.seed} {kind}")
    found: list[Probe] = []
    while len(found) < num_probes:
        sentences = SENTENCE_KINDS[kind](Draft(world, rng, rng.choice(world.entities)))
        if len(sentences) == 2 and not sentences[0].startswith(PHRASES["say_why"].format(c="")):
            found.append(Probe(sentences[0], re.findall(r"\w+", sentences[1])[0]))
    return found
