"""`ptune <command>` under Hydra: check every run first, do them one by one, say what failed.

Also its help and completion, and what Hydra's launchers, which run jobs in other processes, need.
"""

import os
import shutil
import sys
import traceback
from argparse import Namespace
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, cast, get_type_hints

import hydra
from hydra._internal.utils import get_args_parser  # private: tests/unit/test_hydra_app.py pins it
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from prompt_tuning.commands import COMMANDS
from prompt_tuning.composition import (
    Axes,
    axes_of,
    choices_with,
    composed,
    hydra_problem,
    points_of,
    quoted,
    spelled,
)
from prompt_tuning.config import choices, config_dir, described
from prompt_tuning.devices import check_gpu
from prompt_tuning.errors import InProgress, UserError, as_user_error, raise_all
from prompt_tuning.interrupts import Pruned
from prompt_tuning.launchers import check_devices, check_jobs, share_gpus, share_threads
from prompt_tuning.ranks import refuse_several
from prompt_tuning.sweeps import Sweep, SweepRun
from prompt_tuning.terminal import prefixed, say

# With these on the command line the groups and points are not ours to predict.
NOT_OURS = ("hydra.searchpath", "hydra/sweeper")

# Files of conf/hydra -> the plugin that they need, and our extra that brings it.
PLUGINS = {
    "hydra/launcher=processes": ("hydra-joblib-launcher", "parallel"),
    "hydra/launcher=slurm": ("hydra-submitit-launcher", "slurm"),
    "hydra/launcher=ray_tasks": ("hydra-ray-launcher", "ray"),
    "hydra/sweeper=optuna": ("optuna", "search"),
}

HELP = """\
ptune {command} key=value ...
{summary}

Groups: choose a file (group=name)"""
KEYS = "\nKeys: set a value (key=value)"
FLAGS = """
-m sweeps over comma-separated values; --cfg job prints the config; --hydra-help: every flag."""


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
    sweep: Sweep | None  # None: the runs have no folders, or Hydra alone knows them
    started_in: Path = field(default_factory=Path.cwd)  # what relative paths are relative to
    in_sweep: bool = False
    num_runs: int = 0
    unfinished: list[Unfinished] = field(default_factory=list)
    error: Exception | None = None  # the last run's

    def __call__(self, cfg: DictConfig) -> float | None:
        """Does one run; its score is what a search maximises."""
        sys.argv = self.command_line  # a record shows the command as it was typed
        context = HydraConfig.get()
        self.num_runs += 1
        self.in_sweep = context.mode == RunMode.MULTIRUN
        is_elsewhere = self.in_sweep and context.runtime.choices["hydra/launcher"] != "basic"
        if is_elsewhere:
            os.chdir(self.started_in)  # a cluster's workers start where the cluster did
            share_threads(cfg, context.launcher)
            share_gpus(cfg, context.launcher)
        config = None
        try:
            config = self.module.check(cfg)
            if machine := getattr(config, "machine", None):
                check_gpu(machine.device)  # here: what starts a Slurm job need not have it
            with self._shown(config, is_alone=not is_elsewhere):
                self.module.run(config)
            return _score(self.module, config)
        except Pruned as reason:
            say(f"ptune: {reason}")
            return None
        except Exception as error:
            if is_elsewhere and (config is None or self.sweep is None):
                raise  # to Hydra, which shows the first of them once all runs have been tried
            self.error = error
            run = Unfinished.because_of(" ".join(context.overrides.task), error, config)
            self.unfinished.append(run)
            if self.in_sweep:
                _report(run, error)
            return None

    def _shown(self, config: Any, *, is_alone: bool) -> AbstractContextManager[None]:
        if self.in_sweep and self.sweep:
            return self.sweep.doing(self.module.folder_of(config), is_alone=is_alone)
        return prefixed(f"{self.num_runs}  ") if self.in_sweep else nullcontext()

    def _is_done_now(self, run: Unfinished) -> bool:
        """Whether what another process was at is done; if that process has died, does it."""
        if run.status != InProgress.exit_status or run.config is None:
            return False
        try:
            self.module.run(run.config)
        except InProgress:
            return False
        return True

    def exit_status(self) -> int:
        """Raises a single run's failure; names those of a sweep and returns the worst status.

        0 all is done, 1 a fault of the program's, 2 mistakes of the user's, 75 others are at it;
        the worst is 1, then 2, then 75.
        """
        if self.error is not None and not self.in_sweep:
            raise self.error
        self.unfinished = [run for run in self.unfinished if not self._is_done_now(run)]
        _print_unfinished(self.unfinished, self.num_runs)
        return min((run.status for run in self.unfinished), default=0)


