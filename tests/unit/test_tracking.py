"""Curves: the file is always right, and W&B never stops a run."""

from contextlib import suppress
from unittest.mock import Mock

import pytest
from quick_runs import lines_of

from prompt_tuning.config import TrackingConfig
from prompt_tuning.tracking import Tracker, wandb_run

SETTINGS = wandb_run(
    TrackingConfig("wandb", project="ptune-test", entity=None, group=None, tags=["mine"]),
    name="rte-tiny-0123abcd",
    job_type="train",
    group="rte",
    axes=["rte", "P20", "x" * 99],
)


def steps(folder):
    return [line["step"] for line in lines_of(folder / "metrics.jsonl")]


def test_a_resumed_run_forgets_what_it_measured_after_its_resume_point(tmp_path):
    with Tracker(tmp_path, None, {}, step=None) as tracker:
        for step in range(6):
            tracker.log(step, {"train/loss": 1.0})
    with Tracker(tmp_path, None, {}, step=3) as tracker:
        tracker.log(4, {"train/loss": 2.0})
    assert steps(tmp_path) == [0, 1, 2, 3, 4]
    for step, kept in ((0, [0]), (None, [])):  # at 0 it has scored what is not trained; None: anew
        with Tracker(tmp_path, None, {}, step=step):
            assert steps(tmp_path) == kept


def test_tags_are_as_long_as_wandb_takes_them():
    assert SETTINGS["tags"] == ["rte", "P20", "x" * 64, "mine"]


@pytest.mark.parametrize("error", [ConnectionError, SystemExit])
@pytest.mark.parametrize("moment", ["init", "log"])
def test_a_failing_wandb_is_reported_and_the_file_goes_on(
    tmp_path, monkeypatch, caplog, moment, error
):
    run = Mock(id="x", dir=str(tmp_path))
    begin = Mock(return_value=run)
    failing = begin if moment == "init" else run.log
    failing.side_effect = error("no route to host")
    monkeypatch.setattr("wandb.init", begin)
    with Tracker(tmp_path, SETTINGS, {}, step=None) as tracker:
        tracker.log(1, {"train/loss": 1.0})
        tracker.log(2, {"train/loss": 1.0})
    assert steps(tmp_path) == [1, 2]
    assert caplog.text.count("no route to host") == 1


@pytest.mark.parametrize(("error", "exit_code"), [(None, 0), (ValueError, 1)])
def test_wandb_begins_as_its_own_variable_says_and_hears_how_a_run_ends(
    tmp_path, monkeypatch, error, exit_code
):
    run = Mock(id="x", dir=str(tmp_path))
    begin = Mock(return_value=run)
    monkeypatch.setattr("wandb.init", begin)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with suppress(ValueError), Tracker(tmp_path, SETTINGS, {}, step=None):
        if error:
            raise error
    run.finish.assert_called_once_with(exit_code=exit_code)
    assert begin.call_args.kwargs["mode"] == "disabled"
