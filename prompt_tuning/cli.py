"""`ptune <command> ...`: finds the command, prints a user's mistakes, sets the exit status.

0 done, 1 a fault of the program's, 2 a mistake of the user's, 75 another process is at it,
130 and 143 stopped from outside.
Imports nothing heavy: help and mistakes are answered at once.
"""

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from io import TextIOWrapper
from pathlib import Path

from prompt_tuning import __version__
from prompt_tuning.commands import COMMANDS
from prompt_tuning.errors import UserError, as_user_error, did_you_mean, printable
from prompt_tuning.interrupts import Interrupted, silence_stdout
from prompt_tuning.ranks import join, refuse_several

HELP = """\
ptune: prompt tuning of frozen T5 models (Lester et al., 2021)

{commands}

  ptune <command> --help             its keys, groups and values
  ptune <command> key=value ...      set any of them
  ptune train -m task=rte,cb         every combination of several values
  ptune <command> ... --cfg job      the config, without running it
  eval "$(ptune -sc install=bash)"   complete commands, keys and values with TAB (bash)
"""


def main() -> int:
    """The console script."""
    _open_streams()
    return _status_of(_run_among_others)


def _open_streams() -> None:
    """Gives a stream that the shell has closed (`>&-`) its number back, but no place to go to.

    Else the next file that is opened would have the number, and all that is printed there. A letter
    that the terminal's encoding lacks is printed by its number, as standard error does by itself.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _run_among_others() -> int:
    """The command line; of the processes that torchrun has started, the first one runs it."""
    ranks = join()
    if ranks is None:
        return run(sys.argv[1:])
    status = 1
    try:
        if ranks.is_first:
            status = _status_of(partial(run, sys.argv[1:]))
        else:
            from prompt_tuning.training.follower import follow

            status = follow(ranks)
    finally:
        ranks.end(status)
    return status


def _status_of(work: Callable[[], int]) -> int:
    """The exit status of work that returns it or fails; prints a user's mistake."""
    try:
        status = work()
        sys.stdout.flush()  # a full disk shows here, or at the very end, unseen
        return status
    except Interrupted as stop:
        return 128 + stop.signal_number
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `ptune show ... | head`
        silence_stdout()
        return 0
    except Exception as error:
        if (mistake := as_user_error(error)) is None:
            raise
        for part in mistake.parts:
            print(f"ptune: error: {printable(str(part))}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            silence_stdout()
        return mistake.exit_status


def run(arguments: Sequence[str]) -> int:
    """Runs a command line without the program's name; raises what `main` turns into a status."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        commands = "\n".join(f"  {name:<10} {summary}" for name, summary in COMMANDS.items())
        print(HELP.format(commands=commands), end="")
        return 0
    command, *rest = arguments
    if command == "--version":
        print(f"ptune {__version__}")
        return 0
    if command in ("-sc", "--shell-completion"):
        from prompt_tuning.hydra_app import complete

        return complete(arguments)
    if command not in COMMANDS:
        raise UserError(
            f"{command} is not a command",
            allowed=", ".join(COMMANDS),
            fix=did_you_mean(command, COMMANDS) or "ptune --help",
        )
    if command != "train":
        refuse_several(f"ptune {command}")
    from prompt_tuning.hydra_app import launch

    return launch(command, rest)


if __name__ == "__main__":
    sys.exit(main())
