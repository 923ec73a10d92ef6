"""CB: does the speaker of the premise commit to the hypothesis? (de Marneffe et al., 2019)"""

from prompt_tuning.tasks.classification import classification_task

CB = classification_task(
    "cb",
    "CB",
    fields=("hypothesis", "premise"),
    verbalizers=("entailment", "contradiction", "neutral"),
    metrics=("mean_3class_f1", "accuracy"),
)
