"""Tables say what the records say: means, gaps, floors, and what must not be averaged."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from made_records import config, filled, result, row, seeds, write_run, write_seeds

from prompt_tuning.report.claims import AGREES, NOT_SEEN, PARTLY, answer
from prompt_tuning.report.paper import SUPERGLUE


def test_a_ladder_cell_is_the_mean_and_sample_deviation_on_test(tmp_path: Path) -> None:
    write_seeds(tmp_path, [60.0, 70.0, 86.0])
    made = filled("fig3a_ladder", tmp_path, *seeds())
    assert made.table.header == ("prompt.length", "model", "mini_rte", "mean over tasks")
    assert row(made, "20", "ladder_400k") == ["72.0 ± 13.1 (3)", "72.0 ± 13.1 (3)"]
    assert row(made, "floor: majority") == ["-", "50.0", "50.0"]
    assert row(made, "floor: best shortcut") == ["-", "52.5 (bag of fields)", "52.5"]
    assert "Missing: 0 of 3 runs." in made.table.notes
    assert "Records by commit: c0ffee: 3." in made.table.notes


def test_missing_seeds_are_marked_and_named(tmp_path: Path) -> None:
    write_seeds(tmp_path, [60.0, 70.0])
    wic, short = {"task__name": "mini_wic"}, {"prompt__length": 5}
    made = filled("fig3a_ladder", tmp_path, *seeds(), *seeds(**short), *seeds(**short, **wic))
    assert row(made, "20", "ladder_400k") == ["65.0 ± 7.1 (2)†", "-", "-"]
    which = "20 on ladder_400k: mini_rte, seed 2; 5 on ladder_400k: mini_rte, mini_wic, seed 0 1 2"
    assert f"Missing: 7 of 9 runs ({which})." in made.table.notes


def test_a_mean_over_tasks_is_of_seeds_that_have_them_all(tmp_path: Path) -> None:
    """A mean over easier tasks would look like a better row."""
    write_seeds(tmp_path, [60.0, 70.0, 80.0])
    write_seeds(tmp_path, [80.0, 90.0], task__name="mini_wic")
    write_seeds(tmp_path, [90.0], prompt__length=5)
    wic, short = {"task__name": "mini_wic"}, {"prompt__length": 5}
    made = filled("fig3a_ladder", tmp_path, *seeds(), *seeds(**wic), *seeds(**short))
    assert row(made, "20", "ladder_400k")[-1] == "75.0 ± 7.1 (2)†"
    assert row(made, "5", "ladder_400k")[-1] == "-"


@pytest.mark.parametrize("changed", [{"fingerprint": "f1"}, {"data": "d1"}])
def test_runs_of_other_weights_or_data_are_not_averaged(
    tmp_path: Path, changed: dict[str, str]
) -> None:
    write_seeds(tmp_path, [60.0, 70.0])
    write_run(tmp_path, config(2), result(80.0, 80.0), **changed)
    made = filled("fig3a_ladder", tmp_path, *seeds())
    assert row(made, "20", "ladder_400k") == ["-", "-"]
    assert made.table.notes[1].startswith("Runs of different weights or data, not averaged: 20")


def test_a_run_of_another_config_is_not_the_planned_one(tmp_path: Path) -> None:
    write_seeds(tmp_path, [60.0, 70.0, 80.0], optimizer__learning_rate=0.1)
    assert filled("fig3a_ladder", tmp_path, *seeds()).grid.records == []


def test_machine_tracking_and_the_place_of_data_make_no_other_run(tmp_path: Path) -> None:
    of = config(machine__num_threads=1, tracking__name="wandb", data__dir="/data", experiment="x")
    del of["prompt"]["num_shots"]  # a record from before that key
    write_run(tmp_path, of, result(60.0, 60.0))
    assert len(filled("fig3a_ladder", tmp_path, *seeds()).grid.records) == 1


def test_illegal_answers_are_shown_above_one_per_cent(tmp_path: Path) -> None:
    for seed, count in enumerate([0, 4, 14]):  # 18 of 1,200
        write_run(tmp_path, config(seed), result(70.0, 70.0, num_unparseable=count))
    made = filled("fig3a_ladder", tmp_path, *seeds())
    assert row(made, "20", "ladder_400k")[0] == "70.0 ± 0.0 (3), illegal 1.5 %"


PAPER = {"model__name": "base", "variant__lm_adapt_steps": 100_000, "prompt__length": 100}


def write_superglue(folder: Path, tasks: Iterable[str], scores: Iterable[float]) -> list[Any]:
    """Runs of every task whose mean is a score, a seed each; returns the plan of all tasks."""
    tasks = [*tasks]
    for seed, score in enumerate(scores):
        for index, task in enumerate(tasks):
            shift = index - (len(tasks) - 1) / 2  # around the mean
            write_run(folder, config(seed, task__name=task, **PAPER), result(score + shift))
    return [c for task in SUPERGLUE for c in seeds(task__name=task, **PAPER)]


def test_a_superglue_score_is_the_mean_over_all_tasks_of_every_seed(tmp_path: Path) -> None:
    """63, 64 and 66: mean 64.33, deviation 1.53; the paper has 63.75 ± 1.22: 0.58 is within 3.9."""
    plan = write_superglue(tmp_path, SUPERGLUE, [63.0, 64.0, 66.0])
    made = filled("fig3a", tmp_path, *plan)
    numbers = row(made, "100", "base")[:-1]
    assert numbers == ["63.75 ± 1.22", "64.33", "1.53", "3", "+0.58", "match"]
    assert row(made, "100", "xxl") == ["89.82 ± 0.26", "-", "-", "0", "-", "-", "-"]
    assert len(made.table.rows) == 25


@pytest.mark.parametrize(
    ("scores", "verdict"), [([53.0, 54.0, 55.0], "off"), ([63.0, 64.0], "too few seeds")]
)
def test_what_is_far_away_or_too_little(tmp_path: Path, scores: list[float], verdict: str) -> None:
    plan = write_superglue(tmp_path, SUPERGLUE, scores)
    assert row(filled("fig3a", tmp_path, *plan), "100", "base")[-2] == verdict


def test_without_all_eight_tasks_there_is_no_score(tmp_path: Path) -> None:
    plan = write_superglue(tmp_path, ("rte", "cb"), [60.0, 61.0, 62.0])
    numbers = row(filled("fig3a", tmp_path, *plan), "100", "base")
    assert numbers[1:-1] == ["-", "-", "0", "-", "-"]
    assert numbers[-1] == "cb 61.5 ± 1.0 (3), rte 60.5 ± 1.0 (3)"


def test_a_multi_task_run_counts_for_each_of_its_tasks(tmp_path: Path) -> None:
    multi = {"method": "multitask_model_tuning", "task__name": "superglue", "model__name": "base"}
    for seed in range(3):
        tasks = {task: result(77.0 + seed) for task in (*SUPERGLUE, "dpr")}
        write_run(tmp_path, config(seed, **multi), {"tasks": tasks})
    made = filled("fig1", tmp_path, *seeds(**multi))
    numbers = row(made, "multitask_model_tuning", "base")
    assert numbers[:-1] == ["77.29 ± 0.21", "78.00", "1.00", "3", "+0.71", "match"]


def test_what_the_paper_quotes_of_gpt_3_waits_for_no_run(tmp_path: Path) -> None:
    table = filled("fig1", tmp_path).table
    assert len(table.rows) == 23
    assert table.verdicts == ["-"] * 15


def claims_of(folder: Path, name: str, *planned: dict[str, Any]) -> str:
    return " ".join(map(str, filled(name, folder, *planned).claims))


def test_a_claim_without_runs_is_not_measured(tmp_path: Path) -> None:
    names = ("fig1", "fig3a", "fig3b", "fig3d", "fig3c", "control")
    for name in names:
        assert "ot measured" in claims_of(tmp_path, f"{name}_ladder", *seeds())


def test_length_helps_and_then_saturates(tmp_path: Path) -> None:
    plan = []
    for length, scores in ((1, [50, 51, 52]), (20, [80, 81, 82]), (100, [81, 82, 80])):
        write_seeds(tmp_path, scores, prompt__length=length)
        plan += seeds(prompt__length=length)
    helps, saturates = filled("fig3a_ladder", tmp_path, *plan).claims
    assert (helps.answer, saturates.answer) == (AGREES, AGREES)
    assert helps.numbers.startswith("20 minus 1: ladder_400k +30.0; a gain beyond its error at 1")
    assert saturates.numbers.startswith("100 minus 20: ladder_400k +0.0; a gain beyond its error")


def test_long_prompts_that_lose_do_not_score_alike(tmp_path: Path) -> None:
    plan = []
    for length, scores in ((20, [80, 81, 82]), (150, [50, 51, 52])):
        write_seeds(tmp_path, scores, prompt__length=length)
        plan += seeds(prompt__length=length)
    helps, saturates = filled("fig3a_ladder", tmp_path, *plan).claims
    assert str(helps) == "Are 20 positions better than one? Not measured."
    assert saturates.answer == NOT_SEEN


@pytest.mark.parametrize(
    ("signs", "word"),
    [
        ([1, 1], AGREES),
        ([1, 0], PARTLY),
        ([1, 0, 0], NOT_SEEN),
        ([1, 1, -1], NOT_SEEN),
        ([0], NOT_SEEN),
        ([], "-"),
    ],
)
def test_a_claim_is_answered_by_the_signs_of_all_sizes(signs: list[int], word: str) -> None:
    assert answer(signs) == word


def test_a_gap_to_model_tuning_that_shrinks_with_size(tmp_path: Path) -> None:
    """From 30 to 1: by 29, whose standard error is the root of four variances of 1 / 3."""
    plan = []
    tuned = {"method": "model_tuning", "prompt__length": None, "init__strategy": None}
    for size, low, high in (("ladder_100k", 50, 80), ("ladder_1m", 98, 99)):
        for changed, score in (({}, low), (tuned, high)):
            here = {"model__name": size, **changed}
            write_seeds(tmp_path, [score - 1, score, score + 1], **here)
            plan += seeds(**here)
    text = claims_of(tmp_path, "fig1_ladder", *plan)
    assert "ladder_100k +30.0, ladder_1m +1.0. It falls with size: -29.0" in text
    assert "(standard error 1.2)" in text
    assert "Does the gap to model_tuning, lm_adapted close with size? Agrees." in text


def test_prompts_are_compared_with_prompt_design_however_it_answers(tmp_path: Path) -> None:
    plan = [*seeds()]
    write_seeds(tmp_path, [90.0, 91.0, 92.0])
    shown = {"method": "prompt_design", "prompt__length": None, "init__strategy": None}
    for rank, score in ((None, 10.0), ("labels", 90.0)):
        here = {**shown, "prompt__num_shots": 1, "evaluation__rank": rank}
        for seed in range(3):
            of = config(seed, **here)
            write_run(tmp_path, of, result(score + seed, score + seed), name=f"{rank}-{seed}")
        plan += seeds(**here)
    decoded, ranked = filled("fig1_ladder", tmp_path, *plan).claims
    assert (decoded.answer, ranked.answer) == (AGREES, NOT_SEEN)
    assert ranked.question == "Are prompts better than prompt_design, lm_adapted, labels?"


def test_two_seeds_carry_no_claim(tmp_path: Path) -> None:
    for length in (1, 20, 100):
        write_seeds(tmp_path, [50.0, 51.0], prompt__length=length)
    plan = [c for length in (1, 20, 100) for c in seeds(prompt__length=length)]
    made = filled("fig3a_ladder", tmp_path, *plan)
    assert all(str(claim).endswith("Not measured.") for claim in made.claims)
    assert any("has fewer than 3, and no claim rests on it" in note for note in made.table.notes)
