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
    official: dict[str, Any]  # what differs from the hub's row, or the whole record
    t5_name: str  # in front of the inputs in T5's own format
    inputs: str
    targets: tuple[str, ...]  # of free text: every accepted answer
    parsed: dict[str, Prediction]  # by predicted text
    is_whole: bool = False  # `official` is
    has_example_per_target: bool = False

    @property
    def examples(self):
        """In the taskless format."""
        idx = next(self.hub[key] for key in ("idx", "id", "qid") if key in self.hub)
        is_free = "answers" in self.hub or "candidates" in self.hub
        label, answers = (None, self.targets) if is_free else (self.hub["label"], None)
        made = [Example(self.inputs, target, idx, label, answers) for target in self.targets]
        return made if self.has_example_per_target else made[:1]

    @property
    def record(self):
        """The official record."""
        return self.official if self.is_whole else self.hub | self.official


ZORB = "Zorb -- A zorb is a large plastic ball.  It is used for rolling."
CAT = "<b>Sent 1: </b>Ann has a cat.<br><b>Sent 2: </b>It is red.<br>"
COLOUR = "What colour <b>is</b> the cat?"
MILAN = (
    "Milan lost to Rome.\n@highlight\nRoma won\n@highlight\n'It hurts'"
    "\n@highlight\nA draw?\n@highlight\nNo"
)
WON = "Yesterday @placeholder beat Milan"
TROPHY = "The trophy does not fit in the suitcase because it is too big."
SPANS = {"span1_text": "The trophy", "span1_index": 0, "span2_text": "it", "span2_index": 9}
TOWER = "The tower (built 1889) is 300m tall;  it's in Paris\u2014near Orl\u00e9ans."
BUILT = {
    "id": "56be",
    "question": "When was the_tower built?",
    "answers": [{"text": text, "answer_start": 15} for text in ("in 1889)", "1889")],
}
RED = {"text": "Red", "idx": 204, "label": 1}
HEAT = "[PAR] [TLE] Heat [SEP] Neil robs a bank."

