"""Files and folders that appear whole or not at all, and what is in them."""

import glob
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from socket import gethostname
from typing import Any

logger = logging.getLogger(__name__)

CHECKSUM = "checksum"  # the key of an object's own hash


def made_once(folder: Path, write: Callable[[Path], None]) -> Path:
    """The folder, written by `write` and an atomic rename if it is not there or empty."""
    if _has_files(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = scratch_beside(folder)
    scratch.mkdir()
    try:
        unfinished = scratch / folder.name
        write(unfinished)
        try:
            unfinished.rename(folder)
        except OSError:
            if not _has_files(folder):  # else a run beside this one was first, with the same bytes
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def scratch_beside(path: Path) -> Path:
    """A name beside `path` for what several writers may write at once, each under its own.

    What processes of this machine left there when they were killed is removed. Containers with its
    host name keep apart; a machine with the same name that shares the file system does not.
    """
    owner = f"{path.name}.{gethostname()}-{_pid_namespace()}-"
    for left in path.parent.glob(f"{glob.escape(owner)}*.tmp"):
        pid = left.name.removeprefix(owner).partition(".")[0]
        if pid.isdecimal() and not _is_alive(int(pid)):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
    return path.with_name(f"{owner}{os.getpid()}.{secrets.token_hex(4)}.tmp")


def _pid_namespace() -> int:
    """Where this process's number means it: every container has a namespace of its own."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # not Linux
        return 0


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # of another user, or no number that a process can have
        return True
    return True


def filled_in(template: Path, *, autoescape: bool = False, **values: Any) -> str:
    """The text of a Jinja template with its values; raises if it names one that is not given.

    `autoescape` is for HTML: values are text there, unless they are `Markup`.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(template.name).render(values)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path to write a file to, which then appears as `path`; after an error nothing is left.

    The bytes are on the disk before the name is: a power failure leaves the old file or the new.
    """
    unfinished = scratch_beside(path)
    try:
        unfinished.touch()
        mode = unfinished.stat().st_mode
        yield unfinished
        if unfinished.stat().st_mode != mode:
            unfinished.chmod(mode)  # safetensors makes a file that nobody else may read
        _to_disk(unfinished)
        unfinished.replace(path)
    except BaseException as error:
        with suppress(OSError):  # the place is one that cannot be written: nothing is left there
            unfinished.unlink(missing_ok=True)
        # A write names no file; safetensors and torch have exceptions of their own.
        if (number := _refused(error)) is not None:
            raise OSError(number, os.strerror(number), str(path)) from error
        raise
    _to_disk(path.parent)


def _refused(error: BaseException) -> int | None:
    """The number of the system's error, which a library may report in words; None: it is none."""
    if isinstance(error, OSError):
        return error.errno
    if isinstance(error.__context__, OSError):
        return error.__context__.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return found and int(found[1])


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes indented JSON by atomic rename: what exists is whole."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    with written_whole(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def with_checksum(value: Mapping[str, Any]) -> dict[str, Any]:
    """The object with a hash of its values, by which `read_json` sees that one has changed.

    It tells accidents, such as a flipped bit in a score; it is no signature.
    """
    return {**value, CHECKSUM: _checksum(value)}


def _checksum(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def read_json(path: Path, **fields: type) -> dict[str, Any] | None:
    """The object in a file; None if there is none or, with a warning, one that cannot be read.

    One that was written `with_checksum` comes without it, and is damaged if it does not fit, or
    lacks one of `fields` of its type.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError(f"a {type(value).__name__} where an object belongs")
        if value.pop(CHECKSUM, None) not in (None, _checksum(value)):
            raise ValueError("it does not say what was written")
        for name, kind in fields.items():
            if not isinstance(value.get(name), kind):
                raise ValueError(f"it has no {name}")
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError, PermissionError) as error:
        logger.warning("%s cannot be read (%s): it counts as missing", path, error)
        return None
    return value


def json_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The objects of a .jsonl file that this program wrote, and the number of its damaged lines.

    A process that died has left its last line unfinished; a file that is not there has no line.
    """
    objects: list[dict[str, Any]] = []
    lines = path.read_bytes().splitlines() if path.exists() else []
    for line in lines:
        with suppress(ValueError, RecursionError):
            value = json.loads(line.decode("utf-8"))
            if isinstance(value, dict):
                objects.append(value)
    return objects, len(lines) - len(objects)


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


def flat(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its dotted key."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
