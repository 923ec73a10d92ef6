"""`ptune train` and `ptune evaluate` as a user runs them: a subprocess, a folder, files."""

import re
import signal

import forks
import pytest
from forks import only_run, wait_for_step
from quick_runs import lines_of, logged, record_in
from safetensors.numpy import load_file

from prompt_tuning.tracking import Tracker

FEW = ["evaluation.num_examples=40", "evaluation.num_report_examples=40"]
QUICK = ["training.num_steps=6", "evaluation.every_steps=2", "training.batch_size=4", *FEW]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder in which one quick default run was made, with offline W&B."""
    folder = tmp_path_factory.mktemp("trained")
    forks.run("train", *QUICK, folder=folder)
    return folder


def test_a_run_leaves_a_record_a_prompt_predictions_curves_and_an_offline_wandb_run(trained):
    run = only_run(trained)
    record = record_in(run)
    result = record["result"]
    assert record["config"]["training"]["num_steps"] == 6
    assert result["best_step"] in (2, 4, 6)
    assert run.name.endswith(record["config_hash"])
    assert record["data"]["train"]["sha256"] and record["duration_s"] > 0

    tensors = load_file(run / "prompt.safetensors")
    prompt, init = tensors["prompt"], tensors["init"]
    assert prompt.shape == init.shape == (20, record["model"]["hidden_size"])
    assert record["num_trainable_parameters"] == prompt.size
    assert (prompt != init).any(axis=1).all()  # every row has moved

    curves = lines_of(run / "metrics.jsonl")
    losses = {line["step"]: line["train/loss"] for line in curves if "train/loss" in line}
    assert list(losses) == [1, 2, 3, 4, 5, 6]
    scores = {line["step"]: line["eval/score"] for line in curves if "eval/score" in line}
    assert list(scores) == [2, 4, 6]
    assert max(scores.values()) == scores[result["best_step"]] == result["score"]

    root_mean_square = {line["step"]: line["prompt/rms"] for line in curves if "prompt/rms" in line}
    assert list(root_mean_square) == [2, 4, 6]
    saved = float((prompt**2).mean() ** 0.5)
    assert root_mean_square[result["best_step"]] == pytest.approx(saved)

    for step in (2, 4, 6):
        lines = (run / "predictions" / f"step-{step:06d}.jsonl").read_text().splitlines()
        assert len(lines) == result["num_examples"]
    assert list(run.glob(f"wandb/offline-run-*-train-{record['config_hash']}/*.wandb"))
    assert not (run / "resume.pt").exists()


def test_the_same_run_again_returns_the_record_at_once(trained):
    """In an interpreter of its own, which does not even import torch."""
    before = (only_run(trained) / "record.json").read_text()
    again, imported, _ = forks.python("-m", "prompt_tuning", "train", *QUICK, folder=trained)
    assert again.returncode == 0 and "done before" in again.stdout
    assert "hydra" in imported and "torch" not in imported
    assert (only_run(trained) / "record.json").read_text() == before


def test_a_saved_prompt_scores_what_it_scored_in_training(ptune, monkeypatch, trained, tmp_path):
    """save -> load -> same predictions, the model taken from the prompt's own metadata."""
    summaries = []
    monkeypatch.setattr(Tracker, "summarise", lambda _, values: summaries.append(values))
    run = only_run(trained)
    best = record_in(run)["result"]
    prompt = run / "prompt.safetensors"
    own = ["task=mini_sst2", "evaluation.num_examples=40", "tracking=none", "output_dir=evaluated"]
    ptune("evaluate", f"prompt={prompt}", *own)
    (evaluated,) = (tmp_path / "evaluated").glob("evaluate-*")
    record = record_in(evaluated)
    assert record["result"]["score"] == best["score"]
    assert record["result"]["metrics"] == best["metrics"]
    assert lines_of(evaluated / "metrics.jsonl") == [{"step": 0, "eval/accuracy": best["score"]}]
    assert summaries == [{"eval/score": best["score"]}]
    kept = run / "predictions" / f"step-{best['best_step']:06d}.jsonl"
    again = evaluated / "predictions" / "predictions.jsonl"
    assert again.read_text() == kept.read_text()


LONGER = [
    *("training.num_steps=100", "evaluation.every_steps=50", "training.batch_size=4"),
    *("training.dropout=0.1", "tracking=none", *FEW),
]


def test_a_run_that_is_stopped_twice_continues_to_the_same_prompt(tmp_path):
    """From outside, between two steps, by Ctrl-C and by kill: bit for bit the prompt of a run that
    was not stopped."""
    whole, halting = tmp_path / "whole", tmp_path / "halting"
    forks.run("train", *LONGER, folder=whole)
    for number, step in ((signal.SIGINT, 2), (signal.SIGTERM, 55)):
        process = forks.Started("train", *LONGER, folder=halting)
        wait_for_step(halting, step)
        process.send_signal(number)
        assert process.wait(timeout=60) == 128 + number
        run = only_run(halting)
        assert (run / "resume.pt").exists() and not (run / "record.json").exists()

    resumed = forks.run("train", *LONGER, folder=halting)
    (begun_at,) = re.findall(r"resumed at step (\d+)", resumed)
    assert int(begun_at) >= 55
    expected = only_run(whole)
    assert logged(run) == logged(expected)
    first, second = (load_file(path / "prompt.safetensors") for path in (run, expected))
    for name in ("prompt", "init"):
        assert (first[name] == second[name]).all(), name


def test_a_prompt_on_another_model_is_refused(ptune, trained, tmp_path, write_tiny):
    """The weights differ though the shape is the same: the fingerprint tells."""
    other = tmp_path / "other"
    write_tiny(other, ["some other text that makes another vocabulary of pieces"])
    own = [f"prompt={only_run(trained) / 'prompt.safetensors'}", f"model.path={other}"]
    given = ["evaluate", *own, "task=mini_sst2", "tracking=none"]
    assert "other weights" in ptune(*given, status=2).err
