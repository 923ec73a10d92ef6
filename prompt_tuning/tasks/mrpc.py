"""MRPC: do two sentences of the news say the same? (Dolan and Brockett, 2005)"""

from prompt_tuning.tasks.benchmarks import glue
from prompt_tuning.tasks.classification import classification_task

MRPC = classification_task(
    "mrpc",
    __doc__,
    origin=glue("MRPC", "mrpc"),
    fields=("sentence1", "sentence2"),
    verbalizers=("not_equivalent", "equivalent"),
    metrics=("f1", "accuracy"),
    official_columns={"#1 String": "sentence1", "#2 String": "sentence2", "Quality": "label"},
)
