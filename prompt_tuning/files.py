"""Files and folders that appear whole or not at all, and what is in them."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path


def made_once(folder: Path, write: Callable[[Path], None]) -> Path:
    """The folder, written by `write` and an atomic rename if it is not there."""
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        unfinished = Path(scratch) / folder.name
        write(unfinished)
        try:
            unfinished.rename(folder)
        except OSError:  # a run beside this one was first, with the same bytes
            assert folder.exists(), folder
    return folder


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path to write a file to, which then appears as `path`; after an error nothing is left.

    The bytes are on the disk before the name is: a power failure leaves the old file or the new.
    """
    unfinished = path.with_name(f"{path.name}.tmp")
    try:
        yield unfinished
        _to_disk(unfinished)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    _to_disk(path.parent)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_facts(path: Path) -> dict[str, str]:
    """A file in a record: where it is, and what is in it."""
    return {"file": str(path), "sha256": _known_sha256(path, stamp(path))}


def stamp(path: Path) -> tuple[int, int]:
    """What changes when a file does: its size and the time of its last change, in ns."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def sha256_of(path: Path) -> str:
    """The hash of a file's bytes as they are now, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache  # for the runs of a sweep
def _known_sha256(path: Path, stamp: tuple[int, int]) -> str:
    return sha256_of(path)
