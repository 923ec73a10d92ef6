"""What a sweep says of itself: how far it is, how long it takes, what came out."""

import os
from pathlib import Path

import pytest

from prompt_tuning.errors import UserError
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.sweeps import Sweep, SweepRun

BEGAN = 1_000_000.0


@pytest.fixture
def sweep(tmp_path):
    """Two tasks under three seeds, nothing done."""
    axes = [{"task": task, "seed": str(seed)} for task in ("rte", "cb") for seed in range(3)]
    return Sweep([SweepRun(each, RunFolder(tmp_path / "-".join(each.values()))) for each in axes],
                 began=BEGAN)  # fmt: skip


def finish(run, dev, test, at=BEGAN + 1):
    report = {"split": "test", "score": test}
    run.folder.start({})
    run.folder.finish({"result": {"split": "validation", "score": dev, "report": report}})
    os.utime(run.folder.record_path, (at, at))


def fail(run, at=BEGAN + 1):
    with pytest.raises(UserError), run.folder.claimed():
        raise UserError("no such data")
    os.utime(run.folder.failure_path, (at, at))


def test_a_sweep_says_how_far_it_is(sweep):
    first = sweep.progress_line(1, BEGAN)
    assert first == "run 1 of 6: task=rte seed=0"
    finish(sweep.runs[0], 90, 90, at=BEGAN - 1)
    finish(sweep.runs[1], 90, 90)
    fail(sweep.runs[2])
    line = sweep.progress_line(4, BEGAN + 1400)
    assert line == (
        "run 4 of 6: task=cb seed=0 (1 done before, 1 done, 1 failed, about 1 h 10 min left)"
    )


def test_what_failed_in_an_earlier_attempt_is_still_to_be_done(sweep):
    fail(sweep.runs[5], at=BEGAN - 1)
    finish(sweep.runs[0], 90, 90)
    line = sweep.progress_line(2, BEGAN + 8)
    assert line.endswith("(1 done, about 40 s left)")


def test_what_was_done_before_and_fails_now_has_failed(sweep):
    """As where its data have changed since, to some that cannot be read."""
    finish(sweep.runs[0], 90, 90, at=BEGAN - 1)
    fail(sweep.runs[0])
    assert sweep.progress_line(2, BEGAN + 8) == "run 2 of 6: task=rte seed=1 (1 failed)"


def test_the_table_takes_the_mean_over_seeds_and_names_the_best_run_by_its_own_split(sweep, capsys):
    """The best on the reported split would be chosen with the answers in hand."""
    for run, dev, test in zip(sweep.runs, (80, 82, 81, 70), (60, 62, 64, 50), strict=False):
        finish(run, dev, test)
    sweep.print_results()
    head, rte, cb, best_rte, best_cb, following = capsys.readouterr().out.splitlines()
    assert head.split() == ["task", "validation", "sd", "test", "sd", "runs"]
    assert rte.split() == ["rte", "81.00", "1.00", "62.00", "2.00", "3", "of", "3"]
    assert cb.split() == ["cb", "70.00", "-", "50.00", "-", "1", "of", "3"]
    assert following.split()[:3] == ["next:", "ptune", "compare"]
    assert best_cb.split("  ")[:3] == ["best: validation 70.00", "test 50.00", "task=cb seed=0"]
    assert best_rte == f"best: validation 82.00  test 62.00  task=rte seed=1  {sweep.runs[1].folder.path}"  # fmt: skip # noqa: E501


def test_a_sweep_over_seeds_alone_has_a_line_for_each(tmp_path, capsys):
    runs = [SweepRun({"seed": str(seed)}, RunFolder(tmp_path / str(seed))) for seed in range(2)]
    for run in runs:
        finish(run, 80, 60)
    Sweep(runs).print_results()
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_runs_without_scores_have_no_table(sweep, capsys):
    """As those of a command that measures speed, or of a sweep in which everything failed."""
    sweep.runs[0].folder.start({})
    sweep.runs[0].folder.finish({"result": {"ratio": 2.0}})
    sweep.print_results()
    assert capsys.readouterr().out == ""


def test_lines_of_a_run_have_its_number_and_its_log_has_not(sweep, capsys):
    from prompt_tuning.terminal import Reporter

    run = sweep.runs[1]
    run.folder.start({})
    with sweep.doing(run.folder, is_alone=True), Reporter(run.folder.log_path) as reporter:
        reporter.line("step 10")
    assert capsys.readouterr().out.splitlines() == ["run 2 of 6: task=rte seed=1", "2/6  step 10"]
    assert "2/6" not in run.folder.log_path.read_text()


def test_a_run_that_another_machine_names_otherwise_is_done_too(sweep, capsys):
    """As where the machine that began the sweep had no GPU and this one has."""
    from prompt_tuning.terminal import say

    with sweep.doing(RunFolder(Path("runs") / "rte-3f2a91c0"), is_alone=False):
        say("step 10")
    assert capsys.readouterr().out == "rte-3f2a91c0  step 10\n"
