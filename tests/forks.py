"""`ptune` in processes of their own that need not import torch, transformers and datasets first.

They are forked from a server that has (multiprocessing's), where a new interpreter spends four of
its five seconds on imports. end_to_end/test_command_line.py starts the installed command itself.
"""

import atexit
import os
import resource
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
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
        "prompt_tuning.bench.measure",
        "prompt_tuning.ensembling.ensemble_prompts",
        "prompt_tuning.inspection.inspect_prompt",
        "prompt_tuning.pretraining.text_to_checkpoint",
        "prompt_tuning.report.page",
    ]
)
QUIET = {"OMP_NUM_THREADS": "1", "NETRC": "/dev/null"}  # one thread, no W&B account
HIDDEN = ("WANDB_API_KEY", "WANDB_MODE", "WANDB_SERVICE")


class Started:
    """A running command, as `subprocess.Popen` has it."""

    def __init__(self, *arguments, folder, module="prompt_tuning", before=None, **environment):
        """`python -m <module> <arguments>`, begun in `folder`; variables add to the environment.

        `before`, which is pickled, is called in the process before the module is.
        """
        folder.mkdir(exist_ok=True)
        self._scratch = tempfile.TemporaryDirectory()
        said = [str(Path(self._scratch.name) / name) for name in ("out", "err")]
        self._said = [Path(name) for name in said]
        values = {name: text for name, text in os.environ.items() if name not in HIDDEN}
        values |= QUIET | environment
        given = (module, arguments, str(folder), values, said, before)
        self._process = _SERVER.Process(target=_be_the_command, args=given)
        self._process.start()

    @property
    def returncode(self):
        """None: it runs; below 0: the signal that ended it."""
        return self._process.exitcode

    def send_signal(self, number):
        """To the process, if it still runs."""
        if self._process.is_alive() and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def kill(self):
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout):
        """The exit status; raises as `subprocess.Popen.wait`."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("ptune", timeout)
        return self._process.exitcode

    def communicate(self, timeout):
        """What it has said on standard output and standard error, once it has ended."""
        self.wait(timeout)
        out, err = (path.read_text(encoding="utf-8") for path in self._said)
        return out, err


def run(*arguments, folder, module="prompt_tuning", **environment):
    """What `python -m <module> <arguments>` says on both streams; it ends well."""
    process = Started(*arguments, folder=folder, module=module, **environment)
    try:
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, out + err
    return out + err


def python(*arguments, folder):
    """A new interpreter in `folder`: how it ended, what it imported, its seconds of processor time.

    The cost of counting imports is in the time, waiting is not.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | QUIET,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = done.stderr.splitlines()
    timed = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    assert timed, done.stderr
    done.stderr = "\n".join(line for line in lines if not line.startswith("import time:"))
    return done, timed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _be_the_command(module, arguments, folder, env, said, before):
    """What the new process does."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    for number, path in zip((1, 2), said, strict=True):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1, closefd=False)
    import torch

    torch.set_num_threads(1)
    sys.argv = [module, *arguments]
    if before:
        before()
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()


def only_run(folder):
    """The one run that was made in `folder`."""
    (run,) = [path for path in (folder / "runs").iterdir() if path.name not in ("cache", "sweeps")]
    return run


def wait_for(is_so):
    """Until something is so; at most two minutes."""
    give_up = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < give_up, "not so within two minutes"
        time.sleep(0.005)


def wait_for_step(folder, step):
    """Until the run in `folder` has logged `step`."""
    logs = partial(folder.glob, "runs/*/metrics.jsonl")
    wait_for(lambda: any(f'"step": {step}' in path.read_text() for path in logs()))
