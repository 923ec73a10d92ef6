"""What all tasks share: reading fields and labels, and saying what is wrong with them."""

import pytest

from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import RowError
from prompt_tuning.tasks.base import class_id

RTE_ROW = {"premise": "a", "hypothesis": "b", "label": 0, "idx": 5}


def examples_of(name, record):
    """The examples of a record, as a file of them is read."""
    return [e for row in TASKS[name].flatten(record) for e in TASKS[name].examples(row)]


@pytest.mark.parametrize(
    ("name", "record", "reason"),
    [
        *((name, {}, None) for name in TASKS),
        ("rte", {**RTE_ROW, "premise": None}, "missing field 'premise'"),
        ("rte", {**RTE_ROW, "premise": 7}, "field 'premise' is int, not str"),
        ("rte", {**RTE_ROW, "label": 7}, r"label 7 is not in 0\.\.1 or entailment, not_entailment"),
        ("rte", {**RTE_ROW, "label": "neutral"}, "label 'neutral' is not in"),
        ("rte", {**RTE_ROW, "label": True}, "label 'True' is not in"),
        ("rte", {**RTE_ROW, "label": [0]}, r"label \[0\] is not in"),
        ("multirc", {"idx": 0, "passage": "text"}, "'passage' is str, not dict"),
        ("multirc", {"idx": 0, "passage": {"text": "", "questions": ["?"]}}, "an object with"),
        ("record", {"idx": 0, "passage": {"text": "", "entities": [3]}, "qas": []}, "an object"),
        ("record", {"passage": "", "query": "", "entities": [1]}, "element that is not a text"),
        ("wsc", {"text": "a b", "target": []}, "'target' is list, not dict"),
        ("squad", {"context": "c", "qas": [{"id": "x7"}]}, "x7.*missing field 'question'"),
        ("squad", {"data": {}}, "'data' is dict, not list"),
        ("dpr", {"sentence": "s", "pronoun": "p", "candidates": 3}, "'candidates' is int"),
    ],
)
def test_a_malformed_record_says_what_is_wrong(name, record, reason):
    with pytest.raises(RowError, match=reason):
        examples_of(name, record)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        *(({"label": label}, 1) for label in (1, "1", "True", True)),
        *((row, None) for row in ({"label": -1}, {})),
        ({"label": False}, 0),
    ],
)
def test_a_label_is_an_id_digits_a_name_or_a_boolean_and_a_test_row_has_none(row, expected):
    assert class_id(row, ("False", "True")) == expected


def test_columns_that_are_no_feature_of_the_task_are_ignored():
    """Official WiC rows have a version, hub rows do not: both must give the same text."""
    extended = {**RTE_ROW, "version": 1.1, "aaa": "x"}
    assert TASKS["rte"].examples(extended) == TASKS["rte"].examples(RTE_ROW)


def test_initialisation_words_are_the_verbalizers_or_the_papers():
    """Footnote 7 of the paper gives words for the two tasks without classes."""
    for task in TASKS.values():
        if task.verbalizers:
            assert task.init_words == task.verbalizers
    assert TASKS["record"].init_words == ("commonsense", "reasoning", "reading", "comprehension")
    assert TASKS["wsc"].init_words == ("commonsense", "pronoun", "resolution")
    assert TASKS["squad"].init_words == ()
