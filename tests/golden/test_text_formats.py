"""Per task one literal row: what the model sees, in both formats, and what answers parse to.

The texts are what T5's preprocessors make of the rows (t5 0.9.4), with and without its task name.
"""

from dataclasses import dataclass
from typing import Any

import pytest

from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import Example, Prediction


@dataclass(frozen=True)
class Golden:
    """A row in the hub's schema, the same in the official one, and all that follows from it."""

    hub: dict[str, Any]
    official: dict[str, Any]
    t5_inputs: str
    examples: list[Example]  # in the taskless format
    parsed: dict[str, Prediction]  # by predicted text


GOLDEN = {
    "boolq": Golden(
        hub={
            "question": "is the zorb a type of ball",
            "passage": "Zorb -- A zorb is a large plastic ball.  It is used for rolling.",
            "idx": 7,
            "label": 1,
        },
        official={
            "question": "is the zorb a type of ball",
            "passage": "Zorb -- A zorb is a large plastic ball.  It is used for rolling.",
            "idx": 7,
            "label": True,
        },
        t5_inputs="boolq passage: Zorb -- A zorb is a large plastic ball.  It is used for rolling."
        " question: is the zorb a type of ball",
        examples=[
            Example(
                "passage: Zorb -- A zorb is a large plastic ball.  It is used for rolling."
                " question: is the zorb a type of ball",
                "True",
                idx=7,
                label=1,
            )
        ],
        parsed={"True": 1, "False": 0, "true": None, " True": None, "True.": None, "": None},
    ),
    "cb": Golden(
        hub={
            "premise": "A: I did not know that. B: Right.",
            "hypothesis": "she left early",
            "idx": 3,
            "label": 2,
        },
        official={
            "premise": "A: I did not know that. B: Right.",
            "hypothesis": "she left early",
            "label": "neutral",
            "idx": 3,
        },
        t5_inputs="cb hypothesis: she left early premise: A: I did not know that. B: Right.",
        examples=[
            Example(
                "hypothesis: she left early premise: A: I did not know that. B: Right.",
                "neutral",
                idx=3,
                label=2,
            )
        ],
        parsed={"entailment": 0, "contradiction": 1, "neutral": 2, "not_entailment": None},
    ),
    "copa": Golden(
        hub={
            "premise": "The cup fell off the table.",
            "choice1": "It broke.",
            "choice2": "It flew.",
            "question": "effect",
            "idx": 0,
            "label": 0,
        },
        official={
            "premise": "The cup fell off the table.",
            "choice1": "It broke.",
            "choice2": "It flew.",
            "question": "effect",
            "label": 0,
            "idx": 0,
        },
        t5_inputs="copa choice1: It broke. choice2: It flew. premise: The cup fell off the table."
        " question: effect",
        examples=[
            Example(
                "choice1: It broke. choice2: It flew. premise: The cup fell off the table."
                " question: effect",
                "choice1",
                idx=0,
                label=0,
            )
        ],
        parsed={"choice1": 0, "choice2": 1, "It broke.": None},
    ),
    "multirc": Golden(
        hub={
            "paragraph": "<b>Sent 1: </b>Ann has a cat.<br><b>Sent 2: </b>It is red.<br>",
            "question": "What colour <b>is</b> the cat?",
            "answer": "Red",
            "label": 1,
            "idx": {"paragraph": 5, "question": 31, "answer": 204},
        },
        official={
            "idx": 5,
            "version": 1.1,
            "passage": {
                "text": "<b>Sent 1: </b>Ann has a cat.<br><b>Sent 2: </b>It is red.<br>",
                "questions": [
                    {
                        "question": "What colour <b>is</b> the cat?",
                        "idx": 31,
                        "answers": [{"text": "Red", "idx": 204, "label": 1}],
                    }
                ],
            },
        },
        t5_inputs="multirc question: What colour is the cat? answer: Red"
        " paragraph: Sent 1: Ann has a cat. Sent 2: It is red. ",
        examples=[
            Example(
                "question: What colour is the cat? answer: Red"
                " paragraph: Sent 1: Ann has a cat. Sent 2: It is red. ",
                "True",
                idx={"paragraph": 5, "question": 31, "answer": 204},
                label=1,
            )
        ],
        parsed={"True": 1, "False": 0, "yes": None},
    ),
    "record": Golden(
        hub={
            "passage": "Milan lost to Rome.\n@highlight\nRoma won\n@highlight\n'It hurts'"
            "\n@highlight\nA draw?\n@highlight\nNo",
            "query": "Yesterday @placeholder beat Milan",
            "entities": ["Milan", "Roma", "Rome"],
            "answers": ["Roma", "Rome"],
            "idx": {"passage": 2, "query": 9},
        },
        official={
            "source": "Daily mail",
            "passage": {
                "text": "Milan lost to Rome.\n@highlight\nRoma won\n@highlight\n'It hurts'"
                "\n@highlight\nA draw?\n@highlight\nNo",
                "entities": [
                    {"start": 31, "end": 34},
                    {"start": 14, "end": 17},
                    {"start": 0, "end": 4},
                    {"start": 31, "end": 34},
                ],
            },
            "qas": [
                {
                    "query": "Yesterday @placeholder beat Milan",
                    "answers": [
                        {"start": 14, "end": 17, "text": "Rome"},
                        {"start": 31, "end": 34, "text": "Roma"},
                        {"start": 31, "end": 34, "text": "Roma"},
                    ],
                    "idx": 9,
                }
            ],
            "idx": 2,
        },
        t5_inputs="record query: Yesterday @placeholder beat Milan entities: Milan, Roma, Rome"
        " passage: Milan lost to Rome. Roma won. 'It hurts' A draw? No",
        examples=[
            Example(
                "query: Yesterday @placeholder beat Milan entities: Milan, Roma, Rome"
                " passage: Milan lost to Rome. Roma won. 'It hurts' A draw? No",
                "Roma",
                idx={"passage": 2, "query": 9},
                answers=("Roma", "Rome"),
            ),
            Example(
                "query: Yesterday @placeholder beat Milan entities: Milan, Roma, Rome"
                " passage: Milan lost to Rome. Roma won. 'It hurts' A draw? No",
                "Rome",
                idx={"passage": 2, "query": 9},
                answers=("Roma", "Rome"),
            ),
        ],
        parsed={"Roma": "Roma", "Lazio": "Lazio", "": None, "  ": None},
    ),
    "rte": Golden(
        hub={"premise": "A dog ran home.", "hypothesis": "A dog ran.", "idx": 1, "label": 0},
        official={
            "premise": "A dog ran home.",
            "hypothesis": "A dog ran.",
            "label": "entailment",
            "idx": 1,
        },
        t5_inputs="rte hypothesis: A dog ran. premise: A dog ran home.",
        examples=[
            Example("hypothesis: A dog ran. premise: A dog ran home.", "entailment", idx=1, label=0)
        ],
        parsed={"entailment": 0, "not_entailment": 1, "not entailment": None},
    ),
    "wic": Golden(
        hub={
            "word": "place",
            "sentence1": "Come to my place.",
            "sentence2": "There is no place for it.",
            "start1": 11,
            "start2": 12,
            "end1": 16,
            "end2": 17,
            "idx": 4,
            "label": 0,
        },
        official={
            "word": "place",
            "sentence1": "Come to my place.",
            "sentence2": "There is no place for it.",
            "idx": 4,
            "label": False,
            "start1": 11,
            "start2": 12,
            "end1": 16,
            "end2": 17,
            "version": 1.1,
        },
        t5_inputs="wic sentence1: Come to my place. sentence2: There is no place for it."
        " word: place",
        examples=[
            Example(
                "sentence1: Come to my place. sentence2: There is no place for it. word: place",
                "False",
                idx=4,
                label=0,
            )
        ],
        parsed={"True": 1, "False": 0, "place": None},
    ),
    "wsc": Golden(
        hub={
            "text": "The trophy does not fit in the suitcase because it is too big.",
            "span1_text": "The trophy",
            "span1_index": 0,
            "span2_text": "it",
            "span2_index": 9,
            "idx": 11,
            "label": 1,
        },
        official={
            "text": "The trophy does not fit in the suitcase because it is too big.",
            "target": {
                "span1_text": "the trophy",
                "span1_index": 0,
                "span2_text": "it",
                "span2_index": 9,
            },
            "idx": 11,
            "label": True,
        },
        t5_inputs="wsc: The trophy does not fit in the suitcase because *it* is too big.",
        examples=[
            Example(
                "The trophy does not fit in the suitcase because *it* is too big.",
                "The trophy",
                idx=11,
                label=1,
            )
        ],
        parsed={
            "The trophy": 1,
            "trophy": 1,
            "a big Trophy": 1,
            "the suitcase": 0,
            "the trophy's": 0,
            "": None,
            "the": None,
        },
    ),
    "sst2": Golden(
        hub={"sentence": "a gorgeous , witty film ", "label": 1, "idx": 0},
        official={"sentence": "a gorgeous , witty film ", "label": "1"},
        t5_inputs="sst2 sentence: a gorgeous , witty film ",
        examples=[Example("sentence: a gorgeous , witty film ", "positive", idx=0, label=1)],
        parsed={"positive": 1, "negative": 0, "Positive": None},
    ),
    "mrpc": Golden(
        hub={
            "sentence1": 'He said " so " .',
            "sentence2": "So he said .",
            "label": 1,
            "idx": 0,
        },
        official={
            "Quality": "1",
            "#1 ID": "702876",
            "#2 ID": "702977",
            "#1 String": 'He said " so " .',
            "#2 String": "So he said .",
        },
        t5_inputs='mrpc sentence1: He said " so " . sentence2: So he said .',
        examples=[
            Example(
                'sentence1: He said " so " . sentence2: So he said .', "equivalent", idx=0, label=1
            )
        ],
        parsed={"not_equivalent": 0, "equivalent": 1, "duplicate": None},
    ),
    "qqp": Golden(
        hub={"question1": "How so?", "question2": "Why not?", "label": 0, "idx": 0},
        official={
            "id": "133273",
            "qid1": "213221",
            "qid2": "213222",
            "question1": "How so?",
            "question2": "Why not?",
            "is_duplicate": "0",
        },
        t5_inputs="qqp question1: How so? question2: Why not?",
        examples=[
            Example("question1: How so? question2: Why not?", "not_duplicate", idx=0, label=0)
        ],
        parsed={"not_duplicate": 0, "duplicate": 1, "equivalent": None},
    ),
    "squad": Golden(
        hub={
            "id": "56be",
            "title": "Tower",
            "context": "The tower (built 1889) is 300m tall;  it's in"
            " Paris\u2014near Orl\u00e9ans.",
            "question": "When was the_tower built?",
            "answers": {"text": ["in 1889)", "1889"], "answer_start": [15, 17]},
        },
        official={
            "version": "1.1",
            "data": [
                {
                    "title": "Tower",
                    "paragraphs": [
                        {
                            "context": "The tower (built 1889) is 300m tall;  it's in"
                            " Paris\u2014near Orl\u00e9ans.",
                            "qas": [
                                {
                                    "id": "56be",
                                    "question": "When was the_tower built?",
                                    "answers": [
                                        {"text": "in 1889)", "answer_start": 15},
                                        {"text": "1889", "answer_start": 17},
                                    ],
                                }
                            ],
                        }
                    ],
                }
            ],
        },
        t5_inputs="question: When was the _ tower built ? context: The tower ( built 1889 ) is 300m"
        " tall ; it ' s in Paris\u2014near Orl\u00e9ans . ",
        examples=[
            Example(
                "question: When was the _ tower built ? context: The tower ( built 1889 ) is 300m"
                " tall ; it ' s in Paris\u2014near Orl\u00e9ans . ",
                "in 1889 ) ",
                idx="56be",
                answers=("in 1889 ) ", "1889"),
            )
        ],
        parsed={"1889": "1889", " ": None},
    ),
    "dpr": Golden(
        hub={
            "sentence": "Ann said she likes Eve because she helped, so she came.",
            "pronoun": "she",
            "candidates": ["Ann", "Eve"],
            "label": 1,
            "idx": 0,
        },
        official={
            "sentence": "Ann said she likes Eve because she helped, so she came.",
            "pronoun": "she",
            "candidates": "Ann, Eve",
            "label": "Eve",
        },
        t5_inputs="wsc: Ann said *she* likes Eve because she helped, so she came.",
        examples=[
            Example(
                "Ann said *she* likes Eve because she helped, so she came.",
                "Eve",
                idx=0,
                answers=("Eve",),
            )
        ],
        parsed={"Eve": "Eve", "eve": "eve", "": None},
    ),
}

