"""What a task's score is without any fact of the world: the majority class and surface shortcuts.

Each shortcut is fitted on training items, which speak of other entities.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, pairwise

from prompt_tuning.ladder.items import Item

Features = Callable[[Item], Iterable[Hashable]]


@dataclass(frozen=True)
class Floor:
    """Accuracies that a model has to beat, and the name of the best shortcut."""

    majority: float
    shortcut: float
    shortcut_name: str


def floor(train: Sequence[Item], scored: Sequence[Item]) -> Floor:
    """The majority class and the best shortcut, fitted on `train` and measured on `scored`.

    Which shortcut is best is seen on `scored` itself, so luck can only raise the floor.
    """
    features: dict[str, Features] = {
        "attribute": lambda item: [item.attribute],
        "bag": lambda item: _words(item.inputs),
        "bag of fields": lambda item: [(n, w) for n, text in item.fields for w in _words(text)],
        "bigrams": lambda item: pairwise(_words(item.inputs)),
        "overlap": lambda item: [_overlap(item)],
    }
    for name, _ in scored[0].fields:
        features[f"only {name}"] = partial(_words_of_field, name)
    scores = {name: _accuracy(train, scored, of_item) for name, of_item in features.items()}
    best = max(scores, key=scores.__getitem__)
    return Floor(_accuracy(train, scored, lambda item: []), scores[best], best)


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z]+|[^\w\s]", text)


def _words_of_field(name: str, item: Item) -> list[str]:
    return _words(dict(item.fields)[name])


def _overlap(item: Item) -> tuple[int, ...]:
    """How many words each two fields share."""
    fields = [set(_words(text)) for _, text in item.fields]
    return tuple(len(a & b) for a, b in combinations(fields, 2))


def _accuracy(train: Sequence[Item], scored: Sequence[Item], features: Features) -> float:
    """Accuracy of naive Bayes over the features that an item has; with none, of the majority."""
    items_of_class = Counter(item.target for item in train)
    counts: dict[str, Counter[Hashable]] = defaultdict(Counter)
    for item in train:
        counts[item.target].update(set(features(item)))
    known = {feature for counter in counts.values() for feature in counter}
    evidence = {
        target: {f: math.log((counts[target][f] + 0.5) / (total + 1)) for f in known}
        for target, total in items_of_class.items()
    }

    def predict(item: Item) -> str:
        seen = known.intersection(features(item))

        def log_odds(target: str) -> float:
            prior = math.log(items_of_class[target])
            # fsum: the same in whatever order the set gives the features
            return math.fsum([prior, *(evidence[target][feature] for feature in seen)])

        return max(items_of_class, key=log_odds)

    return sum(predict(item) == item.target for item in scored) / len(scored)