def _score(module: ModuleType, config: Any) -> float | None:
    """The score that chose a run's step, which a search may look at; the reported one it may not.

    None of commands whose runs have no score.
    """
    record = module.folder_of(config).record() if hasattr(module, "folder_of") else None
    return record["result"].get("score") if record else None


def _report(run: Unfinished, error: Exception) -> None:
    """Says at once that a run of a sweep is not done; the others go on."""
    if isinstance(error, InProgress):
        say(f"ptune: {error.problem}; going on with the next run")
        return
    if as_user_error(error) is None:
        traceback.print_exception(error)
    print(f"ptune: error: {run}", file=sys.stderr)


def _print_unfinished(unfinished: Sequence[Unfinished], num_runs: int) -> None:
    elsewhere = [run for run in unfinished if run.status == InProgress.exit_status]
    failed = [run for run in unfinished if run not in elsewhere]
    for runs, what in ((elsewhere, "are in progress elsewhere"), (failed, "failed")):
        if runs:
            print(f"ptune: {len(runs)} of {num_runs} runs {what}:", file=sys.stderr)
        for run in runs:
            print("  " + str(run).replace("\n", "\n  "), file=sys.stderr)


def _unfinished_on_disk(sweep: Sweep) -> list[Unfinished]:
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


def launch(command: str, arguments: Sequence[str]) -> int:
    """Runs `ptune <command> <arguments>` and returns its exit status.

    Raises:
        UserError: the command line is wrong; nothing has run.
        Exception: whatever a single run raises. Failures within a sweep are printed instead.
    """
    module = import_module(f"prompt_tuning.commands.{command}")
    given = _parsed(arguments)
    if given.multirun:
        refuse_several("a sweep (-m)")
    flags = [argument for argument in arguments if argument not in given.overrides]
    given.overrides = with_keys(given.overrides, getattr(module, "POSITIONAL", None))
    if given.help:
        print_help(command, module, given.overrides, _own_files(given))
        return 0
    check_plugins(given.overrides)
    check_jobs(given.overrides)
    refuse_repeated(given.overrides)
    checked = _check_all(module, command, given) if _is_checkable(given) else []
    sweep = None
    if checked and hasattr(module, "folder_of"):
        sweep = Sweep([SweepRun(axes, module.folder_of(config)) for axes, config in checked])
        if given.multirun:
            check_devices(given.overrides, [config.machine.device for _, config in checked])
    job = Job(module, sys.argv, sweep)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach cli.py as they are
    sys.argv = [sys.argv[0], *_for_hydra(command, flags, given.overrides)]
    try:
        hydra.main(config_path=str(config_dir()), config_name=command, version_base="1.3")(job)()
    except HydraException as error:
        raise hydra_problem(error) from error
    except Exception:  # a launcher broke; what its jobs have done is done
        has_begun = sweep and any(run.folder.state().name != "missing" for run in sweep.runs)
        if sweep and given.multirun and has_begun:
            _print_unfinished(_unfinished_on_disk(sweep), len(sweep.runs))
        raise
    if sweep and not job.num_runs:
        job.in_sweep, job.num_runs = True, len(sweep.runs)
        job.unfinished = _unfinished_on_disk(sweep)
    if sweep and job.in_sweep:
        sweep.print_results()
    return job.exit_status()


def with_keys(arguments: Sequence[str], name: str | None) -> list[str]:
    """Arguments without a key become one list under `name`; None: the command takes none."""
    bare = [text for text in arguments if "=" not in text and not text.startswith(("-", "~"))]
    if name is None or not bare:
        return [*arguments]
    return [*(text for text in arguments if text not in bare), f"{name}={quoted(bare)}"]


def _parsed(arguments: Sequence[str]) -> Namespace:
    """Hydra's flags and overrides, in any order."""
    parser = get_args_parser()
    parser.error = _refuse_flag  # type: ignore[method-assign]
    given = parser.parse_intermixed_args(list(arguments))
    if given.experimental_rerun:
        _refuse_flag("--experimental-rerun is not for ptune")
    if given.resolve and not (given.cfg or given.help):
        _refuse_flag("--resolve belongs to --cfg job")
    if given.cfg and given.multirun:
        raise UserError(
            "--cfg shows one config and -m asks for many",
            allowed="--cfg or -m",
            fix="leave out -m and give each key one value",
        )
    return given


