"""How far runs are: the lock, the reason of a failure, what `ptune list what=runs` prints."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from prompt_tuning import cli
from prompt_tuning.commands.plans import planned_points
from prompt_tuning.config import run_name
from prompt_tuning.errors import InProgress, UserError, UserErrors
from prompt_tuning.interrupts import Interrupted
from prompt_tuning.locking import holder_of, locked
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.prompt_files import save_prompt
from prompt_tuning.records import RunFolder
from prompt_tuning.resume_points import save_state
from prompt_tuning.run_states import RunState, state_of

EXPERIMENT = "control_ladder_model_tuning"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def stop(folder: RunFolder, step: int) -> None:
    """Leaves what a run that was stopped at `step` leaves, with every kind of state."""
    folder.start({"experiment": EXPERIMENT})
    weight = torch.nn.Parameter(torch.ones(2, 3))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    weight.sum().backward()
    optimizer.step()
    state = {
        "trained": {"prompt": weight.detach()},
        "optimizer": optimizer.state_dict(),
        "best": None,
        "progress": {"step": step},
    }
    save_state(folder.resume_path, state)


def test_a_lock_has_one_holder_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "run" / "lock"
    assert holder_of(path) is None
    with locked(path, "the run"):
        assert "process" in str(holder_of(path))
        with pytest.raises(InProgress, match="the run is in progress elsewhere: process"):
            locked(path, "the run").__enter__()
    assert holder_of(path) is None
    with locked(path, "the run"):
        pass


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys, time, pathlib; from prompt_tuning.locking import locked\n"
        "with locked(pathlib.Path(sys.argv[1]), 'x'): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert holder_of(path) is not None
        process.kill()
        process.wait()
        assert holder_of(path) is None


def test_a_failure_leaves_its_reason_until_the_run_is_claimed_again(folder: RunFolder) -> None:
    def fail() -> None:
        with folder.claimed():
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert state_of(folder) == RunState("failed", "ValueError: broken")
    failure = folder.failure()
    assert failure is not None
    assert failure["command"] and failure["time"] and "in fail\n" in failure["traceback"]
    with folder.claimed():
        assert folder.failure() is None
        assert state_of(folder).name == "running"
    assert state_of(folder).name == "missing"


def test_a_stop_from_outside_is_no_failure(folder: RunFolder) -> None:
    def interrupt() -> None:
        with folder.claimed():
            folder.start({})
            raise Interrupted(15)

    with pytest.raises(Interrupted):
        interrupt()
    assert state_of(folder).name == "stopped"


def test_a_stopped_run_goes_on_at_its_resume_point_and_a_finished_one_is_done(
    folder: RunFolder,
) -> None:
    assert state_of(folder).name == "missing"
    folder.start({})
    assert state_of(folder) == RunState("stopped", "before its first resume point: it starts again")
    stop(folder, step=70)
    assert state_of(folder) == RunState("stopped", "goes on at step 70")
    folder.finish({})
    assert state_of(folder).name == "done"


def test_a_repeat_does_not_go_on_from_the_end_of_a_run_that_died_as_it_finished(
    folder: RunFolder,
) -> None:
    """Between the record and the removal of the resume point."""
    folder.start({})
    folder.finish({})
    folder.resume_path.write_bytes(b"the last step")
    folder.start({})
    assert not folder.resume_path.exists()


@pytest.mark.parametrize(
    "error",
    [
        UserErrors([UserError("one", fix="fix"), UserError("two")]),
        InProgress("run", "process 1"),
        Interrupted(15),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_ends_a_job_reaches_the_process_that_waits_for_it(error: BaseException) -> None:
    """An exception that cannot be unpickled breaks joblib's pool, and with it the sweep."""
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again).keys()) == (
        type(error),
        str(error),
        vars(error).keys(),
    )


def ptune(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["ptune", *arguments])
    return cli.main()


