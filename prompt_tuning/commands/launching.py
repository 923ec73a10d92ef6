"""Running a command under Hydra: check every run first, then do them one after the other."""

import os
import sys
import traceback
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from prompt_tuning.commands.composition import configs_of, hydra_problem, spelled
from prompt_tuning.config_reading import config_dir
from prompt_tuning.errors import UserError, raise_all

# With these on the command line the groups and points are not ours to predict.
NOT_OURS = ("hydra.searchpath", "hydra/sweeper")


@dataclass(frozen=True)
class Failure:
    """A run that did not finish, and why."""

    overrides: str
    error: Exception

    def __str__(self) -> str:
        error = self.error
        reason = error if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        return f"{self.overrides}: {reason}"


@dataclass
class Job:
    """What Hydra calls once for every run: keeps failures, so that a sweep goes on."""

    module: ModuleType
    command_line: list[str]
    num_runs: int = 0
    in_sweep: bool = False
    failures: list[Failure] = field(default_factory=list)

    def __call__(self, cfg: DictConfig) -> None:
        sys.argv = self.command_line  # a record shows the command as it was typed
        context = HydraConfig.get()
        self.num_runs += 1
        self.in_sweep = context.mode == RunMode.MULTIRUN
        try:
            self.module.run(self.module.check(cfg))
        except Exception as error:
            if context.runtime.choices["hydra/launcher"] != "basic":
                raise  # such a launcher's runs are in other processes: it reports them itself
            self.failures.append(Failure(" ".join(context.overrides.task), error))
            if self.in_sweep:
                self._report(self.failures[-1])

    def exit_status(self) -> int:
        """Raises a single run's failure; of a sweep 0, 2 (mistakes of the user's alone) or 1."""
        if not self.failures:
            return 0
        if not self.in_sweep:
            raise self.failures[0].error
        print(f"ptune: {len(self.failures)} of {self.num_runs} runs failed:", file=sys.stderr)
        for failure in self.failures:
            print("  " + str(failure).replace("\n", "\n  "), file=sys.stderr)
        return 2 if all(isinstance(failure.error, UserError) for failure in self.failures) else 1

    @staticmethod
    def _report(failure: Failure) -> None:
        if not isinstance(failure.error, UserError):
            traceback.print_exception(failure.error)
        print(f"ptune: error: {failure}", file=sys.stderr)


def launch(command: str, arguments: Sequence[str]) -> int:
    """Runs `ptune <command> <arguments>` and returns its exit status.

    Raises:
        UserError: the command line is wrong; nothing has run.
        Exception: whatever a single run raises. Failures within a sweep are printed instead.
    """
    module = import_module(f"prompt_tuning.commands.{command}")
    arguments = spelled(command, arguments)
    given = _parsed(arguments)
    if _is_checkable(given):
        _check_all(module, command, given)
    job = Job(module, sys.argv)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach cli.py as they are
    sys.argv = [sys.argv[0], *_for_hydra(command, arguments, given.overrides)]
    try:
        hydra.main(config_path=str(config_dir()), config_name=command, version_base="1.3")(job)()
    except HydraException as error:
        raise hydra_problem(error) from error
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


def _check_all(module: ModuleType, command: str, given: Namespace) -> None:
    """Raises every problem of every run, each once."""
    configs, problems = configs_of(
        command, given.overrides, multirun=given.multirun, only_first=bool(given.cfg)
    )
    for config in [] if given.cfg else configs:
        try:
            module.check(config)
        except UserError as error:
            problems += error.parts
    raise_all(list({str(problem): problem for problem in problems}.values()))


def _for_hydra(command: str, arguments: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Flags first, then overrides, then ours: Hydra wants all overrides in one place."""
    flags = [argument for argument in arguments if argument not in overrides]
    ours = [f"hydra.job.name={command}"]
    if not any(text.startswith(("hydra/", "hydra.sweeper")) for text in overrides):
        # Hydra composes a whole batch before its first run, and all of them have been checked.
        ours.append("hydra.sweeper.max_batch_size=1")
    return [*flags, *overrides, *ours]
