"""What the other packages use of the tasks; `prompt_tuning.task_registry` has them by name."""

from prompt_tuning.tasks.base import (
    SPLITS,
    Example,
    HubDataset,
    Origin,
    Prediction,
    Row,
    RowError,
    Task,
    TextFormat,
)
from prompt_tuning.tasks.mixtures import SUPERGLUE, Mixture
from prompt_tuning.tasks.transfer import as_answer_of, can_transfer, in_other_words

__all__ = [
    "SPLITS",
    "SUPERGLUE",
    "Example",
    "HubDataset",
    "Mixture",
    "Origin",
    "Prediction",
    "Row",
    "RowError",
    "Task",
    "TextFormat",
    "as_answer_of",
    "can_transfer",
    "in_other_words",
]