def refuse_repeated(overrides: Sequence[str]) -> None:
    """Raises a UserError if a key is given twice: Hydra would take the last value without a word.

    A key that is deleted (~) and added again (+) is another matter.
    """
    texts: dict[str, list[str]] = {}
    for text in overrides:
        if not text.startswith("~"):
            texts.setdefault(text.partition("=")[0].lstrip("+"), []).append(text)
    raise_all(
        UserError(f"{key} is given {len(same)} times: {' '.join(same)}", fix="give it once")
        for key, same in texts.items()
        if len(same) > 1
    )


def _refuse_flag(message: str) -> NoReturn:
    raise UserError(
        message,
        allowed="key=value, -m, --help, --cfg job, --hydra-help",
        fix="write keys without dashes: prompt.length=20",
    )


def _is_checkable(given: Namespace) -> bool:
    """Whether this asks for configs, and for ones that conf/ alone defines."""
    foreign = any(text.lstrip("+").startswith(NOT_OURS) for text in given.overrides)
    asks_hydra = given.hydra_help or given.shell_completion or given.info
    return not (foreign or asks_hydra or given.config_path or given.config_name)


def _own_files(given: Namespace) -> Path | None:
    own_files = Path(given.config_dir) if given.config_dir else None
    if own_files is not None and not own_files.is_dir():
        fix = "give the folder that holds task/<name>.yaml"
        raise UserError(f"--config-dir {own_files} is not a folder", fix=fix)
    return own_files


def _check_all(module: ModuleType, command: str, given: Namespace) -> list[tuple[Axes, Any]]:
    """Every run: its place on the axes and its typed config; raises all problems, each once."""
    points, problems = points_of(
        command,
        given.overrides,
        multirun=given.multirun,
        only_first=bool(given.cfg),
        own_files=_own_files(given),
        check=module.check,
    )
    configs = []
    for point in () if given.cfg else points:
        try:
            configs.append(module.check(point.config))
        except UserError as error:
            problems += error.parts
    raise_all(problems)
    return list(zip(axes_of(points), configs, strict=True)) if configs else []


def _for_hydra(command: str, flags: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Flags first, then overrides, then ours: Hydra wants all overrides in one place."""
    ours = [f"hydra.job.name={command}"]
    if not any(text.startswith(("hydra/", "hydra.sweeper")) for text in overrides):
        # Hydra composes a whole batch before its first run, and all of them have been checked.
        ours.append("hydra.sweeper.max_batch_size=1")
    return [*flags, *(spelled(command, override) for override in overrides), *ours]


def print_help(
    command: str, module: ModuleType, overrides: Sequence[str], own_files: Path | None
) -> None:
    """The page of `ptune <command> --help`: every key, with its value under these overrides."""
    config = composed(command, overrides, only_first=True, own_files=own_files)
    values = cast(dict[str, Any], OmegaConf.to_container(config))
    console = Console(width=max(100, shutil.get_terminal_size((120, 0)).columns), highlight=False)
    groups, keys = (Table(box=None, show_header=False, padding=(0, 1)) for _ in range(2))
    for group in filter(choices, values):
        groups.add_row(group, ", ".join(choices_with(own_files, group)))
    for row in described(get_type_hints(module.check)["return"], values):
        keys.add_row(*row)
    head = HELP.format(command=command, summary=COMMANDS[command])
    for part in (head, groups, KEYS, keys, FLAGS):
        console.print(part, markup=False)


def complete(arguments: Sequence[str]) -> int:
    """Answers `ptune -sc query=bash` or, for any command alike, `ptune -sc install=bash`.

    Hydra's shell function calls `ptune -sc query=<shell>`, without the command, and passes the
    whole line in COMP_LINE. Its first word is a command; Hydra completes the others.
    """
    command, line = "train", os.environ.get("COMP_LINE", "")
    if any(argument.startswith("query=") for argument in arguments):
        program, *words = line.split() or ["ptune"]
        if not words or (len(words) == 1 and not line[-1].isspace()):
            print(" ".join(name for name in COMMANDS if name.startswith("".join(words))))
            return 0
        command, *rest = words
        if command not in COMMANDS:
            return 0
        end = " " if line[-1].isspace() else ""
        os.environ["COMP_LINE"] = " ".join([program, *rest]) + end
    return launch(command, arguments)


def check_plugins(overrides: Sequence[str]) -> None:
    """Raises UserError if the command line chooses a launcher or sweeper that is not installed."""
    for text in filter(PLUGINS.__contains__, overrides):
        package, extra = PLUGINS[text]
        try:
            version(package)
        except PackageNotFoundError:
            raise UserError(
                f"{text} needs {package}, which is not installed",
                fix=f"pip install 'ptune[{extra}]', in a checkout pip install -e '.[{extra}]'",
            ) from None
    if "hydra/sweeper=optuna" in overrides:
        import_module("prompt_tuning.search").register()
