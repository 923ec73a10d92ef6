"""BoolQ: is the answer to the question, given the passage, yes? (Clark et al., 2019)"""

from prompt_tuning.tasks.classification import classification_task

BOOLQ = classification_task(
    "boolq",
    "BoolQ",
    fields=("passage", "question"),
    verbalizers=("False", "True"),
    together=("passage",),
)
