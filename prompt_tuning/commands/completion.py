"""Shell completion: Hydra's, taught that the first word is a command.

Hydra's shell function calls `ptune -sc query=<shell>`, without the command, and passes the whole
line in COMP_LINE.
"""

import os
from collections.abc import Sequence

from prompt_tuning.commands import COMMANDS


def complete(arguments: Sequence[str]) -> int:
    """Answers `ptune -sc query=bash` or, for any command alike, `ptune -sc install=bash`."""
    if not any(argument.startswith("query=") for argument in arguments):
        return _ask_hydra("train", arguments)
    line = os.environ.get("COMP_LINE", "")
    program, *words = line.split() or ["ptune"]
    if not words or (len(words) == 1 and not line[-1].isspace()):
        print(" ".join(name for name in COMMANDS if name.startswith("".join(words))))
        return 0
    command, *rest = words
    if command not in COMMANDS:
        return 0
    os.environ["COMP_LINE"] = " ".join([program, *rest]) + (" " if line[-1].isspace() else "")
    return _ask_hydra(command, arguments)


def _ask_hydra(command: str, arguments: Sequence[str]) -> int:
    from prompt_tuning.commands.launching import launch

    return launch(command, arguments)
