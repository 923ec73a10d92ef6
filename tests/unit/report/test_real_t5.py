"""The part on a real T5 Small says what its records say, and judges nothing against the paper."""

from pathlib import Path
from typing import Any

from made_records import config, filled, row, write_run

from prompt_tuning.commands.report import plan
from prompt_tuning.report.catalogue import chosen
from prompt_tuning.report.page import page

CONSTANT = {"answer": "positive", "metrics": {"accuracy": 51.0}, "score": 51.0}


def flan(seed: int = 0, task: str = "sst2", **changed: Any) -> dict[str, Any]:
    return config(seed, task__name=task, model__name="flan_small_int8", **changed)


def came_out(score: float, untrained: float | None = 68.0) -> dict[str, Any]:
    """A run whose held-out score is 1 above what is reported, as is the step of validation."""

    def scores(value: float) -> dict[str, Any]:
        metrics = {"accuracy": value}
        return {"score": value, "metrics": metrics, "num_examples": 872, "num_unparseable": 0}

    result = {"split": "held_out", **scores(score + 1), "best_step": 100, "floor": None}
    result |= {"report": {"split": "validation", **scores(score)}, "constant": CONSTANT}
    if untrained is not None:
        result["untrained"] = {"held_out": scores(1.0), "validation": scores(untrained)}
        result["report_chooses"] = {"best_step": 300, **scores(score + 0.5)}
    return result


def test_a_cell_stands_beside_what_needs_no_training_and_beside_the_papers_way(
    tmp_path: Path,
) -> None:
    """Of 872 examples guessing "positive" reaches 53.8: 51 + 1.645 * sqrt(51 * 49 / 872)."""
    for seed, score in enumerate((86.0, 53.7, 53.8)):
        write_run(tmp_path, flan(seed), came_out(score))
    planned = [flan(seed, task) for task in ("sst2", "rte") for seed in range(3)]
    made = filled("fig3a_flan", tmp_path, *planned)
    assert made.table.header[2:] == (
        *("examples", "best constant answer", "step 0", "score", "by seed", "the paper's way"),
        "fail to learn",
    )
    numbers = ["872", "51.0", "68.0 ± 0.0 (3)", "64.5 ± 18.6 (3)", "86.0, 53.7, 53.8"]
    assert row(made, "sst2", "20") == [*numbers, "65.0 ± 18.6 (3)", "1 of 3 (6 to 79 %)"]
    assert row(made, "rte", "20") == ["-"] * 7
    assert "Missing: 3 of 6 runs (20 on flan_small_int8: rte, seed 0 1 2)." in made.table.notes


def test_runs_of_other_weights_are_not_averaged(tmp_path: Path) -> None:
    write_run(tmp_path, flan(0), came_out(86.0))
    write_run(tmp_path, flan(1), came_out(87.0), fingerprint="f1")
    assert row(filled("gate_flan", tmp_path, flan(0), flan(1)), "sst2") == [
        "prompt_tuning",
        *["-"] * 7,
    ]


def test_prompt_design_has_no_step_0_and_one_row_for_each_of_its_texts(tmp_path: Path) -> None:
    shown = {"method": "prompt_design", "prompt__length": None, "init__strategy": None}
    shown["evaluation__rank"] = "labels"
    plain, worded = (
        {**shown, "prompt__num_shots": 0, "prompt__template": t} for t in (None, "flan")
    )
    for name, changed, score in (("plain", plain, 74.9), ("worded", worded, 79.1)):
        write_run(tmp_path, flan(**changed), came_out(score, None), name=name)
    made = filled("fig1_flan", tmp_path, flan(**plain), flan(**worded))
    assert row(made, "sst2", "prompt_design, 0, labels")[2:5] == ["-", "74.9 ± - (1)†", "74.9"]
    assert row(made, "sst2", "prompt_design, 0, flan, labels")[-1] == "0 of 1 (0 to 79 %)"


def test_no_number_of_it_has_a_verdict_and_the_papers_small_stands_beside(tmp_path: Path) -> None:
    write_run(tmp_path, flan(), came_out(58.5))
    made = filled("fig3a_flan", tmp_path, flan())
    assert made.table.verdicts == []
    *_, small = made.figure.axes  # type: ignore[union-attr]
    assert small.get_title().startswith("the paper's T5 Small")
    assert [text.get_text() for text in small.get_xticklabels()] == ["20"]
    assert small.lines[0].get_ydata() == [57.05]


def test_transfer_is_shown_metric_by_metric(tmp_path: Path) -> None:
    """DROP was among FLAN's tasks: the page says so beside the table."""
    answers = {"split": "validation", "score": 40.0, "metrics": {"f1": 42.0}, "floor": None}
    result = came_out(60.0) | {"transfer": {"mrqa_drop": answers}}
    write_run(tmp_path, flan(task="squad"), result)
    made = filled("table1_flan", tmp_path, flan(task="squad"))
    assert row(made, "squad", "mrqa_drop") == ["prompt_tuning", "f1", "42.0 ± - (1)†", "-"]
    assert "DROP was among the tasks" in made.markdown


def test_the_page_has_it_between_the_papers_models_and_the_ladder(tmp_path: Path) -> None:
    """With what is missing, and why."""
    names = ("fig1", "gate_flan", "fig1_ladder")
    text = page([filled(name, tmp_path, flan()) for name in names])
    places = [text.index(f'<h3 id="{name}"') for name in names]
    assert places == sorted(places)
    assert "A real T5 Small, on two cores" in text
    assert "for want of a CPU's hours" in text.replace("&#39;", "'")
    assert "Missing: 1 of 1 runs." in text


def test_the_gate_has_every_task_that_has_data_here(tmp_path: Path) -> None:
    """MRPC, QQP and SQuAD from the tables' own runs, so that no run is made twice."""
    (gate,) = chosen("gate_flan")
    planned = plan(gate, [], tmp_path)
    tasks = [run["task"]["name"] for run in planned]
    superglue = ["copa", "cb", "boolq", "multirc", "record", "rte", "wic", "wsc"]
    assert sorted(tasks) == sorted([*superglue, "sst2", "mrpc", "qqp", "squad"])
    assert {run["seed"] for run in planned} == {0}
    (own,) = chosen("table2_flan")
    assert own.name == "table2_flan"