MRQA = Golden(
    hub={
        "subset": "DuoRC",
        "context": "[PAR] [TLE] Heat [SEP] Neil robs a bank.",
        "qid": "a1",
        "question": "Who robs?",
        "answers": ["Neil", "Neil M."],
    },
    official={
        "id": "c1",
        "context": "[PAR] [TLE] Heat [SEP] Neil robs a bank.",
        "qas": [{"qid": "a1", "question": "Who robs?", "answers": ["Neil", "Neil M."]}],
    },
    t5_inputs="question: Who robs ? context: [ PAR ] [ TLE ] Heat [ SEP ] Neil robs a bank . ",
    examples=[
        Example(
            "question: Who robs ? context: [ PAR ] [ TLE ] Heat [ SEP ] Neil robs a bank . ",
            "Neil",
            idx="a1",
            answers=("Neil", "Neil M . "),
        )
    ],
    parsed={"Neil": "Neil"},
)
GOLDEN |= {name: MRQA for name in TASKS if name.startswith("mrqa_")}
GOLDEN |= {
    name: GOLDEN[name.removeprefix("mini_").removesuffix("_b")]
    for name in TASKS
    if name.startswith("mini_")
}

every_task = pytest.mark.parametrize("name", GOLDEN)


def test_every_task_has_a_golden_row():
    assert set(GOLDEN) == set(TASKS)