def test_list_shows_each_of_the_five_states(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    points = planned_points(EXPERIMENT)
    folders = [RunFolder(Path("runs") / run_name(config)) for _, config in points]
    done, running, failed, stopped, *missing = folders
    done.start({"experiment": EXPERIMENT})
    done.finish({})
    stop(stopped, step=40)
    with pytest.raises(UserError), failed.claimed():
        raise UserError("no such data")
    other = RunFolder(Path("runs/another"))
    other.start({"experiment": None})

    with running.claimed():
        assert ptune(monkeypatch, "list", "what=runs", f"experiment={EXPERIMENT}") == 0
        one = capsys.readouterr().out
        assert ptune(monkeypatch, "list", "what=runs") == 0
        every = capsys.readouterr().out
    counts = [EXPERIMENT, "1", "1", "1", "1", str(len(missing)), str(len(folders))]
    assert one.splitlines()[1].split() == every.splitlines()[1].split() == counts
    assert done.name not in one
    for state, folder, detail in (
        ("running", running, "process "),
        ("failed", failed, "no such data"),
        ("stopped", stopped, "goes on at step 40"),
        ("missing", missing[0], ""),
    ):
        (own,) = [own for own, config in points if run_name(config) == folder.name]
        line = next(i for i, text in enumerate(one.splitlines()) if folder.name in text)
        assert one.splitlines()[line].split() == [state, folder.name]
        described = "\n".join(one.splitlines()[line + 1 : line + 3])
        assert detail in described and own in described
    assert "1 runs in runs that no experiment above asks for:\n  stopped another" in every
    assert "fig3a" in every.splitlines()[-1] and EXPERIMENT not in every.splitlines()[-1]


def test_listing_runs_makes_no_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ptune(monkeypatch, "list", "what=runs") == 0
    assert "no run yet of: control_ladder," in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("what=run", "did you mean runs?"),
        ("what=runs experiment=fig3a_lader", "did you mean fig3a_ladder?"),
        ("experiment=fig3a", "add what=runs"),
        ('what=runs experiment=fig3a train=["modle=small"]', "did you mean model?"),
    ],
)
def test_a_mistake_in_what_to_list_is_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    problem: str,
) -> None:
    assert ptune(monkeypatch, "list", *arguments.split()) == 2
    assert problem in capsys.readouterr().err


def test_a_run_that_another_process_does_is_left_to_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A single run says so and exits with 75; a sweep goes on and says so again at its end."""
    from prompt_tuning.runs import experiment

    monkeypatch.chdir(tmp_path)
    trained: list[int] = []
    monkeypatch.setattr(experiment, "train", lambda config, _: trained.append(config.seed))
    assert ptune(monkeypatch, "train") == 0
    (path,) = (tmp_path / "runs").iterdir()
    with RunFolder(path).claimed():
        assert ptune(monkeypatch, "train") == 75
        assert f"{path.name} is in progress elsewhere: process" in capsys.readouterr().err
        assert ptune(monkeypatch, "train", "-m", "seed=0,1") == 75
    assert trained == [0, 1]
    said = capsys.readouterr()
    assert "going on with the next run" in said.out
    assert "ptune: 1 of 2 runs are in progress elsewhere:\n  seed=0" in said.err


def test_a_run_that_another_process_finished_while_we_waited_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between the look at the record and the lock torch is imported: seconds."""
    from prompt_tuning.commands import train
    from prompt_tuning.runs import experiment

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(experiment, "train", lambda *_: pytest.fail("trained again"))
    is_done = train._is_done

    def finished_meanwhile(config: object, folder: RunFolder) -> bool:
        before = is_done(config, folder)  # type: ignore[arg-type]
        folder.path.mkdir(parents=True, exist_ok=True)
        record = {"result": {"score": 1.0, "report": None}}
        folder.record_path.write_text(json.dumps(record))
        return before

    monkeypatch.setattr(train, "_is_done", finished_meanwhile)
    assert ptune(monkeypatch, "train") == 0
    assert "done before" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["evaluate", "inspect"])
def test_a_scoring_or_an_inspection_that_another_process_is_at_is_left_to_it(
    command: str,
    tiny_folder: Path,
    tiny_checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two of them at once would write the same files."""
    prompt = np.zeros((2, tiny_checkpoint.model.hidden_size), np.float32) + 1
    known = {"task": "mini_rte", "source": "x", "fingerprint": tiny_checkpoint.fingerprint}
    save_prompt(tmp_path / "prompt.safetensors", prompt, known)
    given = [f"prompt={tmp_path}/prompt.safetensors", f"model.path={tiny_folder}", "task=mini_rte"]
    given += ["variant=lm_adapted", f"output_dir={tmp_path}/out", "tracking=none"]
    given += ["evaluation.num_examples=2"] if command == "evaluate" else []
    assert ptune(monkeypatch, command, *given) == 0
    (folder,) = (path.parent for path in (tmp_path / "out").glob("*/record.json"))
    with locked(RunFolder(folder).lock_path, folder.name):
        assert ptune(monkeypatch, command, *given, "rerun=true") == 75
    assert f"{folder.name} is in progress elsewhere" in capsys.readouterr().err
    assert RunFolder(folder).record()
