"""The installed `ptune` as a user meets it first: help, mistakes, the config, completion."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from prompt_tuning.commands import COMMANDS

PTUNE = Path(sys.executable).with_name("ptune")
HEAVY = ("torch", "transformers", "datasets", "wandb", "evaluate")
SECONDS = 2.5  # of processor time, with the cost of counting imports; waiting is not ours


def python(*arguments: str, folder: Path) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """An interpreter in `folder`: what it did, and which heavy packages it imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    lines = done.stderr.splitlines()
    timed = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    assert timed, done.stderr
    done.stderr = "\n".join(line for line in lines if not line.startswith("import time:"))
    return done, timed & set(HEAVY)


def ptune(
    *arguments: str, folder: Path
) -> tuple[subprocess.CompletedProcess[str], set[str], float]:
    """The installed command: that, and its CPU seconds."""
    before = _cpu_s_of_children()
    done, heavy = python(str(PTUNE), *arguments, folder=folder)
    return done, heavy, _cpu_s_of_children() - before


def _cpu_s_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"]])
def test_help_is_there_at_once(tmp_path: Path, arguments: list[str]) -> None:
    done, heavy, seconds = ptune(*arguments, folder=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("ptune")
    assert not heavy
    assert seconds < 1


SHOW_ALL = """
import sys
from prompt_tuning import cli
from prompt_tuning.commands import COMMANDS
for command in COMMANDS:
    for asked in ("--help",), ("--cfg", "job"):
        sys.argv = ["ptune", command, *asked]
        print("\\f", cli.main(), sep="")
"""


def test_every_command_shows_its_keys_and_its_config(tmp_path: Path) -> None:
    """One after the other in one interpreter, which imports nothing heavy for any of them."""
    done, heavy = python("-c", SHOW_ALL, folder=tmp_path)
    assert done.returncode == 0 and not heavy
    *shown, last = done.stdout.split("\f0\n")
    assert not last and len(shown) == 2 * len(COMMANDS)
    for command, keys, config in zip(COMMANDS, shown[::2], shown[1::2], strict=True):
        assert keys.startswith(f"ptune {command} key=value ...")
        assert config and "hydra" not in config
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("train prompt.lenght=5", "did you mean prompt.length?"),
        ("train task=rtee", "did you mean rte?"),
        ("train prompt.length=0", "allowed: 1 or more"),
        ("train machine.dtype=float16", "float16 overflows inside T5"),
        ("train task=rte data.dir=/no/such/folder", "data.dir=/no/such/folder is not a folder"),
        ("train model.path=/no/such/folder", "model.path=/no/such/folder is not a folder"),
        ("train -m seed=0,1 training.batch_size=8,0", "training.batch_size=0 is out of range"),
        ("evaluate task=rte prompt=torn.safetensors", "torn.safetensors"),
        ("train model=base init=from_file init.path=wide.npy", "is 512 wide"),
        ("evaluate task=rte", "prompt is missing"),
        ("show task=rte rows=none.jsonl", "rows=none.jsonl is not a file"),
        ("trian", "did you mean train?"),
    ],
)
def test_a_mistake_is_named_at_once_without_a_traceback(
    tmp_path: Path, arguments: str, problem: str
) -> None:
    """One message with what to do, exit status 2, before torch is imported, nothing on disk."""
    (tmp_path / "torn.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    np.save(tmp_path / "wide.npy", np.zeros((100, 512), np.float32))
    before = sorted(tmp_path.iterdir())
    done, heavy, seconds = ptune(*arguments.split(), folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert problem in done.stderr
    assert done.stderr.startswith("ptune: error: ")
    assert "Traceback" not in done.stderr
    assert not done.stdout
    assert not heavy
    assert seconds < SECONDS
    assert sorted(tmp_path.iterdir()) == before


def test_tab_completes_in_bash(tmp_path: Path) -> None:
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
