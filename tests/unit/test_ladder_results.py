"""The ladder's tables say what its records say: means, gaps, and what must not be averaged."""

import csv
import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from prompt_tuning.config_reading import config_dir

SCRIPTS = Path(__file__).parents[2] / "scripts"
FLOOR = {"majority": 50.0, "shortcut": 52.5, "shortcut_name": "bag of fields"}


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return import_module("ladder_results")


def write_record(folder: Path, name: str, **changed: Any) -> None:
    """The record of a run; a dotted key is written with two underscores."""
    record: dict[str, Any] = {
        "kind": "train",
        "result": {
            "report": {
                "split": "test",
                "score": 70.0,
                "num_examples": 400,
                "num_unparseable": 0,
            },
            "floor": FLOOR,
        },
        "config": {
            "task": {"name": "mini_rte", "report_split": "test"},
            "model": {"name": "ladder_400k", "checkpoints": {"0": "a"}},
            "variant": {"name": "lm_adapted", "lm_adapt_steps": 7500},
            "method": "prompt_tuning",
            "init": {"strategy": "class_label"},
            "prompt": {"length": 20},
            "recipe": "mini",
            "optimizer": {"learning_rate": 0.3},
            "machine": {"num_threads": None, "dtype": "auto"},
            "tracking": {"name": "none"},
            "output_dir": "runs",
            "experiment": None,
            "seed": 0,
        },
        "model": {"fingerprint": "f0", "num_parameters": 400000, "dtype": "float32"},
        "data": {"train": {"sha256": "t0"}, "test": {"sha256": "e0"}, "truncated_inputs": 0},
        "commit": "c0ffee",
        "dirty": False,
    }
    for key, value in changed.items():
        *sections, last = key.split("__")
        section = record
        for part in sections:
            section = section[part]
        assert last in section, key
        section[last] = value
    (folder / name).mkdir(parents=True)
    (folder / name / "record.json").write_text(json.dumps(record))


def write_seeds(folder: Path, name: str, scores: list[float], **changed: Any) -> None:
    for seed, score in enumerate(scores):
        numbers = {"config__seed": seed, "result__report__score": score}
        write_record(folder, f"{name}-{seed}", **numbers, **changed)


def axes(task: str = "mini_rte", length: int = 20) -> tuple[Any, ...]:
    start = (task, "ladder_400k", "lm_adapted", 7500)
    return (*start, "prompt_tuning", "class_label", length, "mini")


def table(results: ModuleType, folder: Path, *asked: tuple[Any, ...]) -> list[str]:
    """The lines of the question of prompt length, asked with three seeds."""
    cells, left_out = results.read_cells(folder)
    assert not left_out
    question = results.Question(
        "Prompt length", ("length",), results.both("fig3a_ladder", "init=sampled_vocab")
    )
    lines: list[str] = results.question_lines(
        question, [(a, s) for a in asked for s in range(3)], cells
    )
    return lines


def test_a_cell_is_the_mean_and_the_sample_deviation_over_seeds(
    results: ModuleType, tmp_path: Path
) -> None:
    """60, 70 and 86: mean 72; squared differences 144, 4, 196 make 344 / 2 = 172, of root 13.11."""
    write_seeds(tmp_path, "a", [60.0, 70.0, 86.0])
    lines = table(results, tmp_path, axes())
    assert "| 20 | 72.0 ± 13.1 (3) |" in lines
    assert "Missing: 0 of 3 runs." in lines


def test_the_floor_is_that_of_the_records(results: ModuleType, tmp_path: Path) -> None:
    write_seeds(tmp_path, "a", [60.0, 70.0, 86.0])
    write_seeds(
        tmp_path, "b", [60.0, 60.0, 60.0], config__task__name="mini_wic", result__floor=None
    )
    lines = table(results, tmp_path, axes(), axes("mini_wic"))
    assert "| floor: majority | 50.0 | - |" in lines
    assert "| floor: best shortcut | 52.5 (bag of fields) | - |" in lines
    assert "Mean over tasks (mini_rte, mini_wic): 20: 66.0." in lines


