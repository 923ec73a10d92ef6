"""Rows from strangers: whatever JSON holds gives examples or a reason, in every task."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from golden.test_text_formats import golden_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import RowError

WITH_CODE_OF_THEIR_OWN = ("boolq", "dpr", "multirc", "record", "wsc", "mrpc", "squad", "qqp")
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["\ud83d", "", "a </s> b", "<extra_id_0>", "x" * 5000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def places_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a record, its own (()) first."""
    yield path
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places_in(part, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    """A copy of a record with another value at a path."""
    if not path:
        return by
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


@pytest.mark.parametrize("name", WITH_CODE_OF_THEIR_OWN)
@settings(max_examples=200, deadline=None, suppress_health_check=[*HealthCheck])
@given(data=st.data())
def test_a_record_with_anything_anywhere_gives_examples_or_a_reason(
    name: str, data: st.DataObject
) -> None:
    """Every value of an official record and of a hub row, in its place: any other JSON value."""
    golden, task = golden_of(name), TASKS[name]
    record = data.draw(st.sampled_from([golden.record, golden.hub]))
    path = data.draw(st.sampled_from([*places_in(record)][1:]))
    record = replaced(record, path, data.draw(ANYTHING))
    try:
        examples = [e for row in task.flatten(record) for e in task.examples({"idx": 0, **row})]
    except RowError:
        return
    for example in examples:
        (example.inputs + example.targets).encode()
        json.dumps(example.idx)


@pytest.mark.parametrize("name", ["boolq", "sst2", "multirc", "mini_sst2", "wsc"])
def test_a_null_label_is_no_label(name: str) -> None:
    """As pandas writes a test set."""
    (example,) = TASKS[name].examples({**golden_of(name).hub, "label": None})
    assert not example.is_labelled


def test_an_unanswerable_question_is_refused() -> None:
    """SQuAD 2.0 would be scored on its answerable half without a word."""
    answers = {"text": [], "answer_start": []}
    question = {"id": "1", "question": "q", "answers": [], "is_impossible": True}
    with pytest.raises(RowError, match=r"question .*: it has no answer .*SQuAD 2\.0"):
        TASKS["squad"].flatten({"data": [{"paragraphs": [{"context": "c", "qas": [question]}]}]})
    flat = {"id": "1", "question": "q", "context": "c", "answers": answers, "is_impossible": True}
    with pytest.raises(RowError, match=r"SQuAD 2\.0"):
        TASKS["squad"].examples(flat)
