"""RTE: does the premise entail the hypothesis? (Dagan et al., 2006, and its successors)"""

from prompt_tuning.tasks.benchmarks import superglue
from prompt_tuning.tasks.classification import classification_task

RTE = classification_task(
    "rte",
    __doc__,
    origin=superglue("RTE", "rte"),
    fields=("hypothesis", "premise"),
    verbalizers=("entailment", "not_entailment"),
)
