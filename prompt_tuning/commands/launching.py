"""Running a command under Hydra: check every run first, then do them one after the other."""

import os
import sys
import traceback
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from prompt_tuning.commands.composition import hydra_problem, own_overrides, points_of, spelled
from prompt_tuning.commands.launchers import check_launchers, runs_elsewhere, share_threads
from prompt_tuning.commands.outcomes import Outcomes, Unfinished, outcomes_on_disk
from prompt_tuning.config_reading import config_dir
from prompt_tuning.errors import InProgress, UserError, raise_all

# With these on the command line the groups and points are not ours to predict.
NOT_OURS = ("hydra.searchpath", "hydra/sweeper")


@dataclass
class Job:
    """What Hydra calls once for every run: keeps failures, so that a sweep goes on.

    Some launchers call copies of it in other processes. What those keep is lost: there a run's
    folder tells what became of it.
    """

    module: ModuleType
    command_line: list[str]
    is_told_by_folders: bool  # what became of the runs of other processes
    in_sweep: bool = False
    outcomes: Outcomes = field(default_factory=Outcomes)
    error: Exception | None = None  # the last run's

    def __call__(self, cfg: DictConfig) -> None:
        sys.argv = self.command_line  # a record shows the command as it was typed
        context = HydraConfig.get()
        self.outcomes.num_runs += 1
        self.in_sweep = context.mode == RunMode.MULTIRUN
        is_elsewhere = self.in_sweep and runs_elsewhere()
        if is_elsewhere:
            share_threads(cfg)
        config = None
        try:
            config = self.module.check(cfg)
            self.module.run(config)
        except Exception as error:
            if is_elsewhere and (config is None or not self.is_told_by_folders):
                raise  # to Hydra, which shows the first of them once all runs have been tried
            self.error = error
            run = Unfinished.because_of(" ".join(context.overrides.task), error)
            self.outcomes.unfinished.append(run)
            if self.in_sweep:
                _report(run, error)

    def exit_status(self) -> int:
        """Raises a single run's failure; of a sweep the status that its runs ask for."""
        if self.error is not None and not self.in_sweep:
            raise self.error
        self.outcomes.print()
        return self.outcomes.exit_status()


def _report(run: Unfinished, error: Exception) -> None:
    """Says at once that a run of a sweep is not done; the others go on."""
    if isinstance(error, InProgress):
        print(f"ptune: {error.problem}; going on with the next run", flush=True)
        return
    if not isinstance(error, UserError):
        traceback.print_exception(error)
    print(f"ptune: error: {run}", file=sys.stderr)


def launch(command: str, arguments: Sequence[str]) -> int:
    """Runs `ptune <command> <arguments>` and returns its exit status.

    Raises:
        UserError: the command line is wrong; nothing has run.
        Exception: whatever a single run raises. Failures within a sweep are printed instead.
    """
    module = import_module(f"prompt_tuning.commands.{command}")
    arguments = spelled(command, arguments)
    given = _parsed(arguments)
    check_launchers(given.overrides)
    checked = _check_all(module, command, given) if _is_checkable(given) else []
    has_folders = bool(checked) and hasattr(module, "folder_of")
    job = Job(module, sys.argv, is_told_by_folders=has_folders)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach cli.py as they are
    sys.argv = [sys.argv[0], *_for_hydra(command, arguments, given.overrides)]
    try:
        hydra.main(config_path=str(config_dir()), config_name=command, version_base="1.3")(job)()
    except HydraException as error:
        raise hydra_problem(error) from error
    except Exception:
        if has_folders:  # a launcher broke; what its jobs have done is done
            _on_disk(module, checked).print()
        raise
    if has_folders and not job.outcomes.num_runs:
        job.in_sweep, job.outcomes = True, _on_disk(module, checked)
    return job.exit_status()


def _parsed(arguments: Sequence[str]) -> Namespace:
    """Hydra's flags and overrides, in any order."""
    parser = get_args_parser()
    parser.error = _refuse_flag  # type: ignore[method-assign]
    given = parser.parse_intermixed_args(list(arguments))
    if given.cfg and given.multirun:
        raise UserError(
            "--cfg shows one config and -m asks for many",
            allowed="--cfg or -m",
            fix="leave out -m and give each key one value",
        )
    return given


def _refuse_flag(message: str) -> NoReturn:
    raise UserError(
        message,
        allowed="key=value, -m, --help, --cfg job, --hydra-help",
        fix="write keys without dashes: prompt.length=20",
    )


def _is_checkable(given: Namespace) -> bool:
    """Whether this asks for configs, and for ones that conf/ alone defines."""
    asks_hydra = given.help or given.hydra_help or given.shell_completion or given.info
    elsewhere = given.config_dir or given.config_path or given.config_name
    foreign = any(text.lstrip("+").startswith(NOT_OURS) for text in given.overrides)
    return not (asks_hydra or elsewhere or foreign)


def _check_all(module: ModuleType, command: str, given: Namespace) -> list[tuple[str, Any]]:
    """Every run as `own_overrides` and a typed config; raises all problems, each once."""
    points, problems = points_of(
        command, given.overrides, multirun=given.multirun, only_first=bool(given.cfg)
    )
    configs = []
    for point in [] if given.cfg else points:
        try:
            configs.append(module.check(point.config))
        except UserError as error:
            problems += error.parts
    raise_all(list({str(problem): problem for problem in problems}.values()))
    return list(zip(own_overrides(points), configs, strict=True)) if configs else []


def _on_disk(module: ModuleType, checked: Sequence[tuple[str, Any]]) -> Outcomes:
    """What became of runs in other processes."""
    return outcomes_on_disk([(own, module.folder_of(config)) for own, config in checked])


def _for_hydra(command: str, arguments: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Flags first, then overrides, then ours: Hydra wants all overrides in one place."""
    flags = [argument for argument in arguments if argument not in overrides]
    ours = [f"hydra.job.name={command}"]
    if not any(text.startswith(("hydra/", "hydra.sweeper")) for text in overrides):
        # Hydra composes a whole batch before its first run, and all of them have been checked.
        ours.append("hydra.sweeper.max_batch_size=1")
    return [*flags, *overrides, *ours]
