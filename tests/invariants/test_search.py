"""Searches by Optuna, and runs that end before their last step: by patience or by comparison."""

import json
import re

import pytest
from quick_runs import EXAMPLE, lines_of, problems_of

from prompt_tuning.errors import InProgress, UserError
from prompt_tuning.interrupts import Interrupted
from prompt_tuning.jobs import Job
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.training import tuning

pytest.importorskip("optuna", reason="optuna is not installed: pip install '.[search]'")

FAST = [
    *("model=ladder_100k", "task=mini_rte", "tracking=none", "training.batch_size=8"),
    *("training.num_steps=24", "evaluation.every_steps=8", "evaluation.num_examples=8"),
    *("prompt.length=10", "evaluation.report_split=null"),
]
SEARCH = ["train", "-m", "hydra/sweeper=optuna", *FAST]
RATE = "optimizer.learning_rate=tag(log,interval(0.01,3))"


def test_a_search_stops_runs_that_fall_behind_and_goes_on_where_it_was(ptune, tmp_path):
    """A run of 24 steps at a rate of 0.001 answers in words that are no label: 0."""
    axes = ["optimizer.learning_rate=choice(1.0,0.001)", "seed=choice(0,1,2)"]
    pruner = "hydra.sweeper.pruner.n_startup_trials=1"
    seed = "hydra.sweeper.sampler.seed=4"  # draws 1.0 first, then 0.001
    arguments = [*SEARCH, *axes, pruner, seed]
    said = ptune(*arguments, "hydra.sweeper.num_trials=5").out
    folders = [RunFolder(path.parent) for path in tmp_path.glob("runs/*/config.json")]
    states = {folder: folder.state() for folder in folders}
    stopped = [folder for folder, state in states.items() if state.name == "stopped"]
    assert stopped and all(states[each].detail.startswith("goes on at step") for each in stopped)
    for folder in stopped:
        config = json.loads(folder.config_path.read_text())
        assert config["optimizer"]["learning_rate"] == 0.001
        assert not folder.failure_path.exists()
    best = max(f.record()["result"]["score"] for f in folders if f not in stopped)
    assert f"best: {best:.2f}" in said and "stopped early" in said

    said = ptune(*arguments, "hydra.sweeper.num_trials=6").out
    assert "6 trials, 5 done before" in said
    begun = [line[:12] for line in said.splitlines() if line.startswith("trial 6")]
    assert begun == ["trial 6 of 6"]


def test_a_search_that_goes_on_draws_anew_and_one_of_other_settings_begins(ptune, monkeypatch):
    monkeypatch.setattr(Job, "__call__", lambda *_: 79.0)
    seeds = f"seed=choice({','.join(map(str, range(50)))})"

    def drawn(num_trials, *more):
        said = ptune(*SEARCH, seeds, *more, f"hydra.sweeper.num_trials={num_trials}").out
        return re.findall(r"^trial .*: (seed=\d+)", said, flags=re.MULTILINE)

    first, further = drawn(3), drawn(6)
    assert len(first) == len(further) == 3 and first != further
    assert drawn(3, "training.patience=1") == first


def test_trials_that_failed_at_an_earlier_start_are_made_up_for(ptune, monkeypatch):
    is_mounted = False

    def train(_, folder):
        if not is_mounted:
            raise UserError("the disk is not mounted")
        folder.start({})
        folder.finish({"result": {"score": 79.0, "report": None}})

    monkeypatch.setattr(tuning, "train", train)
    arguments = [*SEARCH, "seed=choice(0,1,2)", "hydra.sweeper.num_trials=2"]
    said = ptune(*arguments, status=2)
    assert "0 trials finished, 0 stopped early, 2 failed" in said.out
    assert "the disk is not mounted" in said.err
    is_mounted = True
    said = ptune(*arguments)
    assert "trial 2 of 2" in said.out
    assert "2 trials finished, 0 stopped early, 0 failed" in said.out
    # No numbers of trials: those that failed had some too.
    assert ["seed", "score"] in [line.split() for line in said.out.splitlines()]
    assert "2 trials, 2 done before" in ptune(*arguments).out


