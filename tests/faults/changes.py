"""Changes that a process makes to files: counted, and its death before one of them."""

import os
import signal
import sys
from pathlib import Path


def count_changes(folder, counter, die_at):
    """A byte in the file `counter` for every change in `folder` by this process from now on.

    An int `die_at`: it is killed just before it makes, renames or removes a file for this time.
    """
    log = os.open(counter, os.O_WRONLY | os.O_APPEND)

    def count(event, details):
        if _is_change(event, details, folder):
            os.write(log, b".")
            if os.fstat(log).st_size == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def _is_change(event, details, folder):
    """Whether an event of Python's auditing is a change to a file in `folder`."""
    if event == "open":
        path, _, flags = details
        is_change = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    else:
        is_change = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
        path = details[0] if is_change else None
    if not is_change or not isinstance(path, str | bytes | os.PathLike):
        return False
    return Path(folder, os.fsdecode(path)).is_relative_to(folder)