def test_floors_of_different_items_are_both_shown(results: ModuleType, tmp_path: Path) -> None:
    write_record(tmp_path, "a")
    other = {**FLOOR, "majority": 60.0}
    write_record(tmp_path, "b", config__seed=1, result__floor=other, data__test__sha256="e1")
    lines = table(results, tmp_path, axes())
    assert "| floor: majority | 50.0; 60.0 |" in lines
    assert '| 20, data.test.sha256="e1" | 70.0 ± - (1)† |' in lines


def test_missing_seeds_are_marked_and_named(results: ModuleType, tmp_path: Path) -> None:
    write_seeds(tmp_path, "a", [60.0, 70.0])
    lines = table(results, tmp_path, axes(), axes(length=5), axes("mini_wic", length=5))
    assert "| 20 | 65.0 ± 7.1 (2)† | - |" in lines
    missing = "20 on mini_rte, seed 2; 5 on mini_rte, mini_wic, seed 0 1 2"
    assert f"Missing: 7 of 9 runs ({missing})." in lines


def test_a_row_without_all_tasks_has_no_mean(results: ModuleType, tmp_path: Path) -> None:
    """A mean over easier tasks would look like a better row."""
    write_seeds(tmp_path, "a", [60.0, 70.0, 80.0])
    write_seeds(tmp_path, "b", [80.0, 90.0, 91.0], config__task__name="mini_wic")
    write_seeds(tmp_path, "c", [90.0, 91.0, 92.0], config__prompt__length=5)
    asked = [axes(), axes(length=5), axes("mini_wic"), axes("mini_wic", length=5)]
    means = "20: 78.5; 5: -; majority: 50.0; best shortcut: 52.5"
    lines = table(results, tmp_path, *asked)
    assert f"Mean over tasks (mini_rte, mini_wic): {means}." in lines


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("config__optimizer__learning_rate", 0.1, "optimizer.learning_rate=0.1"),
        ("model__fingerprint", "f1", 'model.fingerprint="f1"'),
        ("config__machine__dtype", "bfloat16", 'machine.dtype="bfloat16"'),
        ("data__train__sha256", "t1", 'data.train.sha256="t1"'),
    ],
)
def test_runs_of_other_settings_weights_or_data_are_not_averaged(
    results: ModuleType, tmp_path: Path, key: str, value: object, shown: str
) -> None:
    """Two learning rates in one mean are a number of nothing."""
    write_seeds(tmp_path, "a", [60.0, 70.0, 86.0])
    write_seeds(tmp_path, "b", [10.0, 20.0, 30.0], **{key: value})
    lines = table(results, tmp_path, axes())
    assert f"| 20, {shown} | 20.0 ± 10.0 (3) |" in lines
    assert sum("72.0 ± 13.1 (3)" in line for line in lines) == 1


def test_machine_tracking_and_folders_make_no_other_cell(
    results: ModuleType, tmp_path: Path
) -> None:
    write_record(tmp_path, "a", config__machine__num_threads=1, config__tracking__name="wandb")
    write_record(tmp_path, "b", config__seed=1, config__output_dir="x", config__experiment="y")
    assert "| 20 | 70.0 ± 0.0 (2)† |" in table(results, tmp_path, axes())


def test_illegal_answers_are_shown_above_one_per_cent(results: ModuleType, tmp_path: Path) -> None:
    for seed, count in enumerate([0, 4, 14]):  # 18 of 1,200
        write_record(tmp_path, str(seed), config__seed=seed, result__report__num_unparseable=count)
    write_record(tmp_path, "b", config__task__name="mini_wic", result__report__num_unparseable=4)
    lines = table(results, tmp_path, axes(), axes("mini_wic"))
    assert "| 20 | 70.0 ± 0.0 (3), illegal 1.5 % | 70.0 ± - (1)† |" in lines