GOLDEN = {
    "boolq": Golden(
        hub={"question": "is the zorb a type of ball", "passage": ZORB, "idx": 7, "label": 1},
        official={"label": True},
        t5_name="boolq ",
        inputs=f"passage: {ZORB} question: is the zorb a type of ball",
        targets=("True",),
        parsed={"True": 1, "False": 0, "true": None, " True": None, "True.": None, "": None},
    ),
    "cb": Golden(
        hub={"premise": "A: Oh. B: Right.", "hypothesis": "she left early", "idx": 3, "label": 2},
        official={"label": "neutral"},
        t5_name="cb ",
        inputs="hypothesis: she left early premise: A: Oh. B: Right.",
        targets=("neutral",),
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
        official={},
        t5_name="copa ",
        inputs="choice1: It broke. choice2: It flew. premise: The cup fell off the table."
        " question: effect",
        targets=("choice1",),
        parsed={"choice1": 0, "choice2": 1, "It broke.": None},
    ),
    "multirc": Golden(
        hub={
            "paragraph": CAT,
            "question": COLOUR,
            "answer": "Red",
            "label": 1,
            "idx": {"paragraph": 5, "question": 31, "answer": 204},
        },
        official={
            "idx": 5,
            "version": 1.1,
            "passage": {
                "text": CAT,
                "questions": [{"question": COLOUR, "idx": 31, "answers": [RED]}],
            },
        },
        t5_name="multirc ",
        inputs="question: What colour is the cat? answer: Red"
        " paragraph: Sent 1: Ann has a cat. Sent 2: It is red. ",
        targets=("True",),
        parsed={"True": 1, "False": 0, "yes": None},
        is_whole=True,
    ),
    "record": Golden(
        hub={
            "passage": MILAN,
            "query": WON,
            "entities": ["Milan", "Roma", "Rome"],
            "answers": ["Roma", "Rome"],
            "idx": {"passage": 2, "query": 9},
        },
        official={
            "source": "Daily mail",
            "passage": {
                "text": MILAN,
                "entities": [
                    {"start": at, "end": end} for at, end in ((31, 34), (14, 17), (0, 4), (31, 34))
                ],
            },
            "qas": [
                {"query": WON, "answers": [{"text": t} for t in ("Rome", "Roma", "Roma")], "idx": 9}
            ],
            "idx": 2,
        },
        t5_name="record ",
        inputs="query: Yesterday @placeholder beat Milan entities: Milan, Roma, Rome"
        " passage: Milan lost to Rome. Roma won. 'It hurts' A draw? No",
        targets=("Roma", "Rome"),  # T5: 138,854 examples of 100,730 training queries
        parsed={"Roma": "Roma", "Lazio": "Lazio", "": None, "  ": None},
        is_whole=True,
        has_example_per_target=True,
    ),
    "rte": Golden(
        hub={"premise": "A dog ran home.", "hypothesis": "A dog ran.", "idx": 1, "label": 0},
        official={"label": "entailment"},
        t5_name="rte ",
        inputs="hypothesis: A dog ran. premise: A dog ran home.",
        targets=("entailment",),
        parsed={"entailment": 0, "not_entailment": 1, "not entailment": None},
    ),
    "wic": Golden(
        hub={
            "word": "place",
            "sentence1": "Come to my place.",
            "sentence2": "There is no place for it.",
            "idx": 4,
            "label": 0,
        },
        official={"label": False, "version": 1.1},
        t5_name="wic ",
        inputs="sentence1: Come to my place. sentence2: There is no place for it. word: place",
        targets=("False",),
        parsed={"True": 1, "False": 0, "place": None},
    ),
    "wsc": Golden(
        hub={"text": TROPHY, **SPANS, "idx": 11, "label": 1},
        official={
            "text": TROPHY,
            "target": SPANS | {"span1_text": "the trophy"},
            "idx": 11,
            "label": True,
        },
        t5_name="wsc: ",
        inputs="The trophy does not fit in the suitcase because *it* is too big.",
        targets=("The trophy",),
        parsed={
            "The trophy": 1,
            "trophy": 1,
            "a big Trophy": 1,
            "the suitcase": 0,
            "the trophy's": 0,
            "": None,
            "the": None,
        },
        is_whole=True,
    ),
    "sst2": Golden(
        hub={"sentence": "a gorgeous , witty film ", "label": 1, "idx": 0},
        official={"label": "1"},
        t5_name="sst2 ",
        inputs="sentence: a gorgeous , witty film ",
        targets=("positive",),
        parsed={"positive": 1, "negative": 0, "Positive": None},
    ),
    "mrpc": Golden(
        hub={"sentence1": 'He said " so " .', "sentence2": "So he said .", "label": 1, "idx": 0},
        official={
            "Quality": "1",
            "#1 ID": "702876",
            "#1 String": 'He said " so " .',
            "#2 String": "So he said .",
        },
        t5_name="mrpc ",
        inputs='sentence1: He said " so " . sentence2: So he said .',
        targets=("equivalent",),
        parsed={"not_equivalent": 0, "equivalent": 1, "duplicate": None},
        is_whole=True,
    ),
    "qqp": Golden(
        hub={"question1": "How so?", "question2": "Why not?", "label": 0, "idx": 0},
        official={
            "id": "133273",
            "question1": "How so?",
            "question2": "Why not?",
            "is_duplicate": "0",
        },
        t5_name="qqp ",
        inputs="question1: How so? question2: Why not?",
        targets=("not_duplicate",),
        parsed={"not_duplicate": 0, "duplicate": 1, "equivalent": None},
        is_whole=True,
    ),
    "squad": Golden(
        hub={
            "id": "56be",
            "title": "Tower",
            "context": TOWER,
            "question": "When was the_tower built?",
            "answers": {"text": ["in 1889)", "1889"], "answer_start": [15, 17]},
        },
        official={
            "version": "1.1",
            "data": [{"title": "Tower", "paragraphs": [{"context": TOWER, "qas": [BUILT]}]}],
        },
        t5_name="",
        inputs="question: When was the _ tower built ? context: The tower ( built 1889 ) is 300m"
        " tall ; it ' s in Paris\u2014near Orl\u00e9ans . ",
        targets=("in 1889 ) ", "1889"),
        parsed={"1889": "1889", " ": None},
        is_whole=True,
    ),
    "mrqa_race": Golden(
        hub={
            "subset": "RACE",
            "context": HEAT,
            "qid": "a1",
            "question": "Who robs?",
            "answers": ["Neil", "Neil M."],
        },
        official={
            "id": "c1",
            "context": HEAT,
            "qas": [{"qid": "a1", "question": "Who robs?", "answers": ["Neil", "Neil M."]}],
        },
        t5_name="",
        inputs="question: Who robs ? context: [ PAR ] [ TLE ] Heat [ SEP ] Neil robs a bank . ",
        targets=("Neil", "Neil M . "),
        parsed={"Neil": "Neil"},
        is_whole=True,
    ),
    "dpr": Golden(
        hub={
            "sentence": "Ann said she likes Eve because she helped, so she came.",
            "pronoun": "she",
            "candidates": ["Ann", "Eve"],
            "label": 1,
            "idx": 0,
        },
        official={"candidates": "Ann, Eve", "label": "Eve"},
        t5_name="wsc: ",
        inputs="Ann said *she* likes Eve because she helped, so she came.",
        targets=("Eve",),
        parsed={"Eve": "Eve", "eve": "eve", "": None},
    ),
}


def golden_of(name):
    """Of a task with another's format, that one's."""
    real = name.removeprefix("mini_").removesuffix("_b")
    same = {"quoref": "squad"} | {task: "mrqa_race" for task in TASKS if task.startswith("mrqa_")}
    return GOLDEN[same.get(real, real)]


every_task = pytest.mark.parametrize("name", TASKS)


@every_task
def test_the_hub_row_gives_the_exact_text_in_both_formats(name):
    golden, task = golden_of(name), TASKS[name]
    assert task.examples(golden.hub) == golden.examples
    for example in task.examples(golden.hub, text_format="t5"):
        assert example.inputs == golden.t5_name + golden.inputs


@every_task
def test_the_official_record_gives_what_the_hub_row_gives(name):
    golden, task = golden_of(name), TASKS[name]
    (row,) = task.flatten(golden.record)
    assert "target" not in row  # WSC's, as it was before its spans were mended
    # A record without an identity of its own gets its row number when a file is read.
    assert task.examples({"idx": 0, **row}) == golden.examples
    for flat in (row, golden.hub):
        assert task.flatten(flat) == [flat]


@every_task
def test_answers_are_parsed_to_the_letter(name):
    golden, task = golden_of(name), TASKS[name]
    assert {text: task.parse(text, golden.examples[0]) for text in golden.parsed} == golden.parsed


@pytest.mark.parametrize("name", [name for name in GOLDEN if name != "wsc"])
def test_a_row_without_a_label_or_answers_has_unk_as_target(name):
    (example,) = TASKS[name].examples(GOLDEN[name].hub | {"label": -1, "answers": []})
    assert (example.targets, example.label, example.is_labelled) == ("<unk>", None, False)
