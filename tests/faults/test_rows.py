"""Rows from strangers: whatever JSON holds gives examples or a reason, in every task."""

import gzip
import json
import math
import os
from itertools import islice

import numpy as np
import pytest
from datasets import Dataset
from golden.test_text_formats import golden_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from quick_runs import ON_LADDER, lines_of

from prompt_tuning.data.official_files import read_records
from prompt_tuning.errors import UserError
from prompt_tuning.prompt_files import save_prompt
from prompt_tuning.rows import read_rows
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


def places_in(value, path=()):
    """The path of every value in a record, its own (()) first."""
    yield path
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places_in(part, (*path, key))


def replaced(value, path, by):
    """A copy of a record with another value at a path."""
    if not path:
        return by
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


@pytest.mark.parametrize("name", WITH_CODE_OF_THEIR_OWN)
@settings(max_examples=200, deadline=None, suppress_health_check=[*HealthCheck])
@given(data=st.data())
def test_a_record_with_anything_anywhere_gives_examples_or_a_reason(name, data):
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


@pytest.mark.parametrize("label", [None, math.nan, "", -1, -1.0, "-1", "-1.0"])
@pytest.mark.parametrize("name", ["boolq", "sst2", "multirc", "mini_sst2", "wsc"])
def test_a_null_label_is_no_label(name, label):
    """As pandas writes a test set: as JSON or as a table."""
    (example,) = TASKS[name].examples({**golden_of(name).hub, "label": label})
    assert not example.is_labelled


@pytest.mark.parametrize("label", [1, 1.0, "1", "1.0", "positive"])
def test_a_label_is_known_in_every_spelling_of_other_programs(label):
    (example,) = TASKS["sst2"].examples({**golden_of("sst2").hub, "label": label})
    assert example.is_labelled and example.targets == "positive"


def test_a_blank_line_of_a_table_is_skipped(tmp_path):
    path = tmp_path / "dev.tsv"
    path.write_text("sentence\tlabel\na\t1\n\t\n   \nb\t\n\n\r\n")
    assert [record for _, record in read_records(path)] == [
        {"sentence": "a", "label": "1"},
        {"sentence": "b", "label": ""},
    ]


def test_an_unanswerable_question_is_refused():
    """SQuAD 2.0 would be scored on its answerable half without a word."""
    answers = {"text": [], "answer_start": []}
    question = {"id": "1", "question": "q", "answers": [], "is_impossible": True}
    with pytest.raises(RowError, match=r"question .*: it has no answer .*SQuAD 2\.0"):
        TASKS["squad"].flatten({"data": [{"paragraphs": [{"context": "c", "qas": [question]}]}]})
    flat = {"id": "1", "question": "q", "context": "c", "answers": answers, "is_impossible": True}
    with pytest.raises(RowError, match=r"SQuAD 2\.0"):
        TASKS["squad"].examples(flat)


# Bytes of a line of input -> why it has no answer, None: it has one.
LINES = {
    b'{"inputs": "a joy to watch"}': None,
    b'{"inputs": ""}': None,
    b'{"inputs": "a </s> b <extra_id_0> <pad>"}': None,
    b'{"inputs": "\\u0000"}': None,
    b"{'inputs': 'x'}": "Expecting property name",
    b'{"prompt": "another", "inputs": "x"}': None,  # prompt= is for every row
    b'{"prompt": null, "inputs": "x", "id": 7}': None,
    b'{"prompt": ["a"], "inputs": "x"}': None,
    b'{"inputs": "x", "error": "no network", "prediction": "y", "id": 8}': None,
    b'{"inputs": "\\ud83d"}': "surrogate",
    b'{"inputs": "x", "n": 1e999}': "not JSON compliant",
    b'{"inputs": "x", "n": [NaN]}': None,
    b'{"inputs": "x", "n": -Infinity}': "not JSON compliant",
    b'{"inputs": "x", "n": ' + b"9" * 5000 + b"}": "digits",
    b'{"inputs": "\xff"}': "can't decode",
    b"\xff\xfe": "can't decode",
    b"[" * 100_000: "a JSON array where an object belongs",
    b'{"a":' * 50_000: "nested too deep",
    b"null": "a NoneType where an object belongs",
    b'["inputs"]': "a JSON array where an object belongs",
    b"": "Expecting value",
    b'{"row": {"sentence": {"a": []}}}': "sentence",
    b'{"inputs": ["x"]}': "inputs",
    b'{"inputs": "' + b"x " * 100_000 + b'"}': "max_input_tokens=1000",
    b'{"inputs": "last"}': None,
}


