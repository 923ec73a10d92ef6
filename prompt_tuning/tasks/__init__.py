"""Every task by name, and what the other packages use of a task."""

from prompt_tuning.tasks.base import Example, Prediction, Row, RowError, Task, TextFormat, as_json
from prompt_tuning.tasks.boolq import BOOLQ
from prompt_tuning.tasks.cb import CB
from prompt_tuning.tasks.copa import COPA
from prompt_tuning.tasks.demo import DEMO
from prompt_tuning.tasks.dpr import DPR
from prompt_tuning.tasks.mini import MINI
from prompt_tuning.tasks.mrpc import MRPC
from prompt_tuning.tasks.mrqa import MRQA
from prompt_tuning.tasks.multirc import MULTIRC
from prompt_tuning.tasks.qqp import QQP
from prompt_tuning.tasks.record import RECORD
from prompt_tuning.tasks.rte import RTE
from prompt_tuning.tasks.squad import SQUAD
from prompt_tuning.tasks.sst2 import SST2
from prompt_tuning.tasks.wic import WIC
from prompt_tuning.tasks.wsc import WSC

__all__ = [
    "SUPERGLUE",
    "TASKS",
    "Example",
    "Prediction",
    "Row",
    "RowError",
    "Task",
    "TextFormat",
    "as_json",
]

_SUPERGLUE_TASKS = (BOOLQ, CB, COPA, MULTIRC, RECORD, RTE, WIC, WSC)

SUPERGLUE: tuple[str, ...] = tuple(task.name for task in _SUPERGLUE_TASKS)

TASKS: dict[str, Task] = {
    task.name: task for task in (*_SUPERGLUE_TASKS, SST2, MRPC, QQP, SQUAD, *MRQA, DPR, DEMO, *MINI)
}
