"""How far runs are: what `ptune list what=runs` prints, and what a sweep leaves to others."""

import json

import pytest
from quick_runs import EXAMPLE

from prompt_tuning.composition import planned_points
from prompt_tuning.config import run_name
from prompt_tuning.errors import UserError
from prompt_tuning.resume_points import save_state
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.training import tuning

EXPERIMENT = "control_ladder_model_tuning"


def test_list_shows_each_of_the_five_states(ptune, tmp_path):
    points = planned_points(EXPERIMENT, [])
    folders = [RunFolder(tmp_path / "runs" / run_name(config)) for _, config in points]
    done, running, failed, stopped, *missing = folders
    done.start({"experiment": EXPERIMENT})
    done.finish({"result": {}})
    stopped.start({"experiment": EXPERIMENT})
    save_state(stopped.resume_path, {"progress": {"step": 40}})
    with pytest.raises(UserError), failed.claimed():
        raise UserError("no such data")
    other = RunFolder(tmp_path / "runs" / "another")
    other.start({"experiment": None})

    with running.claimed():
        one = ptune("list", "what=runs", f"experiment={EXPERIMENT}").out
        every = ptune("list", "what=runs").out
    counts = [EXPERIMENT, "1", "1", "1", "1", str(len(missing)), str(len(folders))]
    assert one.splitlines()[1].split() == every.splitlines()[1].split() == counts
    assert done.name not in one
    axes_of = {run_name(config): axes for axes, config in points}
    for state, folder, detail in (
        ("running", running, "process "),
        ("failed", failed, "no such data"),
        ("stopped", stopped, "goes on at step 40"),
        ("missing", missing[0], ""),
    ):
        own = " ".join(f"{key}={value}" for key, value in axes_of[folder.name].items())
        line = next(i for i, text in enumerate(one.splitlines()) if folder.name in text)
        assert one.splitlines()[line].split() == [state, folder.name]
        described = "\n".join(one.splitlines()[line + 1 : line + 3])
        assert detail in described and own in described
    assert "1 runs in runs that no experiment above asks for:\n  stopped another" in every
    assert "fig3a" in every.splitlines()[-1] and EXPERIMENT not in every.splitlines()[-1]


def test_runs_on_a_users_own_table_are_found_where_they_were_trained(ptune, monkeypatch):
    """Their names have what the task leaves to the data: labels, and rows held out."""
    own = ["task=own", "task.name=topics", "task.label=topic", 'task.inputs="{title}"']
    own += [f"data.train_file={EXAMPLE / 'train.csv'}", "seed=0,1"]
    trained = []

    def train(_, folder):
        folder.start({"experiment": EXPERIMENT})
        folder.finish({"result": {}})
        trained.append(folder)

    monkeypatch.setattr(tuning, "train", train)
    ptune("train", "-m", f"experiment={EXPERIMENT}", *own)
    said = ptune("list", "what=runs", f"experiment={EXPERIMENT}", f"train={json.dumps(own)}").out
    row = [EXPERIMENT, str(len(trained)), "0", "0", "0", "0", str(len(trained))]
    assert said.splitlines()[1].split() == row


def test_listing_runs_makes_no_folder(ptune, tmp_path):
    assert "no run yet of: " in ptune("list", "what=runs").out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("what=run", "did you mean runs?"),
        ("what=runs experiment=fig3a_lader", "did you mean fig3a_ladder?"),
        ("experiment=fig3a", "add what=runs"),
        ('what=runs experiment=table1 train=["modle=small"]', "did you mean model?"),
    ],
)
def test_a_mistake_in_what_to_list_is_named(ptune, arguments, problem):
    assert problem in ptune("list", *arguments.split(), status=2).err


def test_a_run_that_another_process_does_is_left_to_it(ptune, monkeypatch, tmp_path):
    """A single run says so and exits with 75; a sweep goes on and says so again at its end."""
    trained = []
    monkeypatch.setattr(tuning, "train", lambda config, _: trained.append(config.seed))
    ptune("train")
    (path,) = (tmp_path / "runs").iterdir()
    with RunFolder(path).claimed():
        single = ptune("train", status=75)
        sweep = ptune("train", "-m", "seed=0,1", status=75)
    assert f"{path.name} is in progress elsewhere: process" in single.err
    assert trained == [0, 1]
    assert "going on with the next run" in sweep.out
    assert "ptune: 1 of 2 runs are in progress elsewhere:\n  seed=0" in sweep.err
