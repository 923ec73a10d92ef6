"""The one protocol: looked, claimed, looked again, worked, and a record that says it all."""

import subprocess
from dataclasses import dataclass
from functools import partial
from unittest.mock import Mock

import pytest

from prompt_tuning import environment
from prompt_tuning.errors import InProgress, UserError
from prompt_tuning.interrupts import Interrupted
from prompt_tuning.protocol import do_once, started
from prompt_tuning.run_folder import RunFolder


@dataclass(frozen=True)
class Config:
    seed: int = 0


begin = partial(started, kind="test", config=Config(), identity="0123abcd")


class Work:
    """Counts how often it is done; `meanwhile` happens while it is loaded."""

    def __init__(self, folder, meanwhile=lambda: None):
        self.folder, self.meanwhile, self.times = folder, meanwhile, 0

    def load(self, config):
        self.meanwhile()
        return self.work

    def work(self, config, folder):
        with pytest.raises(InProgress):
            folder.claimed().__enter__()  # it is claimed while the work goes on
        self.times += 1
        with begin(folder) as run:
            run.finish({"result": {"score": self.times}})

    def do(self, *, rerun=False, changed=None):
        def describe(record, folder):
            return f"score {record['result']['score']}"

        do_once(Config(), self.folder, self.load, lambda *_: changed, describe, rerun=rerun)


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "test-run")


def test_work_is_done_once_again_if_asked_and_again_if_what_it_was_made_from_changed(
    folder, capsys
):
    work = Work(folder)
    work.do()
    work.do()
    assert work.times == 1
    assert "test-run: done before, score 1\n" in capsys.readouterr().out
    work.do(rerun=True)
    assert work.times == 2
    assert "done before" not in capsys.readouterr().out
    work.do(changed="a.jsonl has changed")
    assert work.times == 3
    assert "done before, but a.jsonl has changed: it is done again" in capsys.readouterr().out


def test_what_another_process_has_done_while_we_loaded_is_not_repeated(folder):
    """Between the look at the record and the lock torch is imported: seconds."""
    other = Work(folder)
    own = Work(folder, meanwhile=other.do)
    own.do()
    assert (other.times, own.times) == (1, 0)


def test_every_record_says_what_was_run_on_what_and_when(folder):
    Work(folder).do()
    record = folder.record()
    assert record is not None
    assert (record["kind"], record["config"]) == ("test", {"seed": 0})
    assert (record["config_hash"], record["format"]) == ("0123abcd", 1)
    assert record["versions"]["torch"] and record["versions"]["python"]
    assert record["machine"]["processor"] and record["machine"]["num_cpus"] >= 1
    assert record["command"] and record["finished_at"] and record["peak_memory_gib"] > 0
    assert {"commit", "dirty"} <= record.keys()


def test_a_run_that_dies_leaves_no_record(folder):
    def die():
        with begin(folder) as run:
            run.say("a line")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        die()
    assert folder.state().name == "stopped"
    assert folder.log_path.read_text().endswith("a line\n")


def test_a_stopped_run_is_not_resumed_on_other_data_or_another_model(folder):
    """It would end as a mixture of two runs under the name of one."""
    data = {"train": {"sha256": "a", "file": "x"}, "model": {"fingerprint": "f"}}
    named = {"fingerprint": "f", "inner_fingerprint": "i"}
    moved = data | {"train": {"sha256": "a", "file": "y"}}
    with begin(folder) as run:
        kept = {}
        run.check_resumed(kept, data)
        run.check_resumed(kept, moved)
        for part, changed in (("train", {"sha256": "b"}), ("model", {"fingerprint": "g"})):
            with pytest.raises(UserError, match=f"test-run was stopped, .* changed: {part}"):
                run.check_resumed(kept, data | {part: changed})
        run.check_resumed({}, data)  # a resume point of an earlier version
        run.check_resumed(kept, data | {"model": named})  # likewise
        run.check_resumed(kept := {}, data | {"model": named})
        with pytest.raises(UserError, match=r"changed: model\.inner_fingerprint"):
            run.check_resumed(kept, data | {"model": named | {"inner_fingerprint": "j"}})


def test_what_is_counted_can_be_stopped(folder, monkeypatch):
    with begin(folder) as run:
        with run.counted("evaluating", 10) as count:
            count(5)
        monkeypatch.setattr(run.stop, "check", Mock(side_effect=Interrupted(15)))
        with pytest.raises(Interrupted), run.counted("evaluating", 10) as count:
            count(5)
        with run.counted("evaluating", 10, stops=False) as count:
            count(5)


def test_the_code_version_names_the_commit_and_whether_it_was_changed(tmp_path, monkeypatch):
    def git(*arguments):
        author = ["-c", "user.name=t", "-c", "user.email=t@t"]
        command = ["git", "-C", str(tmp_path), *author, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    module = tmp_path / "prompt_tuning" / "environment.py"
    module.parent.mkdir()
    module.write_text("")
    monkeypatch.setattr(environment, "__file__", str(module))
    assert environment.code_version() == {"commit": None, "dirty": None}
    git("init")
    assert environment.code_version() == {"commit": None, "dirty": None}
    git("add", ".")
    git("commit", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert environment.code_version() == {"commit": commit, "dirty": False}
    module.write_text("# changed")
    assert environment.code_version() == {"commit": commit, "dirty": True}
    assert environment.code_line() == f"commit {commit[:12]}, uncommitted changes"
