"""QQP: do two questions on Quora ask the same? (GLUE, Wang et al., 2019)"""

from prompt_tuning.tasks.base import CUT_OFF, Row
from prompt_tuning.tasks.benchmarks import glue
from prompt_tuning.tasks.classification import classification_task


def unnest(record: Row) -> list[Row]:
    """The row of a record of GLUE's TSV file; none of a record that a line break cut short.

    Source: TFDS `glue/qqp` leaves such records out, and those with an empty label.
    """
    return [] if CUT_OFF in record.values() else [record]


QQP = classification_task(
    "qqp",
    __doc__,
    origin=glue("QQP", "qqp"),
    fields=("question1", "question2"),
    verbalizers=("not_duplicate", "duplicate"),
    metrics=("f1", "accuracy"),
    unnest=unnest,
    official_columns={"is_duplicate": "label"},
    dropped_because="QQP: cut short by a line break in the official file, or without a label",
)
