"""Tasks in the words of FLAN's instructions: what a FLAN-T5 was tuned to answer without examples.

Of FLAN's templates for a task, the first one (Wei et al., 2022; google-research/FLAN at 3770e83,
flan/templates.py). Line breaks are spaces, as T5's vocabulary reads them. COPA, ReCoRD, WSC and
SQuAD have other options in every row, or none, and no text here.
"""

from dataclasses import replace
from string import Formatter
from typing import NamedTuple

from prompt_tuning.tasks.base import (
    Example,
    Row,
    Task,
    class_example,
    class_parser,
    require,
)
from prompt_tuning.tasks.multirc import strip_markup


class Instruction(NamedTuple):
    """A template over the fields of a row, and the answers by class id."""

    template: str
    answers: tuple[str, ...]


_CONCLUDE = '{premise} Based on the paragraph above can we conclude that "{hypothesis}"?'
NO_YES = ("no", "yes")

INSTRUCTIONS = {
    "boolq": Instruction("{passage} Can we conclude that {question}?", NO_YES),
    "cb": Instruction(_CONCLUDE, ("Yes", "No", "It's impossible to say")),
    "mrpc": Instruction(
        "Here are two sentences: {sentence1} {sentence2} Do they have the same meaning?", NO_YES
    ),
    "multirc": Instruction(
        '{paragraph} Question: "{question}" Response: "{answer}" '
        "Does the response correctly answer the question?",
        NO_YES,
    ),
    "qqp": Instruction(
        "{question1} {question2} Would you say that these questions are the same?", NO_YES
    ),
    "rte": Instruction(_CONCLUDE, ("yes", "no")),
    "sst2": Instruction(
        "Review: {sentence} Is this movie review sentence negative or positive?",
        ("negative", "positive"),
    ),
    "wic": Instruction(
        '{sentence1} {sentence2} Does the word "{word}" mean the same thing in the above two '
        "sentences?",
        NO_YES,
    ),
}


def as_instruction(task: Task) -> Task:
    """The task, one of INSTRUCTIONS, with FLAN's text and answers; same labels, same metrics."""
    template, answers = INSTRUCTIONS[task.name]
    fields = [name for _, name, _, _ in Formatter().parse(template) if name]
    clean = strip_markup if task.name == "multirc" else str  # as T5 does
    options = "".join(f" - {answer}" for answer in answers)

    def to_examples(row: Row, training: bool) -> list[Example]:
        texts = {name: clean(require(row, name, str)) for name in fields}
        inputs = f"{template.format(**texts)} OPTIONS:{options}"
        labelled = task.to_examples(row, training)
        return [e for own in labelled for e in class_example(inputs, own.label, answers, own.idx)]

    parse = class_parser(answers)
    return replace(task, to_examples=to_examples, parse=parse, verbalizers=answers, t5_prefix="")
