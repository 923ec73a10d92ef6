"""CB: does the hypothesis follow, contradict the premise, or neither? (de Marneffe et al., 2019)"""

from prompt_tuning.tasks.benchmarks import superglue
from prompt_tuning.tasks.classification import classification_task

CB = classification_task(
    "cb",
    __doc__,
    origin=superglue("CB", "cb"),
    fields=("hypothesis", "premise"),
    verbalizers=("entailment", "contradiction", "neutral"),
    metrics=("mean_3class_f1", "accuracy"),
)
