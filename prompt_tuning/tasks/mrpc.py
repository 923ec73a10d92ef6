"""MRPC: do two sentences of the news say the same? (Dolan and Brockett, 2005)"""

from prompt_tuning.tasks.base import Row
from prompt_tuning.tasks.benchmarks import glue
from prompt_tuning.tasks.classification import classification_task, rename

OFFICIAL_COLUMNS = {"#1 String": "sentence1", "#2 String": "sentence2", "Quality": "label"}


def unnest(record: Row) -> list[Row]:
    """The row of a record of GLUE's TSV file."""
    return [rename(record, OFFICIAL_COLUMNS)]


MRPC = classification_task(
    "mrpc",
    __doc__,
    origin=glue("MRPC", "mrpc"),
    fields=("sentence1", "sentence2"),
    verbalizers=("not_equivalent", "equivalent"),
    metrics=("f1", "accuracy"),
    unnest=unnest,
)
