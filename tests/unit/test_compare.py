"""Runs side by side."""

import pytest
from quick_runs import write_lines

from prompt_tuning.run_folder import RunFolder


def made_run(folder, *, length, accuracy, task="rte", metrics=None):
    """A run of two evaluations; without an accuracy it was stopped."""
    run = RunFolder(folder)
    config = {"task": {"name": task, "metrics": metrics}, "prompt": {"length": length}, "seed": 0}
    places = {"output_dir": str(folder), "data": {"cache_dir": f"{folder}/cache"}}
    run.start(config | places)
    curve = [{"step": 10, "eval/score": 50.0}, {"step": 20, "eval/score": 60.0}]
    write_lines(folder / "metrics.jsonl", *curve)
    if accuracy is not None:
        scored = {"metrics": {"accuracy": accuracy}, "score": accuracy}
        report = {"split": "test", "num_examples": 100, **scored}
        result = {"split": "validation", "num_examples": 40, "best_step": 20, **scored}
        run.finish({"kind": "train", "config": config, "result": {**result, "report": report}})
    return run


def test_what_differs_what_came_out_and_the_curves_are_shown(ptune, tmp_path):
    """Wilson's 95 % interval of 80 in 100 is 71.1 to 86.7 (statsmodels: proportion_confint)."""
    made_run(tmp_path / "one", length=5, accuracy=80.0)
    made_run(tmp_path / "other", length=20, accuracy=None)
    said = ptune("compare", "one", "other").out
    lines = [line.split() for line in said.splitlines()]
    assert lines[:2] == [["A", "one"], ["B", "other"]]
    assert ["prompt.length", "5", "20"] in lines
    same = ("task.name", "output_dir", "data.cache_dir", "seed")
    assert not [line for line in lines if line and line[0] in same]
    test = ["A", "test", "100", "80.00", "accuracy", "80.00", "71.1", "to", "86.7", "20"]
    assert test in lines and ["B", "stopped"] in lines
    assert (tmp_path / "comparison.png").read_bytes()[:4] == b"\x89PNG"

    assert "(no difference)" in ptune("compare", "one", "one", "picture=null").out


def test_an_accuracy_of_a_users_metric_is_no_count_of_right_answers(ptune, tmp_path):
    """Such as `evaluate`'s own, which is a share of 1."""
    folder = made_run(tmp_path / "own", length=5, accuracy=0.8, metrics=["./accuracy"])
    answer = {"idx": 0, "targets": "y", "prediction": "y"}
    write_lines(folder.predictions_path("report"), answer)
    said = ptune("compare", "own", "own").out
    test = ["A", "test", "100", "0.80", "accuracy", "0.80", "-", "20"]
    assert test in [line.split() for line in said.splitlines()] and "McNemar" not in said


def test_runs_on_the_same_examples_are_compared_in_pairs(ptune, tmp_path):
    """8 against 1 discordant examples: p = 2 (1 + 9) / 2^9 = 0.039."""
    said = {
        "one": "y" * 12 + "n" * 3,
        "other": "y" * 4 + "n" * 8 + "n" * 2 + "y",
        "third": "y" * 15,
    }
    for name, words in said.items():
        folder, first = made_run(tmp_path / name, length=5, accuracy=80.0), 7 * (name == "third")
        answers = ({"idx": first + i, "targets": "y", "prediction": w} for i, w in enumerate(words))
        write_lines(folder.predictions_path("report"), *answers)
    shown = ptune("compare", "one", "other").out
    counts = "8 examples only A has right, 1 only B"
    assert f"A and B: {counts}; McNemar's p = 0.039" in shown
    assert "McNemar" not in ptune("compare", "one", "third").out  # other examples


@pytest.mark.parametrize("label", [{}, {"label": 0}], ids=["an earlier version's", "labelled"])
def test_an_answer_to_wsc_is_judged_as_its_accuracy_is(ptune, tmp_path, label):
    """Its target is a phrase, be it the referent or not: here it is not, and another one right."""
    for name, word in (("one", "a bird"), ("other", "the cat")):
        folder = made_run(tmp_path / name, length=5, accuracy=80.0, task="wsc")
        answers = ({"idx": i, "targets": "a cat", "prediction": word, **label} for i in range(6))
        write_lines(folder.predictions_path("report"), *answers)
    shown = ptune("compare", "one", "other").out
    assert ("6 examples only A has right, 0 only B" in shown) == bool(label)
    assert ("B: not compared answer by answer" in shown) != bool(label) and "0 only A" not in shown


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["one"], "two or more runs, and has 1"),
        (["one", "nowhere"], "nowhere is not the folder of a run"),
        (["one", "one", "picture=curves.gif"], "allowed: .png, .svg, .pdf"),
        (["one", "model"], "a run of ptune pretrain, which has no score"),
        (["one", "-x"], "-x"),
    ],
)
def test_what_cannot_be_compared_is_named(ptune, tmp_path, arguments, problem):
    made_run(tmp_path / "one", length=5, accuracy=80.0)
    model = RunFolder(tmp_path / "model")
    model.start({})
    model.finish({"kind": "pretrain", "result": {"loss": 1.0}})
    assert problem in ptune("compare", *arguments, status=2).err
