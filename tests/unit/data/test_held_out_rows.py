"""A part of the training split that is kept apart: the step is chosen on it, nothing is trained.

Which rows it is follows from their text alone: not from the seed, the source or the file's order.
"""

import json
from dataclasses import replace
from typing import Any

import pytest
from quick_runs import write_lines

from prompt_tuning.data.sources import DataSpec, check_available, load_split
from prompt_tuning.errors import UserError
from prompt_tuning.task_registry import TASKS

Record = dict[str, Any]


def boolq(i):
    """Three questions of a passage."""
    return {"passage": f"p{i // 3}", "question": f"q{i}", "idx": i, "label": i % 2 == 0}


def multirc(i):
    texts = [{"text": f"a{n}", "idx": 4 * i + n, "label": n % 2} for n in range(4)]
    questions = [{"question": f"q{n}", "idx": 2 * i + n, "answers": texts} for n in range(2)]
    return {"idx": i, "passage": {"text": f"p{i}", "questions": questions}}


def record(i):
    answers = [{"start": 0, "end": 2, "text": "Ann"}]
    queries = [{"query": f"q{n}", "idx": 9 * i + n, "answers": answers} for n in range(3)]
    return {"idx": i, "passage": {"text": f"Ann {i}", "entities": answers}, "qas": queries}


def squad(i):
    """An article of two paragraphs, of two questions each."""

    def paragraph(n):
        questions = [
            {"id": f"{i}-{n}-{m}", "question": "q", "answers": [{"text": "c"}]} for m in range(2)
        ]
        return {"context": f"c{i} {n}", "qas": questions}

    return {"title": f"t{i}", "paragraphs": [paragraph(n) for n in range(2)]}


def wsc(i):
    spans = {"span1_text": "Ann", "span1_index": 0, "span2_text": "her", "span2_index": 2}
    return {"text": f"Ann saw her {i} .", "target": spans, "idx": i, "label": i % 3 == 0}


def rte(i):
    return {"premise": f"p{i}", "hypothesis": "h", "idx": i, "label": "entailment"}


RECORDS = {  # and what stays together
    "boolq": (boolq, "passage"),
    "multirc": (multirc, "paragraph"),
    "record": (record, "passage"),
    "squad": (squad, "title"),
    "wsc": (wsc, None),
    "rte": (rte, None),
}
every_task = pytest.mark.parametrize("name", RECORDS)


def write(folder, records):
    path = write_lines(folder / "train.jsonl", *records)
    return DataSpec("local", folder, train_file=path.name, num_held_out=10)


def official(name, num_records=60):
    return [RECORDS[name][0](i) for i in range(num_records)]


def flat_rows(name):
    """The rows as the hub serves them."""
    return [dict(row) for each in official(name) for row in TASKS[name].flatten(each)]


def held_out(name, spec):
    return load_split(TASKS[name], "held_out", spec).examples


def keys(examples):
    return sorted(json.dumps([e.inputs, e.idx]) for e in examples)


@every_task
def test_train_and_held_out_share_no_row_and_are_all_of_them(tmp_path, name):
    spec = write(tmp_path, official(name))
    train = load_split(TASKS[name], "train", spec)
    apart = load_split(TASKS[name], "held_out", spec)
    assert train.provenance["num_rows"] + apart.provenance["num_rows"] == len(flat_rows(name))
    assert not {*keys(train.examples)} & {*keys(apart.examples)}
    assert apart.provenance["split"] == "held_out"
    assert apart.provenance["sha256"] == train.provenance["sha256"]


@every_task
def test_the_same_rows_are_held_out_whatever_the_source_and_the_order(tmp_path, store, name):
    found = keys(held_out(name, write(tmp_path, official(name))))
    assert keys(held_out(name, write(tmp_path, official(name)[::-1]))) == found
    hub = load_split(
        store(name, flat_rows(name), "train"), "held_out", DataSpec("hub", None, num_held_out=10)
    )
    assert keys(hub.examples) == found


@pytest.mark.parametrize("name", [name for name, (_, field) in RECORDS.items() if field])
def test_rows_of_one_text_are_held_out_together(tmp_path, name):
    """A passage in both parts would let a prompt be chosen by what it has seen."""
    spec, field = write(tmp_path, flat_rows(name)), RECORDS[name][1]
    apart = {json.dumps([e.inputs, e.idx]) for e in held_out(name, spec)}
    sides = {}
    for row in flat_rows(name):
        (example, *_) = TASKS[name].examples(row)
        sides.setdefault(row[field], set()).add(json.dumps([example.inputs, example.idx]) in apart)
    assert {*map(len, sides.values())} == {1}
    assert {True} in sides.values() and {False} in sides.values()


@pytest.mark.parametrize(("asked", "kept_apart"), [(1, 1), (7, 7), (12, 12), (13, 12), (999, 12)])
def test_as_many_as_asked_for_but_a_fifth_at_most(tmp_path, asked, kept_apart):
    spec = replace(write(tmp_path, official("rte")), num_held_out=asked)
    assert len(held_out("rte", spec)) == kept_apart
    assert len(load_split(TASKS["rte"], "train", spec).examples) == 60 - kept_apart


def test_fewer_are_the_first_of_more_and_a_release_keeps_its_choice(tmp_path):
    """Another choice would make scores of two versions two different measurements."""
    many = write(tmp_path, official("rte"))
    few = {e.idx for e in held_out("rte", replace(many, num_held_out=5))}
    assert few == {16, 20, 47, 51, 56}
    assert few < {e.idx for e in held_out("rte", many)}


def test_held_out_rows_of_wsc_are_evaluated_with_both_labels(tmp_path):
    """Training drops what is not the referent; a score without those rows would be no score."""
    spec = write(tmp_path, official("wsc"))
    apart = load_split(TASKS["wsc"], "held_out", spec)
    assert {e.label for e in apart.examples} == {0, 1}
    assert len(apart.examples) == apart.provenance["num_rows"] == 10
    assert {e.label for e in load_split(TASKS["wsc"], "train", spec).examples} == {1}


def test_held_out_rows_of_record_are_decoded_once_a_query(tmp_path):
    rows = [row | {"answers": ["Ann", "Eve"]} for row in flat_rows("record")]
    spec = write(tmp_path, rows)
    apart = load_split(TASKS["record"], "held_out", spec)
    assert len(apart.examples) == apart.provenance["num_rows"]
    train = load_split(TASKS["record"], "train", spec)
    assert len(train.examples) == 2 * train.provenance["num_rows"]


def test_nothing_is_held_out_unless_asked_for(tmp_path):
    spec = replace(write(tmp_path, official("rte")), num_held_out=None)
    assert len(load_split(TASKS["rte"], "train", spec).examples) == 60


def test_a_held_out_part_is_there_if_the_training_file_is(tmp_path):
    spec = write(tmp_path, official("rte"))
    check_available(TASKS["rte"], ["held_out"], spec)
    (tmp_path / "train.jsonl").unlink()
    with pytest.raises(UserError, match=r"train\.jsonl: no such file, so no train split of rte"):
        check_available(TASKS["rte"], ["held_out"], spec)
