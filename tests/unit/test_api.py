"""ptune from Python: the examples of its documentation, and what it refuses."""

import datetime
import doctest
import json
import subprocess
import sys
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest
from golden.test_text_formats import golden_of
from made_records import result, write_record

import prompt_tuning
from prompt_tuning import api
from prompt_tuning.errors import UserError
from prompt_tuning.metrics import score
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.prompt_files import save_prompt
from prompt_tuning.rows import row_in
from prompt_tuning.task_registry import TASKS


def test_the_examples_run_as_they_stand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = doctest.testmod(api, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert results.failed == 0 and results.attempted >= 5


def test_nothing_heavy_is_imported_before_it_is_needed():
    heavy = "{'torch', 'transformers', 'datasets', 'pandas', 'hydra'} & {*sys.modules}"
    code = f"import sys, prompt_tuning as pt; pt.train, pt.load; print({heavy})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


def test_all_mistakes_are_raised_at_once():
    with pytest.raises(UserError) as raised:
        prompt_tuning.train("task=mini_rtee", "seed=-1", "modle=small")
    assert len(raised.value.parts) >= 2
    with pytest.raises(UserError, match="leave it out: flags are for a shell"):
        prompt_tuning.train("-m", "seed=1,2")


@pytest.fixture
def prompt_of_template(tmp_path):
    """Makes a prompt of an own task with a template."""

    def load(template):
        own = {"name": "own", "inputs": template, "label": "y", "labels": {"0": "a", "1": "b"}}
        model = {"source": "embedded:ladder_100k/6000", "variant": "lm_adapted", "own_task": own}
        told = {"lm_adapt_steps": 6000, "target_sentinel": False, "revision": None}
        save_prompt(tmp_path / "p.safetensors", np.ones((2, 32), np.float32), model | told)
        return prompt_tuning.load(tmp_path / "p.safetensors")

    return load


def test_any_row_is_answered_or_gets_its_error(prompt_of_template):
    """From Python too, where rows hold what JSON has no form for; and of a DataFrame its rows."""
    prompt = prompt_of_template("{a}{b}")
    frame = pd.DataFrame({"a": ["x", "y"], "b": [np.nan, 2.0], "n": pd.array([3, None])})
    rows = [MappingProxyType({"a": "x", "b": np.nan}), frame.iloc[1], {"a": b"x", "b": 1}]
    rows.append({"a": "x", "b": 1, "n": b"x"})
    first, second, binary, beside, *cut = prompt.predict([*rows, "cut \ud83d", {"a": "\ud83d"}])
    assert (first["b"], second["a"], second["n"]) == (None, "y", None)
    assert "column 'a' holds a dict" in binary["error"]
    assert beside["n"] == {"bytes": "eA=="} and "prediction" in beside
    assert ["half of a surrogate" in each["error"] for each in cut] == [True, True]
    assert [(each["a"], each["b"], each["n"]) for each in prompt.predict(frame)] == [
        ("x", None, 3),
        ("y", 2.0, None),
    ]
    for row in ("the boat", b"the boat", {"a": "x", "b": "y"}, frame.iloc[0]):
        with pytest.raises(UserError, match=f"a {type(row).__name__} where a list of rows belongs"):
            prompt.predict(row)
    with pytest.raises(UserError, match="more than one column is called 'a'"):
        prompt.predict(pd.DataFrame([["x", "y"]], columns=["a", "a"]))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array([[1, 2]]), [[1, 2]]),
        (np.array(5), 5),
        ((1, pd.NA), [1, None]),
        (pd.NA, None),
        (pd.NaT, None),
        (np.datetime64("NaT"), None),
        (np.nan, None),
        (np.ma.masked, None),
        ([datetime.date(2020, 1, 2)], ["2020-01-02"]),
        (np.datetime64("2020-01-02"), "2020-01-02"),
        (np.array(["2020-01-02T03", "NaT"], "M8[ns]"), ["2020-01-02T03:00:00.000000000", None]),
        (MappingProxyType({("a", 1): {2: np.int8(1)}}), {"('a', 1)": {"2": 1}}),
    ],
)
def test_a_value_of_a_row_is_json(value, expected):
    """Whatever numpy, pandas and Python have for it; nothing is null in each of their spellings."""
    assert row_in({"a": value}) == {"a": expected}


@pytest.mark.parametrize("column", ["inputs", "row", "text"])
def test_a_text_is_read_as_it_stands_and_a_row_through_the_template(
    monkeypatch, prompt_of_template, column
):
    """Whatever the template's column is called, and whichever library its numbers are of."""
    prompt, texts = prompt_of_template(f"q: {{{column}}}"), []
    encode = Checkpoint.encode_text
    monkeypatch.setattr(Checkpoint, "encode_text", lambda s, t: texts.append(t) or encode(s, t))
    prompt.predict(["the boat", {column: np.int64(5)}, {"row": {column: "x"}}])
    prompt.score([{column: np.int64(6), "y": np.int64(1)}])
    assert texts == ["the boat", "q: 5", "q: x", "q: 6"]


@pytest.mark.parametrize("task", ["wsc", "record", "multirc", "rte"])
def test_official_rows_are_scored_as_the_task_asks_them(tmp_path, task):
    """Some hold their question, or several, further inside."""
    told = {"source": "embedded:ladder_100k/6000", "variant": "lm_adapted", "lm_adapt_steps": 6000}
    told |= {"target_sentinel": False, "revision": None, "task": task}
    save_prompt(tmp_path / "p.safetensors", np.ones((2, 32), np.float32), told)
    prompt, record = prompt_tuning.load(tmp_path / "p.safetensors"), golden_of(task).record
    scored = prompt.score([record, record])
    assert scored == prompt.score(pd.DataFrame([record, record])) == prompt.score([record])
    assert {*scored} == {*score(TASKS[task], golden_of(task).examples[:1], [""]).metrics}
    with pytest.raises(UserError, match="no row of the task to score"):
        prompt.score([])


def test_a_run_reports_the_split_that_chose_no_step_and_has_a_row(tmp_path):
    for name, came_out in (("a", result(70.0, 60.0)), ("b", result(70.0))):
        write_record(tmp_path / name, "train", {"seed": 7}, came_out, duration_s=3.0)
    found = [prompt_tuning.run(tmp_path / name).metrics for name in ("a", "b")]
    assert found == [{"accuracy": 60.0}, {"accuracy": 70.0}]
    first, _ = prompt_tuning.runs(tmp_path).to_dict("records")
    told = {"run": "a", "kind": "train", "config.seed": 7, "duration_s": 3.0, "result.score": 70.0}
    assert told.items() <= first.items()


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="has no finished run: missing"):
        prompt_tuning.run(tmp_path / "run")
    record = {"kind": "inspect", "config": {}, "result": {}}
    (tmp_path / "record.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="is of ptune inspect"):
        prompt_tuning.run(tmp_path)
    with pytest.raises(UserError, match="nowhere is not a folder"):
        prompt_tuning.runs("nowhere")
    with pytest.raises(UserError, match="has no prompt"):
        prompt_tuning.load(tmp_path)
    with pytest.raises(UserError, match="café"):
        prompt_tuning.load(tmp_path / "café")
