"""What must hold of a run on a mixture: every task at its own best step, also if it was stopped."""

from collections import defaultdict
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
)
from safetensors.torch import load_file

from prompt_tuning.data.sources import DataSpec, load_split
from prompt_tuning.evaluation import Evaluation
from prompt_tuning.interrupts import Interrupted
from prompt_tuning.metrics import Scores
from prompt_tuning.task_registry import MIXTURES
from prompt_tuning.training import multitask

TASKS = MIXTURES["mini_superglue"].scored
NAMES = [task.name for task in TASKS]
LONGER = [
    *("training.num_steps=6", "evaluation.every_steps=2", "training.batch_size=4"),
    *("training.num_train_examples=12", "training.dropout=0.1", "optimizer.learning_rate=0.05"),
]


@pytest.fixture(scope="module", autouse=True)
def short_test_splits():
    """Test splits of 40 examples: a random model makes no better use of 800."""
    load_splits = multitask.load_splits

    def shortened(*given):
        splits = load_splits(*given)
        report = splits.report
        return replace(splits, report=report and replace(report, examples=report.examples[:40]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multitask, "load_splits", shortened)
        yield


def mixed(tiny_folder, *overrides):
    return config_of(tiny_folder, "method=multitask_model_tuning", *LONGER, *overrides)


# score of each task by step: the first has its best at 2, the last at 6, the mean at 4
SCRIPT = {
    2: dict(zip(NAMES, (90.0, 40.0, 10.0, 50.0, 10.0), strict=True)),
    4: dict(zip(NAMES, (80.0, 60.0, 50.0, 50.0, 20.0), strict=True)),
    6: dict(zip(NAMES, (70.0, 50.0, 50.0, 40.0, 30.0), strict=True)),
}
BEST_STEPS = dict(zip(NAMES, (2, 4, 4, 2, 6), strict=True))


def scripted(script, asked):
    """A `Watch.decode` that scores by the script, on a test split ten more."""

    def decode(watch, data):
        step, name, size = watch.training.progress.step, data.task.name, len(data.examples)
        asked.append((name, step, size))
        score = script[step][name] + 10 * (size > 8)
        return Evaluation(Scores({"accuracy": score}, score, size, 1), ["x"] * size)

    return decode


def test_a_task_is_reported_at_its_own_best_step_and_the_model_saved_at_the_means(
    tiny_folder, tmp_path, monkeypatch
):
    """As the paper chooses a checkpoint for each task; a later equal score is no better."""
    asked = []
    weights = {}
    evaluate = multitask.TasksWatch.evaluate

    def watched(watch, method, step):
        weights[step] = {name: w.detach().clone() for name, w in method.trained.items()}
        return evaluate(watch, method, step)

    monkeypatch.setattr(multitask.TasksWatch, "decode", scripted(SCRIPT, asked))
    monkeypatch.setattr(multitask.TasksWatch, "evaluate", watched)
    result = record_of(tmp_path, mixed(tiny_folder))["result"]

    assert {name: each["best_step"] for name, each in result["tasks"].items()} == BEST_STEPS
    for name, each in result["tasks"].items():
        assert each["score"] == SCRIPT[BEST_STEPS[name]][name]
        assert each["report"]["score"] == each["score"] + 10
        assert each["report"]["split"] == "test" and each["report"]["num_examples"] > 8
        assert each["floor"]["majority"] == 50.0
    assert result["score"] == (90 + 60 + 50 + 50 + 30) / 5
    assert result["report"]["score"] == result["score"] + 10
    assert result["best_step"] == 4 and result["saved_model"] == {"step": 4, "score": 52.0}
    assert result["num_examples"] == 40

    saved = load_file(tmp_path / "model" / "model.safetensors")
    assert all(torch.equal(saved[name], value) for name, value in weights[4].items())
    on_test = defaultdict(list)
    for name, step, size in asked:
        if size > 8:
            on_test[name].append(step)
    improved = dict(zip(NAMES, ([2], [2, 4], [2, 4], [2], [2, 4, 6]), strict=True))
    assert on_test == improved  # at once, and at no other step


@pytest.fixture(scope="module")
def whole(tiny_folder, tmp_path_factory):
    """The folder of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    record_of(folder, mixed(tiny_folder))
    return folder


@pytest.mark.parametrize(("name", "call"), [("on_step", 3), ("decode", 3), ("decode", 12)])
def test_a_run_that_stopped_in_a_step_or_an_evaluation_ends_the_same_bit_for_bit(
    tiny_folder, whole, tmp_path, name, call
):
    """What a task reached before the stop is in the resume point: its weights are gone.

    Where half of the tasks were scored, all of them are again.
    """
    config = mixed(tiny_folder)
    with stopped_in(multitask.TasksWatch, name, call), pytest.raises(Interrupted):
        record_of(tmp_path, config)
    assert (tmp_path / "resume.pt").exists() and not (tmp_path / "record.json").exists()
    record_of(tmp_path, config)
    assert_same(whole, tmp_path)


def assert_same(one, other):
    results = [record_in(each)["result"] for each in (one, other)]
    assert results[0] == results[1]
    files = [path.relative_to(one) for path in (one / "predictions").rglob("*.jsonl")]
    assert len(files) == len(NAMES) * (3 + 1)
    for file in (*files, "model/model.safetensors", "metrics.jsonl"):
        assert (one / file).read_bytes() == (other / file).read_bytes(), file


def test_the_saved_model_says_of_every_task_what_it_said_at_the_best_mean(whole):
    """In T5's format, with the task's name; decoded here from the saved weights once more."""
    record = record_in(whole)
    step = record["result"]["saved_model"]["step"]
    model = load_exactly(str(whole / "model"))
    scores = []
    for task in TASKS:
        split = load_split(task, "validation", DataSpec("auto"), limit=8, text_format="t5")
        assert split.examples[0].inputs.startswith(task.name.removeprefix("mini_") + " ")
        again = said_again(model, task, split.examples)
        kept = whole / "predictions" / task.name / f"step-{step:06d}.jsonl"
        assert again.predictions == [line["prediction"] for line in lines_of(kept)]
        scores.append(again.scores.score)
    assert sum(score or 0 for score in scores) / len(scores) == pytest.approx(
        record["result"]["saved_model"]["score"]
    )


def test_the_record_has_every_tasks_data_and_the_header_every_tasks_share(whole):
    record = record_in(whole)
    assert [*record["data"]["tasks"]] == NAMES == [*record["result"]["tasks"]]
    for name in NAMES:
        data = record["data"]["tasks"][name]
        assert {*data} == {"train", "validation", "test"}
        assert data["train"]["num_examples"] == 12
    log = (whole / "log.txt").read_text()
    assert "mini_superglue: 60 training examples, shuffled" in log
    assert log.count("12 training examples (20.0 %), 8 of validation") == len(NAMES)
    assert "the mean of 5 tasks, each at its best step" in log


def test_a_training_aid_is_trained_on_in_proportion_and_never_scored(
    tiny_folder, tmp_path, monkeypatch
):
    """As DPR is in the paper's mixture."""
    first, second, aid = TASKS[:3]
    mixture = multitask.mixture_of(mixed(tiny_folder).task)
    small = replace(mixture, scored=(first, second), unscored=(aid,))
    monkeypatch.setattr(multitask, "mixture_of", lambda _: small)
    seen = []
    encode = multitask.encode_training_examples

    def watched(examples, *rest):
        seen.append(sum(example.inputs.startswith(f"{aid.t5_prefix} ") for example in examples))
        return encode(examples, *rest)

    monkeypatch.setattr(multitask, "encode_training_examples", watched)
    record = record_of(tmp_path, mixed(tiny_folder, "evaluation.report_split=null"))
    assert seen == [12]
    assert [*record["result"]["tasks"]] == [first.name, second.name]
    assert {*record["data"]["tasks"][aid.name]} == {"train"}
    assert record["result"]["report"] is None
    assert f"{aid.name}" in (tmp_path / "log.txt").read_text()
    assert "12 training examples (33.3 %), not scored" in (tmp_path / "log.txt").read_text()
