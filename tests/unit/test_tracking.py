"""Curves: the file is always right, and W&B never stops a run."""

import pytest
from quick_runs import lines_of

from prompt_tuning.config import TrackingConfig
from prompt_tuning.tracking import Tracker, wandb_run

SETTINGS = wandb_run(
    TrackingConfig("wandb", project="ptune-test", entity=None, group=None, tags=["mine"]),
    name="rte-tiny-0123abcd",
    job_type="train",
    group="rte",
    axes=["rte", "P20"],
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


def test_a_line_that_a_killed_process_left_torn_does_not_stop_the_resumed_run(
    tmp_path,
):
    with Tracker(tmp_path, None, {}, step=None) as tracker:
        tracker.log(1, {"train/loss": 1.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "train/lo')
    with Tracker(tmp_path, None, {}, step=2) as tracker:
        tracker.log(3, {"train/loss": 1.0})
    assert steps(tmp_path) == [1, 3]


@pytest.mark.parametrize("moment", ["init", "log"])
def test_a_failing_wandb_is_reported_and_the_file_goes_on(tmp_path, monkeypatch, caplog, moment):
    import wandb

    class Run:
        id, dir = "x", str(tmp_path)

        def log(self, *args, **kwargs):
            raise ConnectionError("no route to host")

    def init(**kwargs):
        if moment == "init":
            raise ConnectionError("no route to host")
        return Run()

    monkeypatch.setattr(wandb, "init", init)
    with Tracker(tmp_path, SETTINGS, {}, step=None) as tracker:
        tracker.log(1, {"train/loss": 1.0})
        tracker.log(2, {"train/loss": 1.0})
    assert steps(tmp_path) == [1, 2]
    assert caplog.text.count("no route to host") == 1
