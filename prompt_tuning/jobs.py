"""What Hydra calls for every run, in this process or a launcher's, and how the runs have ended."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from prompt_tuning.devices import check_gpu
from prompt_tuning.errors import InProgress, UserError, as_user_error
from prompt_tuning.interrupts import Pruned
from prompt_tuning.launchers import share_gpus, share_threads
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.sweeps import Sweep
from prompt_tuning.terminal import prefixed, say


@dataclass(frozen=True)
class Unfinished:
    """A run that is not done, and why."""

    overrides: str
    reason: str
    status: int  # the exit status that it asks for
    config: Any = None  # where this process knows it

    @classmethod
    def because_of(cls, overrides: str, error: Exception, config: Any = None) -> "Unfinished":
        """The run that raised `error`."""
        if mistake := as_user_error(error):
            return cls(overrides, str(mistake), mistake.exit_status, config)
        return cls(overrides, f"{type(error).__name__}: {error}", 1, config)

    def __str__(self) -> str:
        return f"{self.overrides}: {self.reason}"


@dataclass
class Job:
    """What Hydra calls once for every run: keeps failures, so that a sweep goes on.

    No callback of Hydra's can: it sees a run fail, and then the sweeper raises the failure.

    Some launchers call copies of it in other processes. What those keep is lost: there a run's
    folder tells what became of it.
    """

    module: ModuleType
    command_line: list[str]
    is_sweep: bool
    folder_of: Callable[[Any], RunFolder] | None  # None: the command's runs are not in folders
    sweep: Sweep | None  # None: the runs are not in folders, or Hydra alone knows them
    started_in: Path = field(default_factory=Path.cwd)  # what relative paths are relative to
    num_runs: int = 0  # begun in this process
    unfinished: list[Unfinished] = field(default_factory=list)
    error: Exception | None = None  # the last run's

    def __call__(self, cfg: DictConfig) -> float | None:
        """Does one run; its score is what a search maximises."""
        sys.argv = self.command_line  # a record shows the command as it was typed
        context = HydraConfig.get()
        launcher = context.runtime.choices["hydra/launcher"]
        is_elsewhere = context.mode == RunMode.MULTIRUN and launcher != "basic"
        if is_elsewhere:
            os.chdir(self.started_in)  # a cluster's workers start where the cluster did
            share_threads(cfg, context.launcher)
            share_gpus(cfg, context.launcher)
        self.num_runs += 1
        config = None
        try:
            config = self.module.check(cfg)
            return self._run(config, is_alone=not is_elsewhere)
        except Pruned as reason:
            say(f"ptune: {reason}")
        except Exception as error:
            if is_elsewhere and (config is None or self.sweep is None):
                raise  # to Hydra, which shows the first of them once all runs have been tried
            self._keep(error, " ".join(context.overrides.task), config)
        return None

    def _run(self, config: Any, *, is_alone: bool) -> float | None:
        """Returns the score that chose the run's step; the reported one is not for a search."""
        if machine := getattr(config, "machine", None):
            check_gpu(machine.device)  # here: what starts a Slurm job need not have it
        with self._shown(config, is_alone=is_alone):
            self.module.run(config)
        record = self.folder_of(config).record() if self.folder_of else None
        return record["result"].get("score") if record else None

    def _shown(self, config: Any, *, is_alone: bool) -> AbstractContextManager[None]:
        if not self.is_sweep:
            return nullcontext()
        if self.sweep and self.folder_of:
            return self.sweep.doing(self.folder_of(config), is_alone=is_alone)
        return prefixed(f"{self.num_runs}  ")

    def _keep(self, error: Exception, overrides: str, config: Any) -> None:
        """Keeps a failure for the end; of a sweep's run it says so at once, too."""
        self.error = error
        run = Unfinished.because_of(overrides, error, config)
        self.unfinished.append(run)
        if not self.is_sweep:
            return
        if isinstance(error, InProgress):
            say(f"ptune: {error.problem}; going on with the next run")
            return
        if as_user_error(error) is None:
            traceback.print_exception(error)
        print(f"ptune: error: {run}", file=sys.stderr)

    def finish(self) -> int:
        """Raises a single run's failure; of a sweep prints results, then the runs that failed.

        Returns:
            The worst exit status, by this order: 1 a fault of the program's, 2 mistakes of the
            user's, 75 others are at it, 0 all is done.
        """
        if self.error is not None and not self.is_sweep:
            raise self.error
        if self.sweep and self.is_sweep:
            self.sweep.print_results()
        if self.sweep and not self.num_runs:  # all were done in other processes
            unfinished = unfinished_on_disk(self.sweep)
        else:
            unfinished = [run for run in self.unfinished if not self._is_done_now(run)]
        print_unfinished(unfinished, len(self.sweep.runs) if self.sweep else self.num_runs)
        return min((run.status for run in unfinished), default=0)

    def _is_done_now(self, run: Unfinished) -> bool:
        """Whether what another process was at is done; if that process has died, does it."""
        if run.status != InProgress.exit_status:
            return False
        try:
            self.module.run(run.config)
        except InProgress:
            return False
        return True


def unfinished_on_disk(sweep: Sweep) -> list[Unfinished]:
    """The runs that jobs in other processes have not finished, by what their folders say."""
    unfinished = []
    for run in sweep.runs:
        state, failure = run.folder.state(), run.folder.failure()
        if state.name == "running":
            error = InProgress(run.folder.name, state.detail)
            unfinished.append(Unfinished.because_of(run.label, error))
        elif failure and (state.name == "failed" or run.has_failed(sweep.began)):
            status = UserError.exit_status if failure["is_users"] else 1
            unfinished.append(Unfinished(run.label, failure["error"], status))
        elif state.name != "done":
            unfinished.append(Unfinished(run.label, f"{state.name}; start the sweep again", 1))
    return unfinished


def print_unfinished(unfinished: Sequence[Unfinished], num_runs: int) -> None:
    """Names the runs that are not done, those in progress elsewhere first."""
    elsewhere = [run for run in unfinished if run.status == InProgress.exit_status]
    failed = [run for run in unfinished if run not in elsewhere]
    for runs, what in ((elsewhere, "are in progress elsewhere"), (failed, "failed")):
        if runs:
            print(f"ptune: {len(runs)} of {num_runs} runs {what}:", file=sys.stderr)
        for run in runs:
            print("  " + str(run).replace("\n", "\n  "), file=sys.stderr)
