"""FLAN's words for a task: one row in, the exact text and answers out (FLAN's first templates)."""

import pytest
from golden.test_text_formats import GOLDEN

from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import SUPERGLUE
from prompt_tuning.tasks.flan import INSTRUCTIONS, as_instruction

OPTIONS = " OPTIONS: - no - yes"
CONCLUDE = "Based on the paragraph above can we conclude that"
SEEN = {  # what differs from the golden row, the text and the answer
    "sst2": (
        {"sentence": "a joy"},
        "Review: a joy Is this movie review sentence negative or positive? "
        "OPTIONS: - negative - positive",
        "positive",
    ),
    "rte": ({}, f'A dog ran home. {CONCLUDE} "A dog ran."? OPTIONS: - yes - no', "yes"),
    "cb": (
        {"premise": "P"},
        f'P {CONCLUDE} "she left early"? OPTIONS: - Yes - No - It\'s impossible to say',
        "It's impossible to say",
    ),
    "boolq": (
        {"passage": "P", "question": "is a {zorb} round", "label": 0},
        f"P Can we conclude that is a {{zorb}} round?{OPTIONS}",
        "no",
    ),
    "multirc": (
        {"paragraph": "<b>Sent 1: </b>Ann<br>"},
        'Sent 1: Ann  Question: "What colour is the cat?" Response: "Red" '
        f"Does the response correctly answer the question?{OPTIONS}",
        "yes",
    ),
    "wic": (
        {"sentence1": "S1", "sentence2": "S2"},
        f'S1 S2 Does the word "place" mean the same thing in the above two sentences?{OPTIONS}',
        "no",
    ),
    "mrpc": (
        {"sentence1": "S1", "sentence2": "S2", "label": -1},
        f"Here are two sentences: S1 S2 Do they have the same meaning?{OPTIONS}",
        "<unk>",
    ),
    "qqp": (
        {"question1": "What is <b>?"},  # markup of MultiRC's alone
        f"What is <b>? Why not? Would you say that these questions are the same?{OPTIONS}",
        "no",
    ),
}


@pytest.mark.parametrize("name", SEEN)
def test_a_row_in_flans_words(name):
    change, inputs, targets = SEEN[name]
    task, row = as_instruction(TASKS[name]), GOLDEN[name].hub | change
    (example,) = task.examples(row)
    assert (example.inputs, example.targets) == (inputs, targets)
    assert example.label == (None if row["label"] == -1 else row["label"])
    assert task.metrics == TASKS[name].metrics
    for label, answer in enumerate(INSTRUCTIONS[name].answers):
        assert task.parse(answer, example) == label
    assert task.parse(TASKS[name].verbalizers[0] + "x", example) is None


def test_every_superglue_task_with_fixed_answers_has_a_text():
    assert SEEN.keys() == INSTRUCTIONS.keys()
    fixed = {name for name in SUPERGLUE if TASKS[name].verbalizers} - {"copa"}
    assert fixed <= INSTRUCTIONS.keys()
