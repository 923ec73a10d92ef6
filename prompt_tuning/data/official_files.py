"""Official files: finding them, and their formats, each read by a function of its own.

JSON lines, JSON, GLUE's tables, DPR's blocks. What a record means the task knows (`Task.flatten`).
"""

import gzip
import json
import logging
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import TextIOWrapper
from itertools import groupby, zip_longest
from pathlib import Path
from typing import IO, Any, TextIO, cast

from prompt_tuning.errors import UserError
from prompt_tuning.tasks.base import CUT_OFF

logger = logging.getLogger(__name__)

ARRAY = "a JSON array where an object belongs: write each of its objects into a line of its own"

Record = Mapping[str, Any]


def find_file(folder: Path, names: Sequence[str], split: str, task: str) -> Path:
    """The first of the names below `folder` that exists: the file of a task's split.

    Raises:
        UserError: there is none; says what was looked for and what is there.
    """
    if not folder.is_dir():
        fix = "data.dir=<folder of the official files>"
        raise UserError(f"data.dir={folder}: no such folder", fix=fix)
    for name in names:
        if (folder / name).is_file():
            return folder / name
    missing = folder / names[0]
    there = sorted(path.name for path in missing.parent.glob("*"))
    raise UserError(
        f"{missing}: no such file, so no {split} split of {task}",
        allowed=f"{' or '.join(names)} in data.dir={folder}",
        fix=f"put it there, or name another with data.{split}_file="
        + (f" ({missing.parent} has {', '.join(there)})" if there else ""),
    )


def read_records(path: Path) -> Iterator[tuple[int, Record]]:
    """The records of a file, each with the number of its first line.

    The format goes by the name: .tsv, .json (one object, an array of them, or JSON lines), .txt
    (blocks) and else JSON lines; any of them may be compressed (.gz). In an array the number is
    that of the object, from 1.

    Raises:
        UserError: the file or a line of it cannot be read; names both.
    """
    read = _READERS.get(format_of(path), _json_lines)
    try:
        # Only \n ends a line: a bare \r, or Unicode's line separator, may stand inside a text.
        with open_text(path, newline="\n") as file:
            yield from read(file)
    except _BrokenLineError as error:
        raise UserError(f"{path}:{error.line}: {error}") from None
    except UNREADABLE as error:
        raise UserError(f"{path}: cannot be read: {error}") from error


UNREADABLE = (OSError, EOFError, UnicodeDecodeError, zlib.error)  # what a damaged file raises


def format_of(path: Path) -> str:
    """The suffix that says what a file is; .gz may follow it."""
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix


def open_bytes(path: Path) -> IO[bytes]:
    """The bytes of a file, compressed or not."""
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def open_text(path: Path, newline: str) -> TextIO:
    """A text file, compressed or not, with or without a byte order mark."""
    return TextIOWrapper(open_bytes(path), encoding="utf-8-sig", newline=newline)


class _BrokenLineError(Exception):
    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def _json_lines(lines: Iterable[str]) -> Iterator[tuple[int, Record]]:
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith("["):
            raise _BrokenLineError(number, ARRAY)
        if line.strip():
            record = _object(_json_value(line.strip(), number), number)
            if number > 1 or not _is_header(record):
                yield number, record


def _is_header(record: Record) -> bool:
    """Whether it is the first line of MRQA's files; a table's column may have the same name."""
    return [*record] == ["header"] and isinstance(record["header"], dict)


def _json(file: TextIO) -> Iterator[tuple[int, Record]]:
    text = file.read()
    try:
        value = _json_value(text, 1)
    except _BrokenLineError as error:
        if "Extra data" not in str(error):  # behind the first line's object
            raise
        yield from _json_lines(text.split("\n"))
        return
    for number, record in enumerate(value if isinstance(value, list) else [value], start=1):
        yield number, _object(record, number)


def _json_value(text: str, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise _BrokenLineError(line + error.lineno - 1, f"not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:  # of a number, or of nesting, beyond all measure
        raise _BrokenLineError(line, f"not JSON that can be read: {error}") from None


def _object(value: Any, line: int) -> Record:
    if not isinstance(value, dict):
        raise _BrokenLineError(line, f"a {type(value).__name__} where an object belongs")
    return value


def named_twice(columns: Sequence[str]) -> str | None:
    """What is wrong with the names of a table's columns; None: each is there once."""
    twice = sorted({column for column in columns if columns.count(column) > 1})
    return f"more than one column is called {', '.join(map(repr, twice))}" if twice else None


def _table(file: TextIO) -> Iterator[tuple[int, Record]]:
    """Tab-separated; quotes are plain characters, as in GLUE's; a short line ends in `CUT_OFF`."""
    columns = _cells(file.readline())
    if problem := named_twice(columns):
        raise _BrokenLineError(1, problem)
    num_quoted = dict.fromkeys(columns, 0)
    num_lines = 0
    for number, line in enumerate(file, start=2):
        if not line.strip():
            continue
        cells = _cells(line)
        num_lines += 1
        for column, cell in zip(columns, cells, strict=False):
            num_quoted[column] += len(cell) > 1 and cell[0] == cell[-1] == '"'
        if len(cells) > len(columns):
            reason = f"{len(cells)} columns, but the first line names {len(columns)}"
            raise _BrokenLineError(number, reason)
        yield number, dict(zip_longest(columns, cells, fillvalue=CUT_OFF))
    if quoted := [column for column in columns if num_lines == num_quoted[column] > 1]:
        logger.warning(
            "every text of column %s stands in quotes; they are kept, as in GLUE's files: if they "
            "are not part of it, write the table without them",
            ", ".join(quoted),
        )


def _cells(line: str) -> list[str]:
    return line.removesuffix("\n").removesuffix("\r").split("\t")


def _blocks(file: TextIO) -> Iterator[tuple[int, Record]]:
    """Four lines a record, between empty ones: sentence, pronoun, candidates, the right one."""
    keys = ("sentence", "pronoun", "candidates", "label")
    numbered = enumerate(map(str.strip, file), start=1)
    for is_empty, group in groupby(numbered, key=lambda line: not line[1]):
        numbers, block = zip(*group, strict=True)
        if is_empty:
            continue
        if len(block) != len(keys):
            reason = "not a sentence, its pronoun, the candidates, the right one, an empty line"
            raise _BrokenLineError(numbers[0], reason)
        yield numbers[0], dict(zip(keys, block, strict=True))


_READERS = {".tsv": _table, ".json": _json, ".txt": _blocks}
