"""The mini tasks: real tasks' formats, asked about the invented world.

Closed-book: the answer is in the text that the embedded models were trained on, not in the inputs.
Their scores compare with no number of the paper. Rows are generated, not stored: the same world
gives the same rows every time.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

from prompt_tuning.ladder.items import Item, task_items
from prompt_tuning.ladder.world import LADDER_WORLD, VERSION, World
from prompt_tuning.tasks import Mixture, Row, Task
from prompt_tuning.tasks.boolq import BOOLQ
from prompt_tuning.tasks.copa import COPA
from prompt_tuning.tasks.rte import RTE
from prompt_tuning.tasks.squad import SQUAD
from prompt_tuning.tasks.sst2 import SST2
from prompt_tuning.tasks.wic import WIC

MINI = tuple(
    replace(real, name=f"mini_{name}", title=f"Mini {title}")
    for name, title, real in (
        ("squad", "SQuAD", SQUAD),
        ("squad_b", "SQuAD B", SQUAD),  # B: the world's other domain
        ("sst2", "SST-2", SST2),
        ("boolq", "BoolQ", BOOLQ),
        ("boolq_b", "BoolQ B", BOOLQ),
        ("rte", "RTE", RTE),
        ("wic", "WiC", WIC),
        ("copa", "COPA", COPA),
    )
)
_MINI = {task.name: task for task in MINI}

MINI_SUPERGLUE_MIXTURE = Mixture(
    "mini_superglue",
    scored=tuple(_MINI[f"mini_{name}"] for name in ("sst2", "boolq", "rte", "wic", "copa")),
)


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
        "generator": "prompt_tuning.world",  # the name that committed records give it
        "version": VERSION,
        "world": asdict(LADDER_WORLD),
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
    }


def _row(task: Task, item: Item, number: int) -> Row:
    fields = dict(item.fields)
    if task.verbalizers:
        return {**fields, "idx": number, "label": task.verbalizers.index(item.target)}
    return {**fields, "id": str(number), "answers": {"text": [item.target]}}
