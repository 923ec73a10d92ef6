"""SST-2: is the sentence of a film review positive? (Socher et al., 2013)"""

from prompt_tuning.tasks.classification import classification_task

SST2 = classification_task(
    "sst2", "SST-2", fields=("sentence",), verbalizers=("negative", "positive")
)
