"""Mixtures: tasks that one model is trained on jointly, in T5's text format with the task's name.

Examples are drawn in proportion to the tasks' numbers of training examples, as T5 counts them:
after preprocessing, so that ReCoRD has one for each accepted answer and WSC its label 1 alone.
"""

from dataclasses import dataclass

from prompt_tuning.tasks.base import Task
from prompt_tuning.tasks.boolq import BOOLQ
from prompt_tuning.tasks.cb import CB
from prompt_tuning.tasks.copa import COPA
from prompt_tuning.tasks.dpr import DPR
from prompt_tuning.tasks.multirc import MULTIRC
from prompt_tuning.tasks.record import RECORD
from prompt_tuning.tasks.rte import RTE
from prompt_tuning.tasks.wic import WIC
from prompt_tuning.tasks.wsc import WSC


@dataclass(frozen=True)
class Mixture:
    """Tasks that are trained on jointly; the mean of the scored ones' scores is the mixture's."""

    name: str
    about: str  # its first line says what is trained on
    scored: tuple[Task, ...]
    unscored: tuple[Task, ...] = ()  # training aids of the others
    report_split: str | None = None  # as `Task.report_split`

    @property
    def trained(self) -> tuple[Task, ...]:
        """Every task whose training split is part of the mixture."""
        return self.scored + self.unscored


# Source: Lester et al. (2021), footnote 4: SuperGLUE's eight with DPR, which helps WSC.
SUPERGLUE_MIXTURE = Mixture(
    "superglue",
    "SuperGLUE: its eight tasks jointly, with DPR to train on, for the multi-task baseline",
    scored=(BOOLQ, CB, COPA, MULTIRC, RECORD, RTE, WIC, WSC),
    unscored=(DPR,),
)

SUPERGLUE: tuple[str, ...] = tuple(task.name for task in SUPERGLUE_MIXTURE.scored)
