"""Reading raw rows, JSON lines or a table, for the commands that take them from anywhere."""

import json
import sys
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


def check_readable(rows: str, key: str = "rows") -> None:
    """Raises a UserError if `rows`, the value of `key`, is neither a file nor - for stdin."""
    if rows != STDIN and not Path(rows).is_file():
        fix = f"give a table or JSON lines, or {key}=- for standard input"
        raise UserError(f"{key}={rows} is not a file", fix=fix)


def row_in(line: bytes) -> dict[str, Any]:
    """The row in a line of JSON lines, with null for NaN.

    Raises:
        ValueError: it is no JSON object, or one that could not be written again.
    """
    try:
        text = line.decode("utf-8-sig")
        if text.lstrip().startswith("["):
            raise ValueError(f"{ARRAY}, or name the file .json")
        row = json.loads(text, parse_constant=_constant)
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


def line_of(row: Any) -> bytes:
    """The line of a row, whatever it holds: dates as texts, numpy's numbers and arrays as JSON's.

    Half of a surrogate pair is written as well, so that `row_in` says what is wrong with it.
    """
    return json.dumps(row, default=_plain).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _constant(name: str) -> float | None:
    """What Python's JSON has beyond the standard: NaN, an infinity."""
    return None if is_null(number := float(name)) else number


def opened(rows: str) -> AbstractContextManager[Iterable[bytes]]:
    """The rows of a file, or of standard input, as JSON lines; a table's as if it were such."""
    if rows == STDIN:
        return nullcontext(sys.stdin.buffer)
    path = Path(rows)
    return nullcontext((_table_lines if format_of(path) in TABLES else _file_lines)(path))


def _file_lines(path: Path) -> Iterator[bytes]:
    try:
        with open_bytes(path) as file:
            yield from file
    except UNREADABLE as error:
        raise UserError(f"{path}: cannot be read: {error}") from error


def _table_lines(path: Path) -> Iterator[bytes]:
    for number, row in read_table(path):
        if CUT_OFF in row.values():
            raise UserError(f"{path}:{number}: fewer columns than the first line names")
        yield line_of(row) + b"\n"


def read_rows(rows: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields ("file:line", object) for every line that is not empty.

    Raises:
        UserError: a line is not a JSON object.
    """
    with opened(rows) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
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