@every_task
def test_the_hub_row_gives_the_exact_text(name):
    golden, task = GOLDEN[name], TASKS[name]
    assert task.examples(golden.hub) == golden.examples


@every_task
def test_the_official_record_gives_what_the_hub_row_gives(name):
    golden, task = GOLDEN[name], TASKS[name]
    (row,) = task.flatten(golden.official)
    # A record without an identity of its own gets its row number when a file is read.
    assert task.examples({"idx": 0, **row}) == golden.examples


@every_task
def test_a_hub_row_is_flat_already(name):
    assert TASKS[name].flatten(GOLDEN[name].hub) == [GOLDEN[name].hub]


@every_task
def test_the_t5_format_has_the_task_name_in_front(name):
    golden = GOLDEN[name]
    for example in TASKS[name].examples(golden.hub, text_format="t5"):
        assert example.inputs == golden.t5_inputs


@every_task
def test_answers_are_parsed_to_the_letter(name):
    golden, task = GOLDEN[name], TASKS[name]
    parsed = {text: task.parse(text, golden.examples[0]) for text in golden.parsed}
    assert parsed == golden.parsed


def test_record_has_an_example_for_every_answer():
    """T5 makes one per accepted answer: 138,854 of 100,730 training queries."""
    examples = TASKS["record"].examples(GOLDEN["record"].hub)
    assert [e.targets for e in examples] == ["Roma", "Rome"]
    assert len({e.inputs for e in examples}) == 1


@pytest.mark.parametrize("name", ["boolq", "cb", "copa", "multirc", "rte", "wic", "qqp"])
def test_a_row_without_a_label_has_unk_as_target(name):
    row = {**GOLDEN[name].hub, "label": -1}
    (example,) = TASKS[name].examples(row)
    assert (example.targets, example.label, example.is_labelled) == ("<unk>", None, False)


def test_a_record_query_without_answers_has_unk_as_target():
    row = {**GOLDEN["record"].hub, "answers": []}
    (example,) = TASKS["record"].examples(row)
    assert (example.targets, example.answers, example.is_labelled) == ("<unk>", (), False)
