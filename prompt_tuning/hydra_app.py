"""`ptune <command>` under Hydra: check every run first, let Hydra call `jobs.Job` for each.

Also its help and completion, and the packages that Hydra's launchers need.
"""

import os
import shutil
import sys
from argparse import Namespace
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, cast, get_type_hints

import hydra
from hydra._internal.utils import get_args_parser  # private: tests/unit/test_hydra_app.py pins it
from hydra.errors import HydraException
from omegaconf import OmegaConf
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
    spelled,
)
from prompt_tuning.config import choices, config_dir, described, quoted
from prompt_tuning.errors import UserError, raise_all
from prompt_tuning.jobs import Job, print_unfinished, unfinished_on_disk
from prompt_tuning.launchers import check_devices, check_jobs
from prompt_tuning.ranks import refuse_several
from prompt_tuning.sweeps import Sweep, SweepRun

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
    runs = _check_all(module, command, given) if _is_checkable(given) else []
    folder_of, sweep = getattr(module, "folder_of", None), None
    if runs and folder_of:
        sweep = Sweep([SweepRun(axes, folder_of(config)) for axes, config in runs])
        if given.multirun:
            check_devices(given.overrides, [config.machine.device for _, config in runs])
    job = Job(module, sys.argv, given.multirun, folder_of, sweep)
    sys.argv = [sys.argv[0], *_for_hydra(command, flags, given.overrides)]
    _run_under_hydra(command, job)
    return job.finish()


def _run_under_hydra(command: str, job: Job) -> None:
    """Lets Hydra read sys.argv and call the job for every run."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach cli.py as they are
    try:
        hydra.main(config_path=str(config_dir()), config_name=command, version_base="1.3")(job)()
    except HydraException as error:
        raise hydra_problem(error) from error
    except Exception:  # a launcher broke; what its jobs have done is done
        sweep = job.sweep if job.is_sweep else None
        if sweep and any(run.folder.state().name != "missing" for run in sweep.runs):
            print_unfinished(unfinished_on_disk(sweep), len(sweep.runs))
        raise


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
    points = points_of(
        command,
        given.overrides,
        multirun=given.multirun,
        only_first=bool(given.cfg),
        own_files=_own_files(given),
        check=None if given.cfg else module.check,
    )
    configs = [point.checked for point in points]
    return [] if given.cfg else list(zip(axes_of(points), configs, strict=True))


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
