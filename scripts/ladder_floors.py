#!/usr/bin/env python
"""Measures the floors of the mini tasks, which need no fact of the world, for ladder/floors.json.

    python scripts/ladder_floors.py

Again whenever the world or a mini task changes: a test compares the file with what is measured.
"""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from itertools import combinations, pairwise
from typing import Any

from prompt_tuning.ladder.baselines import FLOORS
from prompt_tuning.ladder.items import Item
from prompt_tuning.ladder.mini_tasks import MINI, mini_items

Features = Callable[[Item], Iterable[Hashable]]


def main() -> None:
    """Writes the file, in full digits."""
    floors = {task.name: floors_of(task.name) for task in MINI}
    FLOORS.write_text(json.dumps(floors, indent=1) + "\n", encoding="utf-8")


def floors_of(name: str) -> dict[str, dict[str, Any]]:
    """The floors of a mini task on both splits that are scored."""
    train = mini_items(name, "train")
    return {split: floor(train, mini_items(name, split)) for split in ("validation", "test")}


def floor(train: Sequence[Item], scored: Sequence[Item]) -> dict[str, Any]:
    """The majority class and the best surface shortcut, in percent.

    Shortcuts are fitted on training items, which speak of other entities. Which one is best is seen
    on `scored` itself, so luck can only raise the floor.
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
    return {
        "majority": 100 * _accuracy(train, scored, lambda item: []),
        "shortcut": 100 * scores[best],
        "shortcut_name": best,
    }


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


if __name__ == "__main__":
    main()
