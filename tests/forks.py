"""`ptune` in processes of their own that need not import torch, transformers and datasets first.

They are forked from a server that has (multiprocessing's), where a new interpreter spends four of
its five seconds on imports. end_to_end/test_command_line.py starts the installed command itself.
"""

import atexit
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path

_SERVER = get_context("forkserver")
_SERVER.set_forkserver_preload(
    [
        "prompt_tuning.training.tuning",
        "prompt_tuning.training.follower",
        "prompt_tuning.use",
        "transformers.models.t5.modeling_t5",
        "torch.distributed",
        "hydra.main",
    ]
)
QUIET = {"OMP_NUM_THREADS": "1", "NETRC": "/dev/null"}  # one thread, no W&B account
HIDDEN = ("WANDB_API_KEY", "WANDB_MODE", "WANDB_SERVICE")


class Started:
    """A running command, as `subprocess.Popen` has it."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, module: str, environment: Mapping[str, str]
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._scratch = tempfile.TemporaryDirectory()
        said = [str(Path(self._scratch.name) / name) for name in ("out", "err")]
        self._said = [Path(name) for name in said]
        values = {name: text for name, text in os.environ.items() if name not in HIDDEN}
        values |= QUIET | dict(environment)
        given = (module, [*arguments], str(folder), values, said)
        self._process = _SERVER.Process(target=_be_the_command, args=given)
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """None: it runs; below 0: the signal that ended it."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """To the process, if it still runs."""
        if self._process.is_alive() and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float) -> int:
        """The exit status; raises as `subprocess.Popen.wait`."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("ptune", timeout)
        return self._process.exitcode

    def communicate(self, timeout: float) -> tuple[str, str]:
        """What it has said on standard output and standard error, once it has ended."""
        self.wait(timeout)
        out, err = (path.read_text(encoding="utf-8") for path in self._said)
        return out, err


def start(
    *arguments: str, folder: Path, module: str = "prompt_tuning", **environment: str
) -> Started:
    """`python -m <module> <arguments>`, begun in `folder`; variables add to the environment."""
    return Started(arguments, folder, module, environment)


def run(
    *arguments: str, folder: Path, module: str = "prompt_tuning", **environment: str
) -> subprocess.CompletedProcess[str]:
    """The same, ended."""
    process = start(*arguments, folder=folder, module=module, **environment)
    try:
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode is not None
    return subprocess.CompletedProcess([module, *arguments], process.returncode, out, err)


def _be_the_command(
    module: str, arguments: list[str], folder: str, environment: dict[str, str], said: list[str]
) -> None:
    """What the new process does."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in zip((1, 2), said, strict=True):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1, closefd=False)
    import torch

    torch.set_num_threads(1)
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()


def only_run(folder: Path) -> Path:
    """The one run that was made in `folder`."""
    (run,) = [path for path in (folder / "runs").iterdir() if path.name not in ("cache", "sweeps")]
    return run


def wait_for_step(folder: Path, step: int) -> None:
    """Until the run in `folder` has logged `step`."""
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        for curves in folder.glob("runs/*/metrics.jsonl"):
            if f'"step": {step}' in curves.read_text():
                return
        time.sleep(0.05)
    raise AssertionError(f"no step {step} within two minutes")
