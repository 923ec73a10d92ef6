"""Records and run folders: what exists is whole, and only a record means finished."""

import json
import subprocess
from pathlib import Path

import pytest

from prompt_tuning import records
from prompt_tuning.records import RunFolder, code_version, environment


def test_only_a_record_marks_a_run_as_finished(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.start({"seed": 1})
    folder.resume_path.write_bytes(b"state")
    assert folder.record() is None

    folder.finish({"result": {"score": 50.0}})

    assert folder.record() == {"result": {"score": 50.0}}
    assert not folder.resume_path.exists()
    assert json.loads((folder.path / "config.json").read_text()) == {"seed": 1}


def test_starting_a_run_again_takes_its_record_away_first(tmp_path: Path) -> None:
    """If the repeat dies, what remains is plainly unfinished."""
    folder = RunFolder(tmp_path / "run")
    folder.start({})
    folder.finish({"result": {}})
    folder.start({})
    assert folder.record() is None


def test_a_record_that_cannot_be_written_whole_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)

    def full_disk(self: Path, *args: object, **kwargs: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(OSError, match="no space"):
        folder.finish({"result": {}})
    assert folder.record() is None


def test_the_code_version_names_the_commit_and_whether_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> str:
        author = ["-c", "user.name=t", "-c", "user.email=t@t"]
        command = ["git", "-C", str(tmp_path), *author, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    module = tmp_path / "prompt_tuning" / "records.py"
    module.parent.mkdir()
    module.write_text("")
    monkeypatch.setattr(records, "__file__", str(module))
    assert code_version() == {"commit": None, "dirty": None}
    git("init")
    assert code_version() == {"commit": None, "dirty": None}
    git("add", ".")
    git("commit", "-m", "first")
    assert code_version() == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    module.write_text("# changed")
    assert code_version()["dirty"] is True


def test_the_environment_names_versions_and_processor() -> None:
    facts = environment()
    assert facts["versions"]["torch"] and facts["versions"]["python"]
    assert facts["machine"]["processor"] and facts["machine"]["num_cpus"] >= 1
