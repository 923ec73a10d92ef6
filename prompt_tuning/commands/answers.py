"""Where `ptune predict` writes its answers: JSON lines that can be continued, or a CSV table."""

import csv
import io
import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, takewhile
from pathlib import Path
from typing import IO, Any

from prompt_tuning.errors import UserError
from prompt_tuning.locking import hold
from prompt_tuning.rows import ANSWER_FIELDS, STDIN, TABLES, Line, own_fields, row_in

Answer = Mapping[str, Any]


def is_csv(path: Path) -> bool:
    """Whether answers are written as a table."""
    return path.suffix == ".csv"


def written(
    answers: Iterator[Answer], path: Path, file: IO[bytes], labels: Sequence[str]
) -> Iterator[Answer]:
    """The answers, each written to an opened output first, by the output's name.

    `labels` are those whose probabilities the answers have.
    """
    if is_csv(path):
        yield from _as_table(answers, path, file, labels)
        return
    for answer in answers:
        file.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
        yield answer


def _as_table(
    answers: Iterator[Answer], path: Path, file: IO[bytes], labels: Sequence[str]
) -> Iterator[Answer]:
    """A table with the columns of the first row, the answer, and the error where there is none."""
    told = ["prompt", "prediction", *(f"probability_{label}" for label in labels), "error"]
    until_row: list[Answer] = []  # it, and broken lines before it, which have an error alone
    own: list[str] = []
    while not own and (answer := next(answers, None)) is not None:
        until_row.append(answer)
        own = [key for key in answer if key not in (*told, "probabilities")]
    columns = [*own, *told]
    file.write(_csv_line(columns))
    for answer in chain(until_row, answers):
        cells = {key: value for key, value in answer.items() if key != "probabilities"}
        for label, share in answer.get("probabilities", {}).items():
            cells[f"probability_{label}"] = share
        if others := [key for key in cells if key not in columns]:
            raise UserError(
                f"output={path}: a row has {', '.join(others)}, which the first row has not",
                fix="write JSON lines: output=<name>.jsonl",
            )
        file.write(_csv_line(_cell(cells.get(column, "")) for column in columns))
        yield answer


def _csv_line(cells: Iterable[Any]) -> bytes:
    """A line that ends in a newline alone, of which csv would leave a carriage return unquoted."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().removesuffix("\r\n").encode() + b"\n"


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def continued(
    output: IO[bytes], lines: Iterator[Line], path: Path, only: str | None
) -> tuple[int, Iterable[Line]]:
    """Counts the answers that an output has already, and returns the lines without one.

    An unfinished last answer is cut off, and nothing else is touched. `only` is the prompt of all
    rows, whatever they name; None: a row's own.

    Raises:
        UserError: the output holds anything but answers to the first of these lines.
    """
    if not output.readable():
        return 0, lines
    num_done = end = 0
    output.seek(0)
    for number, answer in enumerate(output):
        line = next(lines, None)
        is_whole = answer.endswith(b"\n")
        fits = _is_answer if is_whole else _is_torn_answer
        if line is None or not fits(answer, _row_of(line), only):
            raise UserError(
                f"output={path}: line {number + 1} is not the answer to line {number + 1} of input",
                fix="name another output; one that exists must hold answers to this input",
            )
        if not is_whole:
            output.truncate(end)
            return number, chain([line], lines)
        num_done, end = number + 1, end + len(answer)
    return num_done, lines


def _row_of(line: Line) -> dict[str, Any]:
    """The row in a line; nothing of a broken one, whose answer is an error alone."""
    with suppress(ValueError):
        return row_in(line)
    return {}


def _is_answer(line: bytes, row: Mapping[str, Any], only: str | None) -> bool:
    """Whether it has every field of its row; of prompts, `only` may stand for that of the row."""
    try:
        answer = row_in(line)
    except ValueError:
        return False
    if only is not None and answer.get("prompt") == only:
        row = {**row, "prompt": only}
    is_answered = not {"prediction", "error"}.isdisjoint(answer)
    return is_answered and own_fields(row).items() <= answer.items()


def _is_torn_answer(line: bytes, row: Mapping[str, Any], only: str | None) -> bool:
    """Whether the answer may begin like this, up to the first field that is not the row's own."""
    ends = ANSWER_FIELDS if only is None else (*ANSWER_FIELDS, "prompt")
    own = dict(takewhile(lambda field: field[0] not in ends, row.items()))
    begins = json.dumps(own, ensure_ascii=False).encode()[:-1]
    return line.startswith(begins) or begins.startswith(line)


def check_output(output: Path, rows: str) -> None:
    """Raises a UserError if the output is the input, by whatever name, or can be no such file."""
    if str(output) == STDIN:
        raise UserError("output=- is no file", fix="output=/dev/stdout for standard output")
    if output.suffix in (".gz", *TABLES) and not is_csv(output):
        problem = f"output={output} is not what answers are written as"
        raise UserError(problem, allowed=".jsonl, .csv", fix="name it so")
    if not output.parent.is_dir() or output.is_dir():
        raise UserError(
            f"output={output} is no file in a folder that exists", fix="make the folder"
        )
    if not output.exists():
        return
    if is_csv(output) and output.is_file() and output.stat().st_size:
        raise UserError(
            f"output={output} exists, and a table is not continued",
            fix="name another output; JSON lines (.jsonl) are continued",
        )
    if rows == STDIN:
        with suppress(OSError, ValueError):  # no descriptor: nothing that could be a file
            taken = os.fstat(sys.stdin.fileno())
            if stat.S_ISREG(taken.st_mode) and os.path.samestat(taken, output.stat()):
                raise UserError("output is the file on standard input", fix="name another output")
    elif output.samefile(rows):
        raise UserError("input and output are the same file", fix="name another output")


def is_stdout(path: Path) -> bool:
    """Whether a path is where this process prints to, such as /dev/stdout."""
    with suppress(OSError, ValueError):  # no descriptor, or no such path
        return os.path.samestat(os.fstat(sys.stdout.fileno()), path.stat())
    return False


def opened_output(path: Path) -> IO[bytes]:
    """The file for reading and appending, locked; a device, a pipe or stdout for writing alone."""
    if is_stdout(path):  # opened anew, a file has two places to write at, one over the other
        return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    if path.exists() and not path.is_file():
        return path.open("wb")
    file = path.open("a+b")
    try:
        hold(file, f"output={path}")
    except BaseException:
        file.close()
        raise
    return file