def test_two_records_of_one_run_are_refused(results: ModuleType, tmp_path: Path) -> None:
    """Counted twice, a seed would make the deviation too small."""
    write_record(tmp_path, "a")
    write_record(tmp_path, "b")
    with pytest.raises(SystemExit, match="two records of one run"):
        results.read_cells(tmp_path)


def test_a_record_without_a_key_is_named(results: ModuleType, tmp_path: Path) -> None:
    write_record(tmp_path, "a", config__prompt={})
    with pytest.raises(SystemExit, match=r"a/record.json has no 'prompt.length'"):
        results.read_cells(tmp_path)


def test_a_score_on_the_split_that_chose_the_step_is_left_out(
    results: ModuleType, tmp_path: Path
) -> None:
    write_record(tmp_path, "a", result__report=None)
    write_record(tmp_path, "b", result__report__split="validation")
    write_record(tmp_path, "c", config__task__name="rte")
    write_record(tmp_path, "d", kind="evaluate")
    cells, left_out = results.read_cells(tmp_path)
    assert not cells
    assert [path.parent.name for path in left_out] == ["a", "b"]


def test_the_plan_is_that_of_the_experiment_and_its_head(results: ModuleType) -> None:
    """The experiment's head shows the commands whose runs the table expects."""
    for question in results.QUESTIONS:
        for sweep in question.sweeps:
            name = sweep.split()[0].removeprefix("experiment=")
            path = config_dir() / "experiment" / f"{name}.yaml"
            assert f"-m {sweep}\n" in path.read_text()
    (control, *_) = results.QUESTIONS
    plan = results.planned(control)
    assert len(plan) == 36
    assert {axes[0] for axes, _ in plan} >= {"mini_rte", "mini_squad"}


def test_the_files_hold_every_cell_and_the_pretraining_runs(
    results: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that no question asks for is shown all the same."""
    write_seeds(tmp_path / "runs", "a", [60.0, 70.0, 86.0], config__prompt__length=7)
    write_pretraining(tmp_path / "checkpoints" / "lm-1")
    question = results.QUESTIONS[0]
    monkeypatch.setattr(results, "QUESTIONS", [question])
    monkeypatch.setattr(results, "planned", lambda question: [(axes(), 0)])
    output, cells = tmp_path / "new" / "ladder.md", tmp_path / "ladder.csv"
    command = f"x {tmp_path / 'runs'} --checkpoints {tmp_path / 'checkpoints'}"
    monkeypatch.setattr(
        sys, "argv", [*command.split(), "--output", str(output), "--csv", str(cells)]
    )
    results.main()
    text = output.read_text()
    assert "Records by commit: c0ffee: 3." in text
    assert "Missing: 1 of 1 runs" in text
    assert "| 7 | mini | - | 72.0 ± 13.1 (3) |" in text
    assert (
        "| lm | 400,000 | adapt | sc-0 | sentence_lm | 9 | 0.03 | 1,234 | 2.5000 | qa 0.95 |"
        in text
    )
    (cell,) = csv.DictReader(cells.open())
    assert (cell["mean"], cell["num_seeds"], cell["runs"]) == ("72.0", "3", "a-0 a-1 a-2")
    assert float(cell["sample_sd"]) == pytest.approx(172**0.5)


def write_pretraining(folder: Path) -> None:
    record = {
        "kind": "adapt",
        "result": {"held_out_loss": 2.5, "probes": {"qa": 0.95}, "num_tokens": 1234},
        "config": {
            "name": "lm",
            "checkpoint": "checkpoints/sc-0",
            "objective": {"name": "sentence_lm"},
            "pretraining": {"num_steps": 9, "learning_rate": 0.03},
            "seed": 0,
        },
        "num_parameters": 400000,
        "duration_s": 12.3,
        "finished_at": "2026-01-01",
    }
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps(record))
