"""Places that cannot be written, values that no machine takes: one line, exit 2, nothing left."""

import os
import resource
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from prompt_tuning.errors import as_user_error
from prompt_tuning.files import scratch_beside, write_json, written_whole
from prompt_tuning.prompt_files import save_prompt
from prompt_tuning.resume_points import save_state

RUN = ["train", "model=ladder_100k", "tracking=none"]
LARGE = np.ones((100, 100), np.float32)


@contextmanager
def full_disk():
    """No file can grow beyond 4,000 bytes: what a full disk does, without one.

    As short as can be: the limit holds for the file that pytest itself may be writing to.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: save_prompt(path, LARGE, {}),
        lambda path: save_state(path, {"progress": {"step": 1}, "x": torch.ones(100, 100)}),
        lambda path: write_json(path, {"x": "y" * 9000}),
    ],
    ids=["prompt", "resume point", "record"],
)
def test_a_full_disk_leaves_the_old_file_and_no_other(write, tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with full_disk(), pytest.raises(OSError, match="File too large") as raised:
        write(path)
    mistake = as_user_error(raised.value)
    assert mistake is not None and mistake.exit_status == 2
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_a_file_where_a_folder_should_be_is_named(ptune, tmp_path):
    (tmp_path / "file").touch()
    assert "file/runs" in ptune(*RUN, "output_dir=file/runs", status=2).err


def test_a_folder_where_a_file_should_be_is_an_error_of_the_users(tmp_path):
    (tmp_path / "record.json").mkdir()
    with (
        pytest.raises(OSError, match=r"record\.json") as raised,
        written_whole(tmp_path / "record.json") as unfinished,
    ):
        unfinished.touch()
    assert as_user_error(raised.value) is not None
    assert [each.name for each in tmp_path.iterdir()] == ["record.json"]


def test_what_a_killed_process_has_left_goes_away_at_the_next_write(tmp_path):
    if (pid := os.fork()) == 0:
        scratch_beside(tmp_path / "record.json").touch()
        os._exit(0)
    os.waitpid(pid, 0)
    assert len([*tmp_path.iterdir()]) == 1
    write_json(tmp_path / "record.json", {})
    assert [each.name for each in tmp_path.iterdir()] == ["record.json"]


def test_what_another_container_is_writing_is_left_alone(tmp_path):
    """Containers may share a host name, and each counts its processes by itself."""
    path = tmp_path / "record.json"
    apart = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
    if subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine makes no namespaces")
    code = "import sys; from pathlib import Path; from prompt_tuning.files import scratch_beside; "
    code += "scratch_beside(Path(sys.argv[1]))"
    with written_whole(path) as unfinished:
        unfinished.touch()
        subprocess.run([*apart, sys.executable, "-c", code, str(path)], check=True)
    assert path.exists()


@pytest.mark.parametrize(
    "overrides",
    [
        ["seed=" + "9" * 400],
        ["seed=1", "seed=2"],
        ["output_dir="],
        ["output_dir=' '"],
        ["model.name=../../elsewhere"],
        ["variant.name=a/b"],
        ["prompt.length=" + "9" * 30],
        ["optimizer.step_offset=100000"],
        ["training.z_loss=" + "9" * 400],
        ["machine.num_threads=100000"],
        ["machine.device=cuda:1"],
        ["output_dir=" + "x" * 300],
        ["init=from_text", "init.text=\udcff"],
        ["init=from_text", "init.text='a\0b'"],
        ["model.path='\0'"],
        ["data.dir='a\0b'"],
        ["init.words=[a,\udcff]"],
        ["--resolve"],
        ["--experimental-rerun", "config.pickle"],
        ["-m", "seed=range(0,3,0)"],
        ["-m", "seed=range(0,1e9)"],
        ["-m", "seed=range(0,1,1e-9)"],
        ["-m", "seed=range(3,0)"],
        ["-m", "seed=range(0,200)", "prompt.length=range(1,200)"],
    ],
    ids=lambda overrides: ascii(" ".join(overrides))[1:40],
)
def test_a_value_that_cannot_be_is_refused_before_anything_is_loaded(ptune, overrides, tmp_path):
    assert ptune(*RUN, *overrides, status=2).err.startswith("ptune: error: ")
    assert not [*tmp_path.glob("**/record.json")]


@pytest.mark.parametrize(
    ("arguments", "streams", "status"),
    [
        ("list what=task", ">/dev/full", 2),
        ("--help", ">/dev/full", 2),
        ("list what=task", ">&-", 0),
        ("--help", ">&- 2>&- <&-", 0),
        ("show task=rte rows=-", "<&-", 0),
        ("show task=mini_rte", "<&- >/dev/full", 2),
        ("evaluate task=rte", "", 2),
    ],
)
def test_streams_that_are_full_or_closed_end_in_no_traceback(arguments, streams, status, tmp_path):
    command = f'exec "{sys.executable}" -m prompt_tuning {arguments} {streams}'
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == status, done.stderr
    assert b"Traceback" not in done.stderr
    assert status == 0 or done.stderr.count(b"ptune: error: ") == 1
