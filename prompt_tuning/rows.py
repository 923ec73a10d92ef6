"""Reading raw rows, JSON lines or a table, for the commands that take them from anywhere."""

import json
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from prompt_tuning.data.official_files import ARRAY, UNREADABLE, format_of, open_bytes
from prompt_tuning.data.tabular_files import FORMATS, read_table
from prompt_tuning.errors import UserError
from prompt_tuning.tasks.base import CUT_OFF, is_null

STDIN = "-"
ANSWER_FIELDS = ("prediction", "probabilities", "error")  # the answer's, not the row's
TABLES = tuple(suffix for suffix in FORMATS if suffix != ".jsonl")

Line = bytes | Mapping[str, Any]  # of JSON lines; of a table, or from Python, a row itself


def check_readable(rows: str, key: str = "rows") -> None:
    """Raises a UserError if `rows`, the value of `key`, is neither a file nor - for stdin."""
    if rows != STDIN and not Path(rows).is_file():
        fix = f"give a table or JSON lines, or {key}=- for standard input"
        raise UserError(f"{key}={rows} is not a file", fix=fix)


def row_in(line: Line) -> dict[str, Any]:
    """The row in a line of JSON lines, or of Python's values, with null for NaN.

    Raises:
        ValueError: it is no JSON object, or one that could not be written again.
    """
    try:
        row = _parsed(line) if isinstance(line, bytes) else _plain(line)
        if not isinstance(row, dict):
            raise ValueError(f"a {type(row).__name__} where an object belongs")
        json.dumps(row, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise ValueError("lists and objects are nested too deep") from None
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair, such as a cut emoji: no text") from None
    return row


def own_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a row that are not an older answer's."""
    return {key: value for key, value in row.items() if key not in ANSWER_FIELDS}


def prompt_named_in(row: Mapping[str, Any], tasks: Mapping[str, str | None]) -> str:
    """The name of the prompt that answers a row: the row names it or its task.

    It need not where there is only one prompt.

    Args:
        row: with "prompt", or with "task": a prompt so called, or the one trained on it.
        tasks: of every prompt by its name the task that it was trained on, None: unknown.

    Raises:
        ValueError: there is no such prompt; the message is the reason.
    """
    for key in ("prompt", "task"):
        if not isinstance(row.get(key, ""), str):
            raise ValueError(f'"{key}" is {type(row[key]).__name__}, not str')
    if "prompt" in row:
        if row["prompt"] not in tasks:
            raise ValueError(f"no prompt {row['prompt']}; there are {', '.join(tasks)}")
        return str(row["prompt"])
    if "task" not in row:
        if len(tasks) == 1:
            return next(iter(tasks))
        raise ValueError('a row needs "prompt" or "task"')
    task = row["task"]
    trained = [task] if task in tasks else [name for name, own in tasks.items() if own == task]
    if len(trained) != 1:
        raise ValueError(f'{len(trained)} prompts for task {task}: name one with "prompt"')
    return str(trained[0])


def _parsed(line: bytes) -> Any:
    text = line.decode("utf-8-sig")
    if text.lstrip().startswith("["):
        raise ValueError(f"{ARRAY}, or name the file .json")
    return json.loads(text, parse_constant=_constant)


def _plain(value: Any) -> Any:
    """What JSON has for a value of Python, numpy or pandas: of dates, and of keys, their texts."""
    if isinstance(value, bytes | bytearray):
        return {"bytes": b64encode(value).decode()}  # an object is no cell of a template
    if hasattr(value, "keys"):  # an object, or a row of a data frame
        return {str(key): _plain(cell) for key, cell in dict(value).items()}
    if isinstance(value, list | tuple) or getattr(value, "ndim", False):
        return [_plain(cell) for cell in value]
    if hasattr(value, "tolist") and type(value).__name__ not in ("datetime64", "timedelta64"):
        value = value.tolist()  # a number; of dates it would make one
    if is_null(value):
        return None
    return value if isinstance(value, str | int | float) else str(value)


def _constant(name: str) -> float | None:
    """What Python's JSON has beyond the standard: NaN, an infinity."""
    return None if is_null(number := float(name)) else number


def opened(rows: str) -> AbstractContextManager[Iterable[Line]]:
    """The rows of a file, or of standard input: JSON lines as they are, of a table its rows."""
    if rows == STDIN:
        return nullcontext(sys.stdin.buffer)
    path = Path(rows)
    return nullcontext((_table_rows if format_of(path) in TABLES else _file_lines)(path))


def _file_lines(path: Path) -> Iterator[bytes]:
    try:
        with open_bytes(path) as file:
            yield from file
    except UNREADABLE as error:
        raise UserError(f"{path}: cannot be read: {error}") from error


def _table_rows(path: Path) -> Iterator[Line]:
    for number, row in read_table(path):
        if CUT_OFF in row.values():
            raise UserError(f"{path}:{number}: fewer columns than the first line names")
        yield row


def read_rows(rows: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields ("file:line", object) for every line that is not empty.

    Raises:
        UserError: a line is not a JSON object.
    """
    with opened(rows) as lines:
        for number, line in enumerate(lines, start=1):
            if isinstance(line, bytes) and not line.strip():
                continue
            place = f"{'<stdin>' if rows == STDIN else rows}:{number}"
            try:
                row = row_in(line)
            except UnicodeDecodeError as error:
                raise UserError(f"{place}: not UTF-8: {error}") from error
            except json.JSONDecodeError as error:
                raise UserError(f"{place}: not JSON: {error}") from error
            except ValueError as error:
                raise UserError(f"{place}: {error}") from error
            yield place, row
