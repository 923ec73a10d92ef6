"""The installed `ptune` as a user meets it first: help, mistakes, the config, completion."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from forks import python

from prompt_tuning.commands import COMMANDS

PTUNE = Path(sys.executable).with_name("ptune")
HEAVY = {"torch", "transformers", "datasets", "wandb", "evaluate"}
SECONDS = 2.5  # of processor time


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"]])
def test_help_is_there_at_once(tmp_path, arguments):
    done, imported, seconds = python(str(PTUNE), *arguments, folder=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("ptune")
    assert not imported & HEAVY
    assert seconds < 1


ONE_BY_ONE = """
import contextlib, io, json, runpy, sys, time
program, *lines = sys.argv[1:]
for line in lines:
    out, err, begun = io.StringIO(), io.StringIO(), time.process_time()
    sys.argv = [program, *line.split()]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(program, run_name="__main__")
        except SystemExit as ended:
            status = ended.code
    seconds = time.process_time() - begun
    print(json.dumps([status, out.getvalue(), err.getvalue(), seconds, [*sys.modules]]))
"""


def one_by_one(lines, folder):
    """Command lines, one after another in one interpreter, which imports nothing heavy.

    Gives each with its status, output, errors and seconds of processor time.
    """
    given = [*lines]
    done, *_ = python("-c", ONE_BY_ONE, str(PTUNE), *given, folder=folder)
    assert done.returncode == 0, done.stderr
    for line, said in zip(given, done.stdout.splitlines(), strict=True):
        status, out, err, seconds, modules = json.loads(said)
        assert not HEAVY & {*modules}, line
        yield line, status, out, err, seconds


def test_every_command_shows_its_keys_and_its_config(tmp_path):
    asked = [f"{command} {flag}" for command in COMMANDS for flag in ("--help", "--cfg job")]
    for line, status, out, *_ in one_by_one(asked, tmp_path):
        command, flag, *_ = line.split()
        assert status == 0
        assert out.startswith(f"ptune {command} key=value ...") == (flag == "--help")
        assert out and (flag == "--help" or "hydra" not in out)
    assert not list(tmp_path.iterdir())


MISTAKES = {
    "train prompt.lenght=5": "did you mean prompt.length?",
    "train task=rtee": "did you mean rte?",
    "train prompt.length=0": "allowed: 1 or more",
    "train machine.dtype=float16": "float16 overflows inside T5",
    "train task=rte data.dir=/no/such/folder": "data.dir=/no/such/folder is not a folder",
    "train model.path=/no/such/folder": "model.path=/no/such/folder is not a folder",
    "train -m seed=0,1 training.batch_size=8,0": "training.batch_size=0 is out of range",
    "evaluate task=rte prompt=torn.safetensors": "torn.safetensors",
    "train model=base init=from_file init.path=wide.npy": "is 512 wide",
    "evaluate task=rte": "prompt is missing",
    "show task=rte rows=none.jsonl": "rows=none.jsonl is not a file",
    "trian": "did you mean train?",
}


def test_a_mistake_is_named_at_once_without_a_traceback(tmp_path):
    """One message with what to do, exit status 2, before torch is imported, nothing on disk."""
    (tmp_path / "torn.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    np.save(tmp_path / "wide.npy", np.zeros((100, 512), np.float32))
    before = sorted(tmp_path.iterdir())
    for line, status, out, err, seconds in one_by_one(MISTAKES, tmp_path):
        assert (status, out) == (2, ""), line
        assert err.startswith("ptune: error: ") and MISTAKES[line] in err, line
        assert "Traceback" not in err and seconds < SECONDS, line
    assert sorted(tmp_path.iterdir()) == before


def test_tab_completes_in_bash(tmp_path):
    """Through the function that `ptune -sc install=bash` defines, as a shell calls it."""
    script = """
        export PATH="$1:$PATH"
        eval "$(ptune -sc install=bash)"
        complete_line() {
            COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=($1) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            hydra_bash_completion
            echo "${COMPREPLY[@]}"
        }
        complete_line "ptune tra"
        complete_line "ptune train task=rt"
    """
    done = subprocess.run(
        ["bash", "-c", script, "bash", str(PTUNE.parent)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.splitlines() == ["train", "task=rte"], done.stderr
