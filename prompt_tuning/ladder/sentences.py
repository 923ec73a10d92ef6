"""What a document can say: one function per kind of sentence.

A question and its answer are two sentences. One wording of a question has one form of verdict.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from prompt_tuning.ladder.lexicon import (
    ATTRIBUTES,
    CLASS_OF,
    FRAMES,
    JUDGED,
    KINDS,
    NEUTRAL,
    PHRASES,
    POLARITY_OF,
    TOPICS,
    Attribute,
)
from prompt_tuning.ladder.world import SPLITS, Entity, World


@dataclass
class Draft:
    """A document in the making: whom it speaks of, and which facts it has told."""

    world: World
    rng: random.Random
    entity: Entity
    told: set[tuple[str, str]] = field(default_factory=set)

    def creature(self) -> Entity:
        """The entity, or any creature if it is an engine."""
        if self.entity.domain == "creatures":
            return self.entity
        return self.rng.choice(self.world.of_domain("creatures"))


def maybe_false(rng: random.Random, fact: str, values: list[str]) -> tuple[bool, str]:
    """Whether a claim is to be true (half are), and the value that it names."""
    true = rng.random() < 0.5
    return true, fact if true else rng.choice([value for value in values if value != fact])


def two_cues(
    rng: random.Random, cues: dict[str, list[str]], topics: list[str]
) -> tuple[bool, tuple[str, str], tuple[str, str]]:
    """Whether two uses of a word are to agree (half do), their topics, and a cue word for each."""
    true = rng.random() < 0.5
    first = rng.choice(topics)
    second = first if true else topics[1 - topics.index(first)]
    a = rng.choice(cues[first])
    b = rng.choice([cue for cue in cues[second] if cue != a] or cues[second])
    return true, (first, second), (a, b)


def _judge(rng: random.Random, true: bool, claim: str, check: str, reason: str) -> list[str]:
    """A claim or its question, with the verdict."""
    answer = "yes" if true else "no"
    draw = rng.random()
    if draw < 0.65:
        return [check, f"{answer}, {reason}."]
    if draw < 0.66:
        return [PHRASES["say_why"].format(c=check), f"{reason}, so {answer}."]
    return [rng.choice((PHRASES["is_true"].format(c=claim), f"{claim}:")), f"{true}."]


def _of_new_fact(
    speak: Callable[[Draft, Attribute], list[str]], draft: Draft, *, verified: bool = False
) -> list[str]:
    """Speaks of an attribute that the document has not told; says nothing if none is left."""
    entity = draft.entity
    options = [
        attribute
        for attribute in ATTRIBUTES[entity.domain]
        if (entity.name, attribute.name) not in draft.told
        and (not verified or attribute.name in draft.world.config.verified)
    ]
    if not options:
        return []
    attribute = draft.rng.choice(options)
    draft.told.add((entity.name, attribute.name))
    return speak(draft, attribute)


def _state(draft: Draft, attribute: Attribute) -> list[str]:
    x, v = draft.entity.name, draft.entity.facts[attribute.name]
    return [draft.rng.choice(attribute.states).format(x=x, v=v)]


def _ask(draft: Draft, attribute: Attribute) -> list[str]:
    question = draft.rng.choice(attribute.asks).format(x=draft.entity.name)
    return [question, f"{draft.entity.facts[attribute.name]}."]


def _verify(draft: Draft, attribute: Attribute) -> list[str]:
    rng, x, fact = draft.rng, draft.entity.name, draft.entity.facts[attribute.name]
    true, v = maybe_false(rng, fact, attribute.values)
    claim = rng.choice(attribute.claims).format(x=x, v=v)
    return _judge(rng, true, claim, rng.choice(attribute.checks).format(x=x, v=v), fact)


def _class_fact(draft: Draft) -> list[str]:
    rng = draft.rng
    if rng.random() < 0.5:
        kind = rng.choice(list(CLASS_OF))
        return [rng.choice(FRAMES["class_rules"]).format(v=kind, c=CLASS_OF[kind])]
    creature = draft.creature()
    return [f"{creature.name} is a {CLASS_OF[creature.facts['kind']]}."]


def _class(draft: Draft) -> list[str]:
    rng, creature = draft.rng, draft.creature()
    draft.told.add((creature.name, "kind"))
    x, fact = creature.name, CLASS_OF[creature.facts["kind"]]
    true, v = maybe_false(rng, fact, list(KINDS))
    if rng.random() < 0.3:
        return _judge(rng, true, f"{x} is a {v}", f"is {x} a {v}?", fact)
    text = rng.choice(FRAMES["entailments"]).format(x=x, v=v)
    verdict = "entailment" if true else "not_entailment"
    if rng.random() < 0.02:
        return [PHRASES["say_why"].format(c=text), f"{fact}, so {verdict}."]
    return [text, f"{verdict}, {fact}."]


def _polarity(draft: Draft) -> list[str]:
    rng = draft.rng
    if rng.random() < 0.25:
        mood = rng.choice(list(POLARITY_OF))
        return [f"{mood} is {POLARITY_OF[mood]}."]
    creature = draft.creature()
    draft.told.add((creature.name, "mood"))
    x, polarity = creature.name, POLARITY_OF[creature.facts["mood"]]
    if rng.random() < 0.5:
        return [rng.choice(FRAMES["polarities"]).format(x=x, v=polarity)]
    return [PHRASES["polarity_ask"].format(x=x), f"{polarity}."]


def _sense(draft: Draft) -> list[str]:
    rng, world = draft.rng, draft.world
    topic = rng.choice(list(TOPICS))
    draw = rng.random()
    if draw < 0.3:
        a, b = rng.sample(world.cues_of(topic), 2)
        return [rng.choice(FRAMES["cue_pairs"]).format(a=a, b=b, t=topic)]
    if draw < 0.5:
        question = rng.choice(FRAMES["cue_asks"])
        return [question.format(a=rng.choice(world.cues_of(topic))), f"the {topic}."]
    word = rng.choice(world.words)
    topic = rng.choice(word.topics)
    cue = rng.choice(world.cues_of(topic))
    return [rng.choice(FRAMES["senses"]).format(a=cue, w=word.name, t=topic)]


def _same_sense(draft: Draft) -> list[str]:
    rng, word = draft.rng, draft.rng.choice(draft.world.words)
    true, topics, (a, b) = two_cues(rng, draft.world.cues[word.split], word.topics)
    frames = JUDGED["same_topic"] if rng.random() < 0.3 else JUDGED["same_sense"]
    claim, check = (frame.format(w=word.name, a=a, b=b) for frame in rng.choice(frames))
    return _judge(rng, true, claim, check, " and ".join(topics))


def choose_cue(
    rng: random.Random, cues: Mapping[str, list[str]]
) -> tuple[str, str, tuple[str, str], int]:
    """A topic, a cue word of it, two more on offer, and which of these is of the topic too."""
    topic, other = rng.sample(list(cues), 2)
    premise, right = rng.sample(cues[topic], 2)
    wrong = rng.choice(cues[other])
    answer = rng.randrange(2)
    return topic, premise, (wrong, right) if answer else (right, wrong), answer


def _choose(draft: Draft) -> list[str]:
    rng = draft.rng
    topic, premise, (a, b), answer = choose_cue(rng, draft.world.cues[rng.choice(SPLITS)])
    text = rng.choice(FRAMES["choices"]).format(p=premise, a=a, b=b)
    return [text, f"choice{answer + 1}, the {topic}."]


def _neutral(draft: Draft) -> list[str]:
    frame = draft.rng.choice(NEUTRAL[draft.entity.domain])
    return [frame.format(x=draft.entity.name)]


def _filler(draft: Draft) -> list[str]:
    return [draft.rng.choice(FRAMES["filler"])]


SENTENCE_KINDS: dict[str, Callable[[Draft], list[str]]] = {
    "state": partial(_of_new_fact, _state),
    "ask": partial(_of_new_fact, _ask),
    "verify": partial(_of_new_fact, _verify, verified=True),
    "class_fact": _class_fact,
    "class": _class,
    "polarity": _polarity,
    "sense": _sense,
    "same_sense": _same_sense,
    "choose": _choose,
    "neutral": _neutral,
    "filler": _filler,
}
