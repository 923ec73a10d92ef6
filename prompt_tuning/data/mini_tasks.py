"""The rows of the mini tasks, as the hub serves those of the real ones.

They are generated, not stored: the world whose text the embedded models were trained on gives the
same rows every time.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from prompt_tuning.tasks import Row, Task
from prompt_tuning.tasks.mini import MINI
from prompt_tuning.world import LADDER_WORLD, VERSION, Item, World, task_items


@dataclass(frozen=True)
class MiniSplit:
    """A split of a mini task, under the world's own names for both."""

    task: str
    split: str
    num_items: int  # at most; the world may have fewer


_LARGEST = {  # the world's name of a split, and the most items that it may have
    "train": ("train", 2000),
    "validation": ("dev", 400),
    "test": ("test", 800),
}
MINI_SPLITS = {
    task.name: {
        name: MiniSplit(task.name.removeprefix("mini_"), split, num_items)
        for name, (split, num_items) in _LARGEST.items()
    }
    for task in MINI
}


@cache
def mini_items(source: MiniSplit) -> tuple[Item, ...]:
    """Every item of a split, the classes equally frequent."""
    return tuple(task_items(World(LADDER_WORLD), source.task, source.split, source.num_items))


def mini_rows(task: Task, source: MiniSplit) -> list[Row]:
    """Every item of a split of `task` as a row."""
    return [_row(task, item, number) for number, item in enumerate(mini_items(source))]


def mini_provenance(rows: Sequence[Row]) -> dict[str, Any]:
    """Where rows of `mini_rows` come from, for the record of a run."""
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    return {
        "generator": "prompt_tuning.world",
        "version": VERSION,
        "world": asdict(LADDER_WORLD),
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
    }


def _row(task: Task, item: Item, number: int) -> Row:
    fields = dict(item.fields)
    if task.verbalizers:
        return {**fields, "idx": number, "label": task.verbalizers.index(item.target)}
    return {**fields, "id": str(number), "answers": {"text": [item.target]}}
