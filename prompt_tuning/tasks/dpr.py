"""DPR: what does the pronoun refer to? For the multi-task baseline (Rahman and Ng, 2012)

Part of multi-task model tuning only, where it helps WSC. Source: T5's
`definite_pronoun_resolution_simple`; a right answer is the right candidate to the letter.
"""

import re

from prompt_tuning.tasks.base import (
    Example,
    HubDataset,
    Origin,
    Row,
    Task,
    class_id,
    parse_text,
    require,
    require_texts,
    text_example,
    with_class_id,
)


def to_examples(row: Row, training: bool) -> list[Example]:
    """The sentence with the first occurrence of its pronoun marked; the target is a candidate."""
    pronoun = re.escape(require(row, "pronoun", str))
    sentence = re.sub(rf" ({pronoun})( |\.|,)", r" *\1*\2", require(row, "sentence", str), count=1)
    candidates = require_texts(row, "candidates")
    label = class_id(row, candidates)
    answers = () if label is None else (candidates[label],)
    return text_example(sentence, answers, row.get("idx"))


def flatten(record: Row) -> list[Row]:
    """The row of an official record, which has "Ann, Eve" as candidates and a name as label."""
    candidates = record.get("candidates")
    if isinstance(candidates, str):
        record = {**record, "candidates": [name.strip() for name in candidates.split(",")]}
    return [with_class_id(record, require_texts(record, "candidates"))]


DPR = Task(
    "dpr",
    __doc__,
    origin=Origin(
        files={"train": ("DPR/train.c.txt",), "test": ("DPR/test.c.txt",)},
        hub=HubDataset(
            "community-datasets/definite_pronoun_resolution",
            "plain_text",
            None,  # no project was found that pins one
            {"train": "train", "test": "test"},
        ),
    ),
    t5_prefix="wsc:",
    metrics=("exact_text",),
    to_examples=to_examples,
    parse=parse_text,
    flatten=flatten,
)
