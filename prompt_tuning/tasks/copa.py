"""COPA: which choice is the cause, or the effect, of the premise? (Roemmele et al., 2011)"""

from prompt_tuning.tasks.benchmarks import superglue
from prompt_tuning.tasks.classification import classification_task

COPA = classification_task(
    "copa",
    __doc__,
    origin=superglue("COPA", "copa"),
    fields=("choice1", "choice2", "premise", "question"),
    verbalizers=("choice1", "choice2"),
)
