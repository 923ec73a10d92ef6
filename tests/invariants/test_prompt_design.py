"""What must hold of a run that trains nothing: a frozen model behind solved examples."""

import re
from dataclasses import replace

import pytest
from quick_runs import config_of, lines_of, record_of, said_again

from prompt_tuning import evaluation
from prompt_tuning.config import run_name
from prompt_tuning.data.demonstrations import draw, ends_of_answer, prompt_text, with_prompt
from prompt_tuning.data.sources import DataSpec, load_split
from prompt_tuning.evaluation import EvaluationSet, answer_of
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.task_registry import TASKS

TASK = TASKS["mini_boolq_b"]


def design_of(tiny_folder, *overrides):
    return config_of(tiny_folder, "method=prompt_design", f"task={TASK.name}", *overrides)


def test_the_record_says_what_the_frozen_model_says_behind_the_seeds_examples(
    tiny_folder, tiny_checkpoint, tmp_path
):
    """Decoded here once more from the text that the run left."""
    config = design_of(tiny_folder, "prompt.num_shots=3", "seed=5")
    record = record_of(tmp_path, config)
    shown = draw(load_split(TASK, "train", DataSpec("auto")).examples, 3, seed=5)
    text = (tmp_path / "prompt.txt").read_text().removesuffix("\n")
    assert text == prompt_text(shown)
    assert record["data"]["shots"] == [example.idx for example in shown]

    test = load_split(TASK, "test", DataSpec("auto")).examples
    again = said_again(tiny_checkpoint, TASK, with_prompt(test, text))
    kept = [line["prediction"] for line in lines_of(tmp_path / "predictions" / "report.jsonl")]
    assert kept == [
        re.sub(r" *[.,;:!?].*", "", whole, flags=re.DOTALL) for whole in again.predictions
    ]

    result = record["result"]
    assert result["report"]["num_examples"] == len(test) and result["report"]["split"] == "test"
    assert (result["split"], result["num_examples"], result["best_step"]) == ("validation", 8, 0)
    assert RunFolder(tmp_path).curve() == [(0, result["score"], None)]
    assert result["num_shots"] == 3 and result["floor"]["majority"] == 50.0
    assert record["kind"] == "train" and record["num_trainable_parameters"] == 0
    assert not (tmp_path / "prompt.safetensors").exists()
    assert "3 of 3 solved examples, drawn by seed 5" in (tmp_path / "log.txt").read_text()


def test_as_many_examples_as_fit_are_shown_and_the_number_is_said(
    tiny_folder, tiny_checkpoint, tmp_path
):
    """The query comes on top and is never cut."""
    given = ["prompt.num_shots=30", "training.max_input_tokens=200", "evaluation.report_split=null"]
    record = record_of(tmp_path, design_of(tiny_folder, *given))
    num_shots = record["result"]["num_shots"]
    text = (tmp_path / "prompt.txt").read_text()
    assert 0 < num_shots < 30 and len(record["data"]["shots"]) == num_shots
    assert len(tiny_checkpoint.encode_text(text)) <= 200
    assert f"{num_shots} of 30 solved examples" in (tmp_path / "log.txt").read_text()


def answer(text, *, sentinel=False, task=TASK.name):
    ends = ends_of_answer(TASKS[task])
    return answer_of(text, EvaluationSet(TASKS[task], [], [], 8, sentinel, ends))


def test_an_answer_ends_where_the_model_goes_on_to_something_else():
    assert answer("True. passage: a") == answer("True .") == answer("True") == "True"
    assert answer("True, red.") == answer("True: it is") == "True"
    assert answer("True red") == "True red"
    assert answer(". True") == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("U.S.. country: b U.K..", "U.S."),
        ("U.S., so", "U.S."),
        ("U.S.", "U.S."),
        ("U.S", "U"),
        ("yes, sure: it is", "yes, sure"),
        ("yes, it is", "yes"),
        ("yes. sure", "yes"),
    ],
)
def test_a_users_class_may_have_marks_in_its_name(text, expected):
    task = replace(TASK, verbalizers=("U.S.", "U.K.", "yes", "yes, sure"))
    assert answer_of(text, EvaluationSet(task, [], [], 8, False, ends_of_answer(task))) == expected


def test_free_text_ends_at_the_separator_alone():
    assert answer("Paris, Texas. query: a", task="record") == "Paris, Texas"


def test_everywhere_else_an_answer_is_all_that_was_said():
    """Cut short there, an illegal answer would become a right one."""
    assert answer_of("True. a", EvaluationSet(TASK, [], [], 8, False)) == "True. a"


@pytest.mark.parametrize(
    "task", [task for task in TASKS.values() if task.verbalizers], ids=lambda t: t.name
)
def test_no_class_is_cut_short_by_its_own_name(task):
    assert not {*"".join(task.verbalizers)} & {*ends_of_answer(task)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<extra_id_0> True. Fal", "True"),
        ("True.", "True"),
        ("<extra_id_1> True", "<extra_id_1> True"),
    ],
)
def test_a_target_sentinel_is_taken_off_the_answer(text, expected):
    assert answer(text, sentinel=True) == expected
    assert answer("<extra_id_0> True") == "<extra_id_0> True"  # without the arm it is wrong


def test_the_sentinel_arm_has_room_for_the_sentinel_and_none_in_its_examples(
    tiny_folder, tmp_path, monkeypatch
):
    """Section 2.2: it stands in front of targets, which the decoder writes; inputs have none."""
    asked = []
    evaluate_prompt = evaluation.evaluate_prompt

    def watched(checkpoint, prompt, data, **rest):
        asked.append(data)
        return evaluate_prompt(checkpoint, prompt, data, **rest)

    monkeypatch.setattr(evaluation, "evaluate_prompt", watched)
    given = ["prompt.num_shots=1", "evaluation.report_split=null"]
    for variant in ("span_corruption", "span_corruption_sentinel"):
        record_of(tmp_path / variant, design_of(tiny_folder, *given, f"variant={variant}"))
    plain, sentinel = asked
    assert sentinel.target_sentinel and not plain.target_sentinel
    assert sentinel.max_target_tokens == plain.max_target_tokens + 1
    assert sentinel.ends_of_answer == plain.ends_of_answer == ends_of_answer(TASK)
    assert "extra_id" not in (tmp_path / "span_corruption_sentinel" / "prompt.txt").read_text()


def test_a_run_is_named_by_its_shots(tiny_folder):
    config = design_of(tiny_folder, "prompt.num_shots=4")
    assert "-prompt_design-K4-s0-" in run_name(config)
