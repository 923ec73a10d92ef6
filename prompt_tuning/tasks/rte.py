"""RTE: does the premise entail the hypothesis? (Dagan et al., 2006, and its successors)"""

from prompt_tuning.tasks.classification import classification_task

RTE = classification_task(
    "rte",
    "RTE",
    fields=("hypothesis", "premise"),
    verbalizers=("entailment", "not_entailment"),
)
