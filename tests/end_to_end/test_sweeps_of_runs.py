"""Sweeps that survive: killed and started again, shared by two processes, with failures."""

import json
import os
import shutil
import signal
import subprocess
import sys

import forks
import pytest
from forks import wait_for
from quick_runs import EXAMPLE, logged, record_in, run_in, write_official

QUICK = ["training.num_steps=30", "evaluation.every_steps=10", "training.batch_size=4"]
SMALL = ["model=ladder_100k", "prompt.length=2", "evaluation.num_examples=20", "tracking=none"]
SWEEP = ["train", "-m", "seed=0,1,2", "evaluation.report_split=null", *SMALL, *QUICK]


def runs_in(folder):
    return sorted(path.parent for path in folder.glob("runs/*/record.json"))


def outcome(run):
    """What must not depend on how often a run was disturbed: scores, prompt, curves."""
    result = record_in(run)["result"]
    return result, (run / "prompt.safetensors").read_bytes(), logged(run)


def times_trained(run):
    """How often the run was started; its log has a header for each."""
    return (run / "log.txt").read_text().count(f"ptune train  {run.name}")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = run_in(tmp_path_factory.mktemp("undisturbed"), *SWEEP)
    assert len(runs_in(folder)) == 3
    return folder


def test_a_sweep_killed_midway_and_started_again_does_only_what_is_missing(
    ptune, undisturbed, tmp_path
):
    """SIGKILL leaves no time to tidy up: the second run is in the middle of its training."""
    process = forks.Started(*SWEEP, folder=tmp_path)
    wait_for(lambda: [*tmp_path.glob("runs/*-s1-*/resume.pt")] or process.returncode is not None)
    process.kill()
    assert process.wait(timeout=60) == -signal.SIGKILL
    (done,) = runs_in(tmp_path)
    before = (done / "record.json").stat().st_mtime_ns

    out = ptune(*SWEEP).out
    assert out.count(": done before") == 1
    assert (done / "record.json").stat().st_mtime_ns == before
    assert "resumed at step" in out
    runs, expected = runs_in(tmp_path), runs_in(undisturbed)
    assert [run.name for run in runs] == [run.name for run in expected]
    assert [times_trained(run) for run in runs] == [1, 2, 1]
    assert [outcome(run) for run in runs] == [outcome(run) for run in expected]


def test_two_processes_share_a_sweep_and_train_each_run_once(undisturbed, tmp_path):
    processes = [forks.Started(*SWEEP, folder=tmp_path) for _ in range(2)]
    said = "".join(process.communicate(timeout=300)[0] for process in processes)
    assert {process.returncode for process in processes} <= {0, 75}, said
    left = said.count("in progress elsewhere") + said.count(": done before")
    assert left >= 3  # one that was in progress is looked at again before the end
    runs, expected = runs_in(tmp_path), runs_in(undisturbed)
    assert [times_trained(run) for run in runs] == [1, 1, 1]
    assert [outcome(run) for run in runs] == [outcome(run) for run in expected]


@pytest.fixture
def broken(tmp_path):
    """A sweep over two tasks, with a broken line in the data of one, which is returned."""
    for split in ("train", "val"):
        write_official(tmp_path / "data" / "RTE", split)
        write_official(tmp_path / "data" / "CB", split, ("entailment", "contradiction"))
    data = tmp_path / "data" / "RTE" / "train.jsonl"
    data.write_text(data.read_text().replace('"premise": "It is 2."', '"text": "It is 2."'))
    return data


FAILING = ["train", "-m", "data.dir=data", *SMALL, "training.num_steps=2"]


def test_a_failure_in_a_process_of_its_own_is_told_of_and_a_users_task_is_known_there(
    broken, tmp_path
):
    """Jobs of joblib are in other processes, and each composes its task again.

    A failure counts where an earlier start has left a record, too.
    """
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="pip install '.[parallel]'")
    shutil.copytree(EXAMPLE, tmp_path / "data", dirs_exist_ok=True)
    command = [sys.executable, "-m", "prompt_tuning", *FAILING, "task=rte,topics"]

    def start():
        return subprocess.run(
            [*command, "--config-dir", "data", "hydra/launcher=processes"],
            cwd=tmp_path,
            env=os.environ | forks.QUIET,
            capture_output=True,
            text=True,
            check=False,
        )

    done = start()
    assert done.returncode == 2, done.stderr
    assert "ptune: 1 of 2 runs failed:" in done.stderr
    last = done.stderr.splitlines()[-1]
    assert "task=rte" in last and "train.jsonl:3" in last
    (finished,) = runs_in(tmp_path)
    assert finished.name.startswith("topics-")
    (failure,) = tmp_path.glob("runs/*/failure.json")
    assert "train.jsonl:3" in json.loads(failure.read_text())["error"]
    config = json.loads((finished / "config.json").read_text())
    assert config["machine"]["num_threads"] == max(1, len(os.sched_getaffinity(0)) // 2)
    with (tmp_path / "data" / "train.csv").open("a") as file:
        file.write("150,the tide,no label has this number.,7\n")
    again = start()
    assert again.returncode == 2, again.stderr
    assert "ptune: 2 of 2 runs failed:" in again.stderr
    assert "train.csv" in again.stderr.splitlines()[-1]
