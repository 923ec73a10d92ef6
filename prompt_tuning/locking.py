"""Locks between processes: taken on a file, released by the kernel when their holder dies.

The library filelock has no look at who holds a lock, and no lock on a file that is open already.
"""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from prompt_tuning.errors import InProgress, printable

# `holder_of` takes the lock for microseconds: whoever wants to hold it tries again for this long.
SECONDS_TO_TRY = 0.5
SECONDS_BETWEEN_TRIES = 0.02


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Holds the lock on `path` and writes into the file who does.

    The file stays: a process that removed it could remove one that the next has just locked.
    Between machines it holds where the file system passes flock on (NFS does, Lustre if mounted
    with `flock`).

    File and folder are made if they are not there; the error names `what` is locked.

    Raises:
        InProgress: another process holds it, or another thread.
        OSError: the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8", errors="replace") as file:
        give_up = time.monotonic() + SECONDS_TO_TRY
        while not _take(file, fcntl.LOCK_EX):
            if time.monotonic() > give_up:
                raise InProgress(what, _words_in(file))
            time.sleep(SECONDS_BETWEEN_TRIES)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def hold(file: IO[Any], what: str) -> None:
    """Locks an open file until it is closed, or raises `InProgress`; writes nothing into it."""
    if not _take(file, fcntl.LOCK_EX):
        raise InProgress(what, "another process writes it")


def begin_alone(file: IO[Any]) -> bool:
    """Whether no other process is at an open file; then others wait until `let_others_in`.

    Whoever has begun is at it until the file is closed.
    """
    is_first = _take(file, fcntl.LOCK_EX)
    if not is_first:
        let_others_in(file)
    return is_first


def let_others_in(file: IO[Any]) -> None:
    """Ends what `begin_alone` has begun; waits if another process is alone at the file."""
    fcntl.flock(file, fcntl.LOCK_SH)


def holder_of(path: Path) -> str | None:
    """Who holds the lock on `path`, such as "process 71 on gpu3"; None if nobody does."""
    try:
        file = path.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    with file:
        return None if _take(file, fcntl.LOCK_SH) else _words_in(file)


def _take(file: IO[Any], kind: int) -> bool:
    """Whether the lock could be had at once; closing the file gives it back."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _words_in(file: IO[str]) -> str:
    file.seek(0)
    return printable(file.read()) or "another process"
