"""Reading raw rows, one JSON object a line, for the commands that take them from anywhere."""

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TextIO

from prompt_tuning.errors import UserError

STDIN = "-"


def check_readable(rows: str, key: str = "rows") -> None:
    """Raises a UserError if `rows`, the value of `key`, is neither a file nor - for stdin."""
    if rows != STDIN and not Path(rows).is_file():
        raise UserError(
            f"{key}={rows} is not a file",
            fix=f"give a .jsonl file, or {key}=- for standard input",
        )


def read_rows(rows: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields ("file:line", object) for every line that is not empty.

    Raises:
        UserError: a line is not a JSON object.
    """
    name = "<stdin>" if rows == STDIN else rows
    with nullcontext(sys.stdin) if rows == STDIN else Path(rows).open(encoding="utf-8") as file:
        for number, line in _numbered(file, name):
            if not line.strip():
                continue
            place = f"{name}:{number}"
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UserError(f"{place}: not JSON: {error}") from error
            if not isinstance(row, dict):
                raise UserError(f"{place}: a {type(row).__name__} where an object belongs")
            yield place, row


def _numbered(file: TextIO, name: str) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        for number, line in enumerate(file, start=1):
            yield number, line
    except UnicodeDecodeError as error:
        raise UserError(f"{name}:{number + 1}: not UTF-8: {error}") from error
