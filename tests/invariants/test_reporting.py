"""What a run reports: its best prompt on a split that chose nothing, whole, and with its floor."""

import json
import shlex
from dataclasses import replace

import pytest
import torch
from quick_runs import (
    config_of,
    lines_of,
    load_exactly,
    record_in,
    record_of,
    said_again,
    stopped_in,
    write_lines,
)
from safetensors.torch import load_file

from prompt_tuning.composition import composed
from prompt_tuning.data.sources import DataSpec, load_split
from prompt_tuning.errors import UserError
from prompt_tuning.interrupts import Interrupted
from prompt_tuning.loop import TrainingRun
from prompt_tuning.metrics import score
from prompt_tuning.prompt_files import load_prompt
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tracking import Tracker
from prompt_tuning.training import tuning
from prompt_tuning.training.walk import Watch

LADDER = ["model.path=null", "model=ladder_100k"]
WATCHED = [  # all that a run may say beside its result
    *("task=mini_rte", "data.num_held_out=30", "evaluation.split=held_out"),
    *("evaluation.report_split=validation", "evaluation.report_at_every_step=true"),
    *("evaluation.before_training=true", "training.num_steps=30", "evaluation.every_steps=10"),
    *("evaluation.num_examples=20", "seed=8"),  # its best step is neither the last nor the report's
]


def test_the_commands_that_a_run_ends_with_can_be_typed_wherever_it_is(tiny_folder, tmp_path):
    folder = tmp_path / "ünï, [x]=y 'z"
    record_of(folder, config_of(tiny_folder, "task=mini_rte"))
    _, *lines = (folder / "log.txt").read_text().split("next: ptune ")
    said = [shlex.split(line.splitlines()[0]) for line in lines]
    for command, *overrides in said:
        assert composed(command, overrides).prompt == str(folder)
    assert [command for command, *_ in said] == ["predict", "export"]


@pytest.fixture(scope="module")
def watched(tiny_folder, tmp_path_factory):
    """The folder of a run on the ladder with all of that, which nothing stopped; its summary."""
    folder, summaries = tmp_path_factory.mktemp("watched"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tracker, "summarise", lambda _, values, path: summaries.append(values))
        load = tuning.load_model
        patch.setattr(tuning, "load_model", lambda *given: replace(load(*given), revision="abc"))
        record_of(folder, config_of(tiny_folder, *LADDER, *WATCHED))
    (summary,) = summaries
    return folder, summary


def test_the_best_prompt_is_scored_on_the_whole_of_the_reported_split(watched):
    """Decoded here once more from the saved prompt: the record, the file and W&B say the same."""
    folder, summary = watched
    record = record_in(folder)
    result, split = record["result"], load_split(TASKS["mini_rte"], "validation", DataSpec("auto"))
    saved = load_prompt(folder / "prompt.safetensors")
    checkpoint = load_exactly("embedded:ladder_100k/6000")
    again = said_again(
        checkpoint, TASKS["mini_rte"], split.examples, torch.from_numpy(saved.weight)
    )
    assert result["report"] == {
        "split": "validation",
        "score": again.scores.score,
        "metrics": again.scores.metrics,
        "num_examples": len(split.examples),
        "num_unparseable": again.scores.num_unparseable,
    }
    lines = lines_of(folder / "predictions" / "report.jsonl")
    assert [line["prediction"] for line in lines] == again.predictions
    assert [line["targets"] for line in lines] == [e.targets for e in split.examples]
    assert summary["report/score"] == summary["report/accuracy"] == again.scores.score
    assert summary["report/unparseable"] == again.scores.num_unparseable

    told = {"step": result["best_step"], "score": result["score"], "seed": 8, "revision": "abc"}
    told |= {"config_hash": record["config_hash"], "init": "class_label", "recipe": "mini"}
    assert told.items() <= saved.metadata.items()
    assert record["data"]["validation"] == json.loads(json.dumps(split.provenance))
    assert result["floor"]["majority"] == 50.0 and "constant" not in result
    log = (folder / "log.txt").read_text()
    assert f"mini_rte on validation: accuracy {again.scores.score:.2f}" in log
    assert "floor: majority 50.00, best shortcut" in log


def test_the_step_is_chosen_on_held_out_rows_and_the_other_split_chooses_nothing(watched):
    folder, _ = watched
    record = record_in(folder)
    result, curves = record["result"], lines_of(folder / "metrics.jsonl")
    scored = {line["step"]: line for line in curves if "eval/score" in line and line["step"]}
    assert {*scored} == {10, 20, 30}
    assert (result["split"], result["report"]["split"]) == ("held_out", "validation")
    best = max(scored, key=lambda step: scored[step]["eval/score"])  # the first of the highest
    assert result["best_step"] == best != 30
    assert result["score"] == scored[best]["eval/score"]
    assert result["report"]["score"] == scored[best]["report/score"]

    chosen = max(scored, key=lambda step: scored[step]["report/score"])
    assert result["report_chooses"]["best_step"] == chosen != best
    assert result["report_chooses"]["score"] == scored[chosen]["report/score"]

    data = record["data"]
    assert data["held_out"]["num_examples"] == result["num_examples"] == 20
    whole = load_split(TASKS["mini_rte"], "train", DataSpec("auto")).provenance
    assert data["train"]["num_examples"] + 30 == whole["num_examples"]
    assert data["held_out"]["sha256"] == data["train"]["sha256"] != data["validation"]["sha256"]


