"""Every task and every mixture by name, and what the other packages use of them."""

from prompt_tuning.tasks.base import Example, Prediction, Row, RowError, Task, TextFormat, as_json
from prompt_tuning.tasks.dpr import DPR
from prompt_tuning.tasks.mini import MINI
from prompt_tuning.tasks.mixtures import MINI_SUPERGLUE_MIXTURE, SUPERGLUE_MIXTURE, Mixture
from prompt_tuning.tasks.mrpc import MRPC
from prompt_tuning.tasks.mrqa import MRQA, QUOREF
from prompt_tuning.tasks.qqp import QQP
from prompt_tuning.tasks.squad import SQUAD
from prompt_tuning.tasks.sst2 import SST2
from prompt_tuning.tasks.transfer import as_answer_of, can_transfer

__all__ = [
    "MIXTURES",
    "SUPERGLUE",
    "TASKS",
    "Example",
    "Mixture",
    "Prediction",
    "Row",
    "RowError",
    "Task",
    "TextFormat",
    "as_answer_of",
    "as_json",
    "can_transfer",
]

MIXTURES: dict[str, Mixture] = {
    mixture.name: mixture for mixture in (SUPERGLUE_MIXTURE, MINI_SUPERGLUE_MIXTURE)
}

SUPERGLUE: tuple[str, ...] = tuple(task.name for task in SUPERGLUE_MIXTURE.scored)

TASKS: dict[str, Task] = {
    task.name: task
    for task in (*SUPERGLUE_MIXTURE.scored, SST2, MRPC, QQP, SQUAD, QUOREF, *MRQA, DPR, *MINI)
}
