"""Every task and every mixture by name: the paper's, and the ladder's mini tasks."""

from prompt_tuning.ladder.mini_tasks import MINI, MINI_SUPERGLUE_MIXTURE
from prompt_tuning.tasks import Mixture, Task
from prompt_tuning.tasks.dpr import DPR
from prompt_tuning.tasks.mixtures import SUPERGLUE_MIXTURE
from prompt_tuning.tasks.mrpc import MRPC
from prompt_tuning.tasks.mrqa import MRQA, QUOREF
from prompt_tuning.tasks.qqp import QQP
from prompt_tuning.tasks.squad import SQUAD
from prompt_tuning.tasks.sst2 import SST2

MIXTURES: dict[str, Mixture] = {
    mixture.name: mixture for mixture in (SUPERGLUE_MIXTURE, MINI_SUPERGLUE_MIXTURE)
}

TASKS: dict[str, Task] = {
    task.name: task
    for task in (*SUPERGLUE_MIXTURE.scored, SST2, MRPC, QQP, SQUAD, QUOREF, *MRQA, DPR, *MINI)
}