def test_what_is_not_trained_yet_is_scored_as_it_is(watched):
    """By a run of the init alone, which has no dev split to choose by: its report is the same."""
    folder, _ = watched
    result = record_in(folder)["result"]
    untrained = result["untrained"]
    assert {*untrained} == {"held_out", "validation"}
    init = load_file(folder / "prompt.safetensors")["init"]
    checkpoint = load_exactly("embedded:ladder_100k/6000")
    for name, scores in untrained.items():
        split = load_split(TASKS["mini_rte"], name, DataSpec("auto", num_held_out=30))
        examples = split.examples[: scores["num_examples"]]
        again = said_again(checkpoint, TASKS["mini_rte"], examples, init)
        assert (again.scores.metrics, again.scores.score) == (scores["metrics"], scores["score"])
    at_start = lines_of(folder / "metrics.jsonl")[0]
    assert at_start["step"] == 0
    assert at_start["eval/score"] == untrained["held_out"]["score"]
    assert at_start["report/score"] == untrained["validation"]["score"]
    assert result["best_step"] > 0  # it chooses no step, whatever it scores


@pytest.mark.parametrize("call", [2, 4, 7])
def test_a_stopped_and_resumed_run_has_the_same_record(watched, tiny_folder, tmp_path, call):
    """Stopped in an evaluation: of the init, of held-out rows, of the reported split."""
    config = config_of(tiny_folder, *LADDER, *WATCHED)
    with stopped_in(Watch, "decode", call), pytest.raises(Interrupted):
        record_of(tmp_path, config)
    assert not (tmp_path / "record.json").exists()
    (folder, _), resumed = watched, record_of(tmp_path, config)
    whole = record_in(folder)
    resumed["model"]["revision"] = "abc"
    for key in ("result", "data", "config_hash", "model", "num_trainable_parameters"):
        assert resumed[key] == whole[key], key
    for name in ("report", "untrained", "step-000000", "step-000030"):
        kept = [place / "predictions" / f"{name}.jsonl" for place in (folder, tmp_path)]
        assert kept[0].read_bytes() == kept[1].read_bytes()


def test_a_run_that_stopped_before_its_record_reports_the_same(tiny_folder, tmp_path):
    """The report needs the best prompt, which is then only in the resume point."""
    config = config_of(tiny_folder, "task=mini_boolq_b")
    whole = record_of(tmp_path / "whole", config)["result"]

    with stopped_in(TrainingRun, "go_to_best", 1), pytest.raises(Interrupted):
        record_of(tmp_path / "stopped", config)
    assert record_of(tmp_path / "stopped", config)["result"] == whole
    kept = [tmp_path / name / "predictions" / "report.jsonl" for name in ("whole", "stopped")]
    assert kept[0].read_bytes() == kept[1].read_bytes()


def test_without_a_split_to_report_there_is_a_constant_answer_to_beat(tiny_folder, tmp_path):
    """And no floor, since only the first of the split are scored."""
    config = config_of(tiny_folder, "task=mini_rte", "evaluation.report_split=null")
    result = record_of(tmp_path, config)["result"]
    assert result["report"] is result["floor"] is None
    assert not (tmp_path / "predictions" / "report.jsonl").exists()
    task, spec = TASKS["mini_rte"], DataSpec("auto")
    examples = load_split(task, "validation", spec, limit=8).examples
    scores = {word: score(task, examples, [word] * 8).score for word in task.verbalizers}
    assert scores[result["constant"]["answer"]] == result["constant"]["score"]
    assert result["constant"]["score"] == max(each or 0.0 for each in scores.values()) >= 50


def test_a_split_without_labels_is_refused_before_anything_is_loaded_or_written(
    tiny_folder, tmp_path, monkeypatch
):
    row = {"premise": "a", "hypothesis": "b"}
    for name, label in (("train", {"label": 0}), ("val", {"label": 0}), ("test", {})):
        write_lines(tmp_path / "RTE" / f"{name}.jsonl", row | label)
    given = ["task=rte", f"data.dir={tmp_path}", "evaluation.report_split=test"]
    monkeypatch.setattr(tuning, "load_model", lambda *_: pytest.fail("the model was loaded"))
    with pytest.raises(UserError, match="report_split=test of rte has no labels") as error:
        tuning.train(config_of(tiny_folder, *given), RunFolder(tmp_path / "run"))
    assert error.value.fix == "evaluation.report_split=null"
    assert not (tmp_path / "run").exists()


def test_the_record_counts_the_texts_that_training_cut(tiny_folder, tmp_path):
    limits = ["training.max_input_tokens=6", "training.max_target_tokens=1"]
    quick = ["training.num_train_examples=10", "evaluation.report_split=null"]
    config = config_of(tiny_folder, "task=mini_rte", *limits, *quick)
    data = record_of(tmp_path, config)["data"]
    assert (data["truncated_inputs"], data["truncated_targets"]) == (10, 10)
