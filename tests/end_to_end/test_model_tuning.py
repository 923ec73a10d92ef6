"""`ptune train method=model_tuning` as a user runs it, and the model that it leaves."""

import pytest
import torch
from quick_runs import lines_of, load_exactly, record_in, run_in, said_again
from safetensors.torch import load_file

from prompt_tuning.data.sources import DataSpec, load_split
from prompt_tuning.task_registry import TASKS

TASK = TASKS["mini_sst2"]
QUICK = ["training.num_steps=6", "evaluation.every_steps=3", "training.batch_size=4"]
QUICK += ["evaluation.report_split=null", "recipe=mini"]
GIVEN = ["train", "task=mini_sst2", "evaluation.num_examples=60", "tracking=none", *QUICK]


@pytest.fixture(scope="module")
def tuned(tiny_folder, tmp_path_factory):
    """The folder of a quick run."""
    folder = tmp_path_factory.mktemp("tuned")
    own = [f"model.path={tiny_folder}", "method=model_tuning", "optimizer.learning_rate=0.05"]
    (run,) = run_in(folder, *GIVEN, *own).glob("runs/mini_sst2-*")
    assert "(model tuning), no prompt" in (run / "log.txt").read_text()
    return run


def test_a_run_leaves_a_whole_model_and_no_prompt(tuned, tiny_folder):
    record = record_in(tuned)
    first = load_file(tiny_folder / "model.safetensors")
    weights = load_file(tuned / "model" / "model.safetensors")

    assert "-model_tuning-" in tuned.name and record["config"]["method"] == "model_tuning"
    assert not (tuned / "prompt.safetensors").exists() and not (tuned / "resume.pt").exists()
    assert record["num_trainable_parameters"] == record["model"]["num_parameters"]
    assert record["num_trainable_parameters"] == sum(weight.numel() for weight in weights.values())
    assert weights.keys() == first.keys()
    for name, weight in weights.items():
        assert not torch.equal(weight, first[name]), name


def test_the_saved_model_says_what_it_said_at_its_best_step(tuned):
    """save -> load -> same predictions, through an empty prompt."""
    record = record_in(tuned)
    checkpoint = load_exactly(str(tuned / "model"))
    split = load_split(TASK, "validation", DataSpec(source="embedded"), limit=60)
    again = said_again(checkpoint, TASK, split.examples)

    kept = tuned / "predictions" / f"step-{record['result']['best_step']:06d}.jsonl"
    assert again.predictions == [line["prediction"] for line in lines_of(kept)]
    assert again.scores.score == record["result"]["score"]


def test_a_prompt_can_be_trained_on_the_saved_model(ptune, tuned):
    assert "frozen parameters" in ptune(*GIVEN, f"model.path={tuned / 'model'}").out
