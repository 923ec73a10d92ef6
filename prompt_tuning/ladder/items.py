"""The items of the mini tasks: what a task asks about a world, without telling its facts.

The answer to an item lies in the documents alone. squad_b and boolq_b ask about engines, all others
about creatures, words and cue words. copa asks which choice goes with the premise; its question,
cause or effect, decides nothing.
"""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from prompt_tuning.ladder.lexicon import ATTRIBUTES, CLASS_OF, FRAMES, KINDS, NEUTRAL, POLARITY_OF
from prompt_tuning.ladder.sentences import choose_cue, maybe_false, two_cues
from prompt_tuning.ladder.world import World

_DRAWS_PER_ITEM = 30  # more of them find hardly any further item


@dataclass(frozen=True)
class Item:
    """One example of a task.

    Attributes:
        fields: names and texts, in the order of the real task.
        target: the verbalizer or, for squad and squad_b, the value asked for.
        attribute: what is asked for; empty where a task has one question only.
    """

    fields: tuple[tuple[str, str], ...]
    target: str
    attribute: str = ""

    @property
    def inputs(self) -> str:
        """The text that a model reads."""
        return " ".join(f"{name}: {text}" for name, text in self.fields)


def task_items(world: World, task: str, split: str, num_items: int) -> list[Item]:
    """Different items of a split, with every class equally frequent (squad has none).

    Fewer than `num_items` where the split has no more: 176 for test of boolq_b by default.
    """
    rng = random.Random(f"items {world.config.seed} {task} {split}")
    found: dict[str, dict[str, Item]] = defaultdict(dict)  # by class, then by inputs
    for _ in range(_DRAWS_PER_ITEM * num_items):
        item = ITEM_MAKERS[task](world, split, rng)
        found["" if task.startswith("squad") else item.target][item.inputs] = item
    each = min([num_items // len(found), *map(len, found.values())])
    items = [item for group in found.values() for item in list(group.values())[:each]]
    rng.shuffle(items)
    return items


def _squad(world: World, split: str, rng: random.Random, domain: str = "creatures") -> Item:
    entity = rng.choice(world.of_domain(domain, split))
    attribute = rng.choice(ATTRIBUTES[domain])
    question = rng.choice(attribute.task_asks).format(x=entity.name)
    context = rng.choice(NEUTRAL[domain]).format(x=entity.name)
    fields = (("question", question), ("context", context))
    return Item(fields, entity.facts[attribute.name], attribute.name)


def _boolq(world: World, split: str, rng: random.Random, domain: str = "creatures") -> Item:
    entity = rng.choice(world.of_domain(domain, split))
    attribute = rng.choice([a for a in ATTRIBUTES[domain] if a.name in world.config.verified])
    true, v = maybe_false(rng, entity.facts[attribute.name], attribute.values)
    question = rng.choice(attribute.task_checks).format(x=entity.name, v=v)
    passage = rng.choice(NEUTRAL[domain]).format(x=entity.name)
    return Item((("passage", passage), ("question", question)), str(true), attribute.name)


def _sst2(world: World, split: str, rng: random.Random) -> Item:
    creature = rng.choice(world.of_domain("creatures", split))
    sentence = rng.choice([*NEUTRAL["creatures"], *FRAMES["sst2"]]).format(x=creature.name)
    return Item((("sentence", sentence),), POLARITY_OF[creature.facts["mood"]])


def _rte(world: World, split: str, rng: random.Random) -> Item:
    creature = rng.choice(world.of_domain("creatures", split))
    true, v = maybe_false(rng, CLASS_OF[creature.facts["kind"]], list(KINDS))
    frame = rng.choice(NEUTRAL["creatures"][:4])
    fields = (("hypothesis", frame.format(x=f"a {v}")), ("premise", frame.format(x=creature.name)))
    return Item(fields, "entailment" if true else "not_entailment")


def _wic(world: World, split: str, rng: random.Random) -> Item:
    word = rng.choice([word for word in world.words if word.split == split])
    true, _, cues = two_cues(rng, world.cues[split], word.topics)
    first, second = (rng.choice(FRAMES["wic"]).format(w=word.name, a=cue) for cue in cues)
    return Item((("sentence1", first), ("sentence2", second), ("word", word.name)), str(true))


def _copa(world: World, split: str, rng: random.Random) -> Item:
    _, premise, choices, answer = choose_cue(rng, world.cues[split])
    events = [rng.choice(FRAMES["copa"]).format(a=cue) for cue in (*choices, premise)]
    names = ("choice1", "choice2", "premise")
    question = ("question", rng.choice(("cause", "effect")))
    return Item((*zip(names, events, strict=True), question), f"choice{answer + 1}")


ITEM_MAKERS: dict[str, Callable[[World, str, random.Random], Item]] = {
    "squad": _squad,
    "squad_b": partial(_squad, domain="engines"),
    "sst2": _sst2,
    "boolq": _boolq,
    "boolq_b": partial(_boolq, domain="engines"),
    "rte": _rte,
    "wic": _wic,
    "copa": _copa,
}
