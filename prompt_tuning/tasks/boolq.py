"""BoolQ: is the answer to the question, given the passage, yes? (Clark et al., 2019)"""

from prompt_tuning.tasks.benchmarks import superglue
from prompt_tuning.tasks.classification import classification_task

BOOLQ = classification_task(
    "boolq",
    __doc__,
    origin=superglue("BoolQ", "boolq"),
    fields=("passage", "question"),
    verbalizers=("False", "True"),
    together=("passage",),
)
