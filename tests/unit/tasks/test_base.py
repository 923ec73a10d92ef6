"""What all tasks share: reading fields and labels, and saying what is wrong with them."""

import json

import pytest

from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import SUPERGLUE, RowError, as_json
from prompt_tuning.tasks.base import class_id

RTE_ROW = {"premise": "a", "hypothesis": "b", "label": 0, "idx": 5}


def examples_of(name, record):
    """The examples of a record, as a file of them is read."""
    return [e for row in TASKS[name].flatten(record) for e in TASKS[name].examples(row)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"premise": None}, "missing field 'premise'"),
        ({"premise": 7}, "field 'premise' is int, not str"),
        ({"label": 7}, r"label 7 is not in 0\.\.1 or entailment, not_entailment"),
        ({"label": "neutral"}, "label 'neutral' is not in"),
        ({"label": True}, "label 'True' is not in"),
        ({"label": [0]}, "label \\[0\\] is not in"),
    ],
)
def test_a_malformed_row_says_what_is_wrong(change, reason):
    with pytest.raises(RowError, match=reason):
        TASKS["rte"].examples({**RTE_ROW, **change})


@pytest.mark.parametrize("name", TASKS)
def test_an_empty_object_is_refused_by_every_task(name):
    with pytest.raises(RowError):
        examples_of(name, {})


@pytest.mark.parametrize(
    ("name", "record", "reason"),
    [
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
    ("label", "expected"), [(1, 1), ("1", 1), ("True", 1), (True, 1), (False, 0), (-1, None)]
)
def test_a_label_is_an_id_digits_a_name_or_a_boolean(label, expected):
    assert class_id({"label": label}, ("False", "True")) == expected


def test_a_row_without_a_label_field_is_a_test_row():
    assert class_id({}, ("False", "True")) is None


def test_columns_that_are_no_feature_of_the_task_are_ignored():
    """Official WiC rows have a version, hub rows do not: both must give the same text."""
    extended = {**RTE_ROW, "version": 1.1, "aaa": "x"}
    assert TASKS["rte"].examples(extended) == TASKS["rte"].examples(RTE_ROW)


def test_an_example_is_printable_as_json():
    (example,) = TASKS["rte"].examples(RTE_ROW)
    assert json.loads(json.dumps(as_json(example))) == {
        "inputs": "hypothesis: b premise: a",
        "targets": "entailment",
        "idx": 5,
        "label": 0,
        "answers": None,
    }


def test_names_are_keys_and_the_eight_are_superglue():
    assert all(name == task.name for name, task in TASKS.items())
    assert SUPERGLUE == ("boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc")


def test_initialisation_words_are_the_verbalizers_or_the_papers():
    """Footnote 7 of the paper gives words for the two tasks without classes."""
    for task in TASKS.values():
        if task.verbalizers:
            assert task.init_words == task.verbalizers
    assert TASKS["record"].init_words == ("commonsense", "reasoning", "reading", "comprehension")
    assert TASKS["wsc"].init_words == ("commonsense", "pronoun", "resolution")
    assert TASKS["squad"].init_words == ()
