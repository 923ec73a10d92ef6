"""WiC: does the word mean the same in both sentences? (Pilehvar and Camacho-Collados, 2019)

T5 leaves out where in the sentences the word stands.
"""

from prompt_tuning.tasks.benchmarks import superglue
from prompt_tuning.tasks.classification import classification_task

WIC = classification_task(
    "wic",
    __doc__,
    origin=superglue("WiC", "wic"),
    fields=("sentence1", "sentence2", "word"),
    verbalizers=("False", "True"),
)