def test_any_line_of_input_is_answered_or_gets_its_error_and_the_rest_goes_on(ptune, tmp_path):
    """Started again after any answer, also in the middle of a line, the same comes out."""
    save_prompt(tmp_path / "p.safetensors", np.ones((2, 32), np.float32), ON_LADDER)
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(LINES))
    command = ["predict", "prompt=p.safetensors", "input=rows.jsonl", "max_input_tokens=1000"]
    said = ptune(*command, "output=whole.jsonl", status=2).err
    num_wrong = sum(reason is not None for reason in LINES.values())
    assert f"{num_wrong} of {len(LINES)} rows have no answer" in said
    answers = lines_of(tmp_path / "whole.jsonl")
    for (line, reason), answer in zip(LINES.items(), answers, strict=True):
        assert ("error" in answer) != ("prediction" in answer) == (reason is None), line
        assert (reason or "") in answer.get("error", ""), line
    assert [each.get("id") for each in answers if "id" in each] == [7, 8]

    whole = (tmp_path / "whole.jsonl").read_bytes()
    ends = [end for end, byte in enumerate(whole) if byte == ord("\n")]
    for end in (ends[4] + 1, ends[7] + 1, ends[8] - 3, ends[8] + 20, ends[-2] + 1, len(whole) - 9):
        (tmp_path / "torn.jsonl").write_bytes(whole[:end])
        ptune(*command, "output=torn.jsonl", status=2 if b'"error"' in whole[end:] else 0)
        assert (tmp_path / "torn.jsonl").read_bytes() == whole, end


@pytest.mark.parametrize("name", ["rows.parquet", "rows.json", "rows.jsonl.gz"])
def test_nan_is_null_in_a_row_from_anywhere(tmp_path, name):
    """As pandas has a cell that is missing; what the row's own task reads is then empty."""
    path, rows = tmp_path / name, [{"a": 1.0}, {"a": math.nan}, {"a": math.inf}]
    if name == "rows.parquet":
        Dataset.from_list(rows).to_parquet(path)
    else:
        text = json.dumps(rows) if name == "rows.json" else "\n".join(map(json.dumps, rows))
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    read = read_rows(str(path))
    assert [row for _, row in islice(read, 2)] == [{"a": 1.0}, {"a": None}]
    with pytest.raises(UserError, match=rf"{name}:3: .* not JSON compliant"):
        next(read)


def test_a_damaged_archive_of_rows_is_named_and_not_the_output(ptune, tmp_path, tiny_folder):
    np.save(tmp_path / "p.npy", np.ones((2, 64), np.float32))
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(b'{"inputs": "x"}\n' * 9)[:-9])
    command = ["predict", "prompt=p.npy", "input=rows.jsonl.gz", "output=out.jsonl"]
    said = ptune(*command, "variant=lm_adapted", f"model.path={tiny_folder}", status=2).err
    assert "rows.jsonl.gz: cannot be read: Compressed file ended" in said


def test_answers_to_standard_output_stand_whole_in_the_file_that_it_goes_to(
    ptune, tmp_path, monkeypatch, tiny_folder
):
    """As `ptune predict output=/dev/stdout > answers.jsonl` has it; what is said goes elsewhere."""
    np.save(tmp_path / "p.npy", np.ones((2, 64), np.float32))
    (tmp_path / "rows.jsonl").write_text('{"inputs": "a joy"}\n' * 3)
    command = ["predict", "prompt=p.npy", "input=rows.jsonl", "variant=lm_adapted"]
    with (tmp_path / "answers.jsonl").open("w") as file:
        monkeypatch.setattr("sys.stdout", file)
        output = f"output=/proc/self/fd/{file.fileno()}"
        ptune(*command, f"model.path={tiny_folder}", output)
        assert os.fstat(file.fileno()).st_size
    answers = lines_of(tmp_path / "answers.jsonl")
    assert [answer["inputs"] for answer in answers] == ["a joy"] * 3