def test_a_search_that_was_stopped_goes_on_with_the_trial_that_it_was_at(
    ptune, monkeypatch, tmp_path
):
    """Its run has a resume point; the journal may end in a torn line, as a kill leaves one."""
    endings = iter([79.0, Interrupted(15), 79.0, 79.0, 79.0])

    def job(*_):
        if isinstance(ending := next(endings), Interrupted):
            raise ending
        return ending

    def trials(status=0):
        lines = ptune(*search, status=status).out.splitlines()
        return [line.split()[4] for line in lines if line.startswith("trial ") and " of " in line]

    monkeypatch.setattr(Job, "__call__", job)
    search = [*SEARCH, RATE, "hydra.sweeper.num_trials=3"]
    first, stopped = trials(status=128 + 15)
    (journal,) = tmp_path.glob("runs/sweeps/search-*.log")
    with journal.open("a") as file:
        file.write('{"op_code": 4, "wor')
    again, third = trials()
    assert again == stopped and len({first, stopped, third}) == 3
    assert not trials()  # all are done
    journal.write_bytes(bytes(99) + b"\n")
    assert f"{journal.name}, the journal of this search, is damaged" in ptune(*search, status=2).err


def test_a_trial_that_fails_in_a_process_of_its_own_does_not_stop_the_search(ptune, monkeypatch):
    """There a job raises, and a launcher hands that over; the worst of all is the search's end."""
    endings = iter([InProgress("a", "b"), 79.0, UserError("no such data")])

    def job(*_):
        if isinstance(ending := next(endings), Exception):
            raise ending
        return ending

    monkeypatch.setattr(Job, "__call__", job)
    said = ptune(*SEARCH, "seed=choice(0,1,2)", "hydra.sweeper.num_trials=3", status=2)
    assert "1 trials finished, 0 stopped early, 2 failed" in said.out
    assert "trial 3 failed: no such data" in said.out and "best: 79.00" in said.out
    assert said.err.endswith("ptune: error: no such data\n")


@pytest.mark.parametrize("seed", ["seed=0", "seed=choice(0,1)"])
def test_the_command_that_a_search_ends_with_runs_as_it_stands(ptune, monkeypatch, seed):
    """On a task of the user's own too."""
    monkeypatch.setattr(Job, "__call__", lambda *_: 79.0)
    own = ["--config-dir", str(EXAMPLE), "task=topics", f"data.dir={EXAMPLE}", seed]
    search = ["train", "-m", "hydra/sweeper=optuna", "prompt.length=choice(5)", *own]
    *_, last = ptune(*search, "hydra.sweeper.num_trials=1").out.splitlines()
    command = last.removeprefix("next: ptune ")
    assert f"--config-dir {EXAMPLE} task=topics" in command and "prompt.length=5" in command
    assert command.count("seed=") == 1 and command.endswith(" seed=10,11,12")
    assert not problems_of(command)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "nothing to search over"),
        (["optimizer.learnin_rate=interval(0.1,1)"], "did you mean optimizer.learning_rate?"),
        (["seed=glob(*)"], "cannot be searched over"),
        ([RATE.replace("0.01", "0")], "`low > 0` must hold"),
        (["seed=interval(3,1)"], "seed=interval(3,1): `low <= high` must hold"),
        (["seed=choice(0,1)", "hydra.sweeper.num_trials=x"], "num_trials=x is not allowed"),
        (["seed=choice(0,1)", "hydra.sweeper.num_trials=0"], "num_trials=0 is not allowed"),
    ],
)
def test_a_search_over_what_cannot_be_searched_is_refused(ptune, arguments, problem):
    said = ptune(*SEARCH, *arguments, status=2)
    assert problem in " ".join(said.err.split())
    assert not said.out  # no search has begun


def test_a_run_ends_when_its_patience_does_and_keeps_its_best_step(ptune, tmp_path):
    """At this rate every answer is illegal: the first evaluation is the best, none is better."""
    run = ["train", *FAST, "optimizer.learning_rate=1e-6", "training.patience=2"]
    ptune(*run)
    (folder,) = (RunFolder(path.parent) for path in tmp_path.glob("runs/*/record.json"))
    record = folder.record() or {}
    assert record["result"]["best_step"] == 8
    assert record["result"]["last_step"] == 24
    steps = [
        line["step"] for line in lines_of(folder.path / "metrics.jsonl") if "eval/score" in line
    ]
    assert steps == [8, 16, 24]

    longer_run = [text.replace("num_steps=24", "num_steps=64") for text in run]
    ptune(*longer_run)
    longer = [r for r in map(RunFolder, tmp_path.glob("runs/mini*")) if r.path != folder.path]
    record = longer[0].record() or {}
    assert (record["result"]["best_step"], record["result"]["last_step"]) == (8, 24)
