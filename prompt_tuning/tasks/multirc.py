"""MultiRC: is this answer to the question, given the paragraph, right? (Khashabi et al., 2018)"""

import re

from prompt_tuning.tasks.base import NO_LABEL, Row, require
from prompt_tuning.tasks.benchmarks import superglue
from prompt_tuning.tasks.classification import classification_task


def strip_markup(text: str) -> str:
    """The inputs without the HTML that marks the sentences of a paragraph."""
    return re.sub("</?b>", "", text.replace("<br>", " "))


def unnest(record: Row) -> list[Row]:
    """One row per answer of an official record, which holds a passage with its questions.

    Source: TFDS `super_glue/multirc`.
    """
    if "passage" not in record:
        return [record]
    passage = require(record, "passage", dict)
    return [
        {
            "paragraph": require(passage, "text", str),
            "question": require(question, "question", str),
            "answer": require(answer, "text", str),
            "label": answer.get("label", NO_LABEL),
            "idx": {
                "paragraph": require(record, "idx", int),
                "question": require(question, "idx", int),
                "answer": require(answer, "idx", int),
            },
        }
        for question in require(passage, "questions", list)
        for answer in require(question, "answers", list)
    ]


MULTIRC = classification_task(
    "multirc",
    __doc__,
    origin=superglue("MultiRC", "multirc"),
    fields=("question", "answer", "paragraph"),
    verbalizers=("False", "True"),
    metrics=("f1a", "exact_match_by_question"),
    clean=strip_markup,
    unnest=unnest,
    together=("paragraph",),
)
