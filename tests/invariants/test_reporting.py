"""What a run reports: its best prompt on a split that chose nothing, whole, and with its floor."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file

from prompt_tuning.commands.composition import configs_of
from prompt_tuning.config import TrainConfig, train_config
from prompt_tuning.data.sources import DataSpec, load_split
from prompt_tuning.errors import UserError
from prompt_tuning.evaluation import evaluate_prompt, evaluation_set
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.records import RunFolder
from prompt_tuning.runs import experiment
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tracking import Tracker

QUICK = ["training.num_steps=2", "evaluation.every_steps=1", "evaluation.num_examples=8"]


def config_of(tiny_folder: Path, *overrides: str) -> TrainConfig:
    given = [f"model.path={tiny_folder}", "tracking=none", "data.cache_dir=null", *QUICK]
    (config,), problems = configs_of("train", [*given, *overrides])
    assert not problems
    return train_config(config)


def run_of(folder: Path, config: TrainConfig) -> dict[str, Any]:
    """The result of a run in `folder`, from the start or resumed."""
    experiment.train(config, RunFolder(folder))
    result: dict[str, Any] = json.loads((folder / "record.json").read_text())["result"]
    return result


def test_the_best_prompt_is_scored_on_the_whole_of_the_reported_split(
    tiny_folder: Path, tiny_checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoded here once more from the saved prompt: the record, the file and W&B say the same."""
    summaries: list[dict[str, Any]] = []
    monkeypatch.setattr(Tracker, "summarise", lambda _, values, path: summaries.append(values))
    result = run_of(tmp_path, config_of(tiny_folder, "task=mini_boolq_b"))

    test = load_split(TASKS["mini_boolq_b"], "test", DataSpec("auto"))
    data = evaluation_set(TASKS["mini_boolq_b"], test.examples, tiny_checkpoint)
    prompt = torch.from_numpy(load_file(tmp_path / "prompt.safetensors")["prompt"])
    again = evaluate_prompt(tiny_checkpoint, prompt, data, max_tokens=8192)
    assert result["report"] == {
        "split": "test",
        "score": again.scores.score,
        "metrics": again.scores.metrics,
        "num_examples": len(test.examples),
        "num_unparseable": again.scores.num_unparseable,
    }
    assert (result["split"], result["num_examples"]) == ("validation", 8)

    lines = (tmp_path / "predictions" / "report.jsonl").read_text().splitlines()
    assert [json.loads(line)["prediction"] for line in lines] == again.predictions
    assert [json.loads(line)["targets"] for line in lines] == [e.targets for e in test.examples]
    (summary,) = summaries
    assert summary["report/score"] == summary["report/accuracy"] == again.scores.score
    assert summary["report/unparseable"] == again.scores.num_unparseable

    record = json.loads((tmp_path / "record.json").read_text())
    assert {"train", "validation", "test"} <= {*record["data"]}
    assert record["data"]["test"] == json.loads(json.dumps(test.provenance))
    assert result["floor"]["majority"] == 50.0
    log = (tmp_path / "log.txt").read_text()
    assert f"mini_boolq_b on test: accuracy {again.scores.score:.2f}" in log
    assert "floor: majority 50.00, best shortcut" in log


def test_a_run_that_stopped_before_its_record_reports_the_same(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report needs the best prompt, which is then only in the resume point."""
    config = config_of(tiny_folder, "task=mini_boolq_b")
    whole = run_of(tmp_path / "whole", config)

    class Stopped(BaseException):
        pass

    def stop(*_: object) -> None:
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(experiment._Watch, "report", stop)
        with pytest.raises(Stopped):
            run_of(tmp_path / "stopped", config)
    assert not (tmp_path / "stopped" / "record.json").exists()
    assert run_of(tmp_path / "stopped", config) == whole
    kept = [tmp_path / name / "predictions" / "report.jsonl" for name in ("whole", "stopped")]
    assert kept[0].read_bytes() == kept[1].read_bytes()


def test_without_a_split_to_report_there_is_no_report(tiny_folder: Path, tmp_path: Path) -> None:
    """And no floor, since only the first of the split are scored."""
    config = config_of(tiny_folder, "task=mini_rte", "evaluation.report_split=null")
    result = run_of(tmp_path, config)
    assert result["report"] is result["floor"] is None
    assert not (tmp_path / "predictions" / "report.jsonl").exists()


def test_a_split_without_labels_is_refused_before_anything_is_loaded_or_written(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"premise": "a", "hypothesis": "b"}
    (tmp_path / "RTE").mkdir()
    for name, label in (("train", {"label": 0}), ("val", {"label": 0}), ("test", {})):
        (tmp_path / "RTE" / f"{name}.jsonl").write_text(json.dumps(row | label) + "\n")
    given = ["task=rte", f"data.dir={tmp_path}", "evaluation.report_split=test"]
    monkeypatch.setattr(experiment, "load_model", lambda *_: pytest.fail("the model was loaded"))
    with pytest.raises(UserError, match="report_split=test of rte has no labels") as error:
        experiment.train(config_of(tiny_folder, *given), RunFolder(tmp_path / "run"))
    assert error.value.fix == "evaluation.report_split=null"
    assert not (tmp_path / "run").exists()
