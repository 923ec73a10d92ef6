"""What a score on a mini task stands beside: its floor, a random model's score, the next runs."""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from itertools import combinations, pairwise
from typing import Any

from prompt_tuning.data.sources import Split
from prompt_tuning.ladder.items import Item
from prompt_tuning.ladder.mini_tasks import mini_items
from prompt_tuning.ladder.shipped_models import EMBEDDED_MODELS
from prompt_tuning.tasks import Task

Features = Callable[[Item], Iterable[Hashable]]


def floor_of(task: Task, scored: Split) -> dict[str, Any] | None:
    """Scores, in percent, that need no fact of the world: the majority's and the best shortcut's.

    They are accuracies; an answer of the mini SQuADs is one word, so that theirs are F1 as well.
    None where there is none on exactly these items: of no mini task, only the first of a split, or
    training items, which shortcuts are fitted on.
    """
    facts = scored.provenance
    is_whole = facts["num_examples"] == facts["num_rows"]
    if not task.is_embedded or facts["split"] not in ("validation", "test") or not is_whole:
        return None
    return floor(mini_items(task.name, "train"), mini_items(task.name, facts["split"]))


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


def random_control(model: str, task: str) -> float | None:
    """The test score, in percent, of a prompt on a frozen model of this shape with random weights.

    Measured when the embedded models were made (recipe mini, the mean over seeds); None if it was
    not, or if the model is no embedded one.
    """
    path = EMBEDDED_MODELS / model / "controls.json"
    if not path.exists():
        return None
    scores: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return scores.get(task)


def floor_line(floor: Mapping[str, Any], control: float | None) -> str:
    """What a score has to beat, in a line."""
    return (
        f"floor: majority {floor['majority']:.2f}, best shortcut {floor['shortcut']:.2f} "
        f"({floor['shortcut_name']})"
        + ("" if control is None else f", a random frozen model {control:.2f}")
    )


def next_commands(task: Task, model: str) -> list[str]:
    """Runs to try after one on a mini task: another task, the prompt's length, no LM adaptation."""
    other = "mini_sst2" if task.name == "mini_rte" else "mini_rte"
    same = f"model={model} task={task.name}" + ("" if task.init_words else " init=sampled_vocab")
    return [
        f"ptune train model={model} task={other}",
        f"ptune train -m {same} prompt.length=1,5,20,100",
        f"ptune train -m {same} variant=lm_adapted,span_corruption",
    ]
