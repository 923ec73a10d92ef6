"""SST-2: is the sentence of a film review positive or negative? (Socher et al., 2013)"""

from prompt_tuning.tasks.benchmarks import glue
from prompt_tuning.tasks.classification import classification_task

SST2 = classification_task(
    "sst2",
    __doc__,
    origin=glue("SST-2", "sst2"),
    fields=("sentence",),
    verbalizers=("negative", "positive"),
)
