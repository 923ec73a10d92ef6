"""Run folders: what exists is whole, one process works in one, and only a record means finished."""

import errno
import json
import pickle
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from prompt_tuning.errors import InProgress, UserError, UserErrors
from prompt_tuning.interrupts import Interrupted
from prompt_tuning.locking import holder_of, locked
from prompt_tuning.resume_points import save_state
from prompt_tuning.run_folder import RunFolder, RunState


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


def test_a_run_is_missing_then_stopped_at_its_resume_point_then_done(folder):
    """Told without torch, from a resume point with every kind of state in it."""
    assert folder.state().name == "missing"
    folder.start({"seed": 1})
    assert json.loads(folder.config_path.read_text()) == {"seed": 1}
    assert folder.state() == RunState("stopped", "before its first resume point: it starts again")
    weight = torch.nn.Parameter(torch.ones(2, 3))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    weight.sum().backward()
    optimizer.step()
    state = {"trained": {"prompt": weight.detach()}, "optimizer": optimizer.state_dict()}
    save_state(folder.resume_path, state | {"best": None, "progress": {"step": 70}})
    assert folder.state() == RunState("stopped", "goes on at step 70")
    assert folder.record() is None

    folder.finish({"result": {"score": 50.0}})
    assert folder.record() == {"result": {"score": 50.0}}
    assert folder.state().name == "done" and not folder.resume_path.exists()


def test_starting_a_run_again_takes_record_and_resume_point_away_first(folder):
    """If the repeat dies, what remains is plainly unfinished.

    A resume point beside a record is that of a process which died as it finished: the repeat must
    not go on from the end.
    """
    folder.start({})
    folder.finish({"result": {}})
    folder.resume_path.write_bytes(b"the last step")
    folder.start({})
    assert folder.record() is None and not folder.resume_path.exists()


def test_a_record_that_cannot_be_written_whole_is_not_written(folder, monkeypatch):
    folder.start({})
    full_disk = Mock(side_effect=OSError("no space left on device"))
    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(OSError, match="no space"):
        folder.finish({"result": {}})
    assert folder.record() is None


def test_a_lock_has_one_holder_and_names_it(tmp_path):
    path = tmp_path / "run" / "lock"
    assert holder_of(path) is None
    for _ in range(2):
        with locked(path, "the run"):
            assert "process" in str(holder_of(path))
            with pytest.raises(InProgress, match="the run is in progress elsewhere: process"):
                locked(path, "the run").__enter__()
        assert holder_of(path) is None


def test_a_failure_leaves_its_reason_until_the_run_is_claimed_again(folder):
    with pytest.raises(ValueError, match="broken"), folder.claimed():
        raise ValueError("broken")
    assert folder.state() == RunState("failed", "ValueError: broken")
    failure = folder.failure()
    assert failure is not None
    assert failure["command"] and failure["time"] and "test_run_folder.py" in failure["traceback"]
    with folder.claimed():
        assert folder.failure() is None
        assert folder.state().name == "running"
    assert folder.state().name == "missing"


def test_a_record_that_may_not_be_read_hides_no_other_run(folder, monkeypatch):
    folder.start({})
    folder.finish({"result": {}})
    monkeypatch.setattr(Path, "read_text", Mock(side_effect=PermissionError(errno.EACCES, "no")))
    assert folder.state().name == "failed" and "cannot be read" in folder.state().detail


def test_a_full_disk_is_named_by_the_runs_folder(folder):
    """A write to a file that is open names nothing."""
    with pytest.raises(OSError, match="No space"), folder.claimed():
        raise OSError(errno.ENOSPC, "No space left on device")
    assert folder.failure()["error"].startswith(f"No space left on device: {folder.path}\n")


def test_a_stop_from_outside_is_no_failure(folder):
    folder.start({})
    with pytest.raises(Interrupted), folder.claimed():
        raise Interrupted(15)
    assert folder.state().name == "stopped"


@pytest.mark.parametrize(
    "error",
    [
        UserErrors([UserError("one", fix="fix"), UserError("two")]),
        InProgress("run", "process 1"),
        Interrupted(15),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_ends_a_job_reaches_the_process_that_waits_for_it(error):
    """An exception that cannot be unpickled breaks joblib's pool, and with it the sweep."""
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error)
    assert vars(again).keys() == vars(error).keys()
