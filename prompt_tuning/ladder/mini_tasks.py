"""The mini tasks: real tasks' formats, asked about the invented world.

Closed-book: the answer is in the text that the embedded models were trained on, not in the inputs.
Their scores compare with no number of the paper. Rows are generated, not stored: the same world
gives the same rows every time.
"""

import hashlib
import json
from dataclasses import asdict, replace
from functools import cache, partial
from typing import Any

from prompt_tuning.ladder.items import Item, task_items
from prompt_tuning.ladder.world import LADDER_WORLD, VERSION, World
from prompt_tuning.tasks import Mixture, Origin, Row, Task
from prompt_tuning.tasks.boolq import BOOLQ
from prompt_tuning.tasks.copa import COPA
from prompt_tuning.tasks.rte import RTE
from prompt_tuning.tasks.squad import SQUAD
from prompt_tuning.tasks.sst2 import SST2
from prompt_tuning.tasks.wic import WIC

_WORLD_SPLITS = {  # the world's name of a split, and the most items that it may have
    "train": ("train", 2000),
    "validation": ("dev", 400),
    "test": ("test", 800),
}


@cache
def mini_items(name: str, split: str) -> tuple[Item, ...]:
    """Every item of a split of a mini task, the classes equally frequent."""
    world_split, num_items = _WORLD_SPLITS[split]
    name = name.removeprefix("mini_")
    return tuple(task_items(World(LADDER_WORLD), name, world_split, num_items))


def _generate(name: str, real: Task, split: str) -> tuple[list[Row], dict[str, Any]]:
    """The items as the hub serves rows of the real task, and where they come from."""
    rows: list[Row] = []
    for number, item in enumerate(mini_items(name, split)):
        answer: Row = {"id": str(number), "answers": {"text": [item.target]}}
        if real.verbalizers:
            answer = {"idx": number, "label": real.verbalizers.index(item.target)}
        rows.append({**dict(item.fields), **answer})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    return rows, {
        "generator": "prompt_tuning.world",  # the name that committed records give it
        "version": VERSION,
        "world": asdict(LADDER_WORLD),
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
    }


def _mini(name: str, real: Task, about: str) -> Task:
    origin = Origin(generate=partial(_generate, name, real))
    return replace(real, name=name, about=about, origin=origin, report_split="test")


MINI = (
    _mini("mini_squad", SQUAD, "Mini SQuAD: what an invented creature is, eats, feels"),
    _mini("mini_squad_b", SQUAD, "Mini SQuAD B: mini_squad on engines, the world's other domain"),
    _mini("mini_sst2", SST2, "Mini SST-2: is an invented creature of good or ill humour?"),
    _mini("mini_boolq", BOOLQ, "Mini BoolQ: is a fact of a creature as the question says?"),
    _mini("mini_boolq_b", BOOLQ, "Mini BoolQ B: mini_boolq on engines, the world's other domain"),
    _mini("mini_rte", RTE, "Mini RTE: does it follow from the class of an invented creature?"),
    _mini("mini_wic", WIC, "Mini WiC: does an invented word mean the same in both sentences?"),
    _mini("mini_copa", COPA, "Mini COPA: which of two things is of the premise's topic?"),
)
MINI_SUPERGLUE_MIXTURE = Mixture(
    "mini_superglue",
    "Mini SuperGLUE: the five mini tasks with classes jointly, for the multi-task baseline",
    scored=tuple(task for task in MINI if task.verbalizers and task.name != "mini_boolq_b"),
    report_split="test",
)
