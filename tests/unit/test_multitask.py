"""What a mixture asks of the method, and what its joint result is."""

import made_records
import pytest

from prompt_tuning.commands import train as train_command
from prompt_tuning.composition import composed
from prompt_tuning.errors import UserError
from prompt_tuning.loop import Progress
from prompt_tuning.task_data import task_of
from prompt_tuning.task_registry import MIXTURES
from prompt_tuning.training.multitask import joint_result

MULTITASK = "method=multitask_model_tuning"


def checked(*overrides):
    return train_command.check(composed("train", overrides))


@pytest.mark.parametrize("name", MIXTURES)
def test_the_method_takes_every_mixture(name):
    config = checked(MULTITASK, f"task={name}")
    assert config.task.name == name and config.variant.name == "span_corruption"
    assert checked(MULTITASK).task.name == "mini_superglue"


@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize("method", ["prompt_tuning", "model_tuning"])
def test_the_other_methods_refuse_a_mixture(method, name):
    with pytest.raises(UserError, match=f"task={name} is a mixture of tasks") as error:
        checked(f"method={method}", f"task={name}")
    fix = str(error.value.fix)
    assert MIXTURES[name].scored[0].name in fix and MULTITASK in fix


def test_a_single_task_is_refused_by_the_method_that_trains_on_several():
    with pytest.raises(UserError, match="task=mini_rte is no mixture of tasks") as error:
        checked(MULTITASK, "task=mini_rte")
    assert error.value.fix == "choose task=superglue, or method=model_tuning for a single task"
    assert error.value.allowed == "superglue, mini_superglue"


def test_a_mixture_is_no_task_to_evaluate_a_prompt_on():
    with pytest.raises(UserError, match="mixture"):
        task_of(checked(MULTITASK).task)


def test_one_file_is_refused_for_many_tasks(tmp_path):
    """Every task would be read from it."""
    with pytest.raises(UserError, match=r"data.train_file=a.jsonl is one file, .* has 9 tasks"):
        checked(MULTITASK, "task=superglue", f"data.dir={tmp_path}", "data.train_file=a.jsonl")


def test_every_split_of_a_mixture_must_be_there_and_of_dpr_the_training_split(tmp_path):
    """DPR has no validation split: it is trained on and never scored."""
    folders = ("BoolQ", "CB", "COPA", "MultiRC", "ReCoRD", "RTE", "WiC", "WSC")
    files = [f"{folder}/{name}.jsonl" for folder in folders for name in ("train", "val")]
    for name in (*files, "DPR/train.c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    given = [MULTITASK, "task=superglue", f"data.dir={tmp_path}"]
    checked(*given)
    for name in ("DPR/train.c.txt", "WSC/val.jsonl"):
        (tmp_path / name).rename(tmp_path / "away")
        with pytest.raises(UserError, match=f"{name}: no such file"):
            checked(*given)
        (tmp_path / "away").rename(tmp_path / name)


def result(score, step, report, majority):
    floor = majority and {"majority": majority, "shortcut": majority, "shortcut_name": "bag"}
    return made_records.result(score, report, best_step=step, floor=floor, num_unparseable=1)


def test_the_joint_score_is_the_unweighted_mean_of_each_tasks_best():
    """Section 3 of the paper; the saved model has a step, and a mean, of its own."""
    tasks = {"a": result(90.0, 2, 80.0, 50.0), "b": result(60.0, 4, 50.0, 40.0)}
    joint = joint_result(tasks, Progress(step=6, best_step=4, best_score=74.0))
    assert joint["score"] == 75.0 and joint["metrics"] == {"a": 90.0, "b": 60.0}
    assert (joint["num_examples"], joint["num_unparseable"]) == (800, 2)
    assert joint["report"]["score"] == 65.0 and joint["report"]["split"] == "test"
    assert joint["report"]["metrics"] == {"a": 80.0, "b": 50.0}
    assert (joint["floor"]["majority"], joint["floor"]["shortcut"]) == (45.0, 45.0)
    assert joint["best_step"] == 4 and joint["saved_model"] == {"step": 4, "score": 74.0}
    assert joint["tasks"] == tasks
    assert joint.keys() - {"tasks", "saved_model"} == tasks["a"].keys()


def test_what_one_task_lacks_the_mean_lacks():
    """A mean over some of the tasks would pass for one over all."""
    tasks = {"a": result(90.0, 2, 80.0, 50.0), "b": result(60.0, 4, None, None)}
    joint = joint_result(tasks, Progress(best_step=4, best_score=74.0))
    assert joint["report"] is joint["floor"] is None
