"""Sixty sentences in SST-2's format, written for this package and shipped with it.

They show that the wiring works on a machine without any data; a score on them says nothing.
"""

from prompt_tuning.tasks.classification import classification_task

DEMO = classification_task(
    "demo",
    "Wiring demo",
    fields=("sentence",),
    verbalizers=("negative", "positive"),
    t5_prefix="sst2",
)
