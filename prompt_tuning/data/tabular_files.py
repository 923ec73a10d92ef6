"""Tables of a user's own: CSV, TSV, JSON, JSON lines and Parquet files, one flat row a record.

Parquet is read by `datasets`; tab-separated files and JSON as the official ones are, for pyarrow
makes dates of texts. CSV is read by Python's own reader, which tells a line that is too short or
too long: pandas takes the first cell of a longer line for an index and makes numbers of 007.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from prompt_tuning.data.official_files import (
    UNREADABLE,
    format_of,
    named_twice,
    open_text,
    read_records,
)
from prompt_tuning.errors import UserError

FORMATS = (".csv", ".tsv", ".json", ".jsonl", ".parquet")

Row = Mapping[str, Any]


def read_table(path: Path) -> Iterator[tuple[int, Row]]:
    """The rows of a table, each with its number; every cell of CSV and TSV is a text.

    The number is that of the row's (last) line, in JSON arrays and Parquet that of the row from 1.

    Raises:
        UserError: the file has none of the `FORMATS` by its name, or cannot be read.
    """
    match format_of(path):
        case ".csv":
            return _comma_separated(path)
        case ".tsv" | ".json" | ".jsonl":
            return read_records(path)
        case ".parquet":
            return enumerate(_read_parquet(path), start=1)
    fix = f"name the file as what it is, such as {path.stem}.csv"
    raise UserError(f"{path} is not a table", allowed=", ".join(FORMATS), fix=fix)


def _comma_separated(path: Path) -> Iterator[tuple[int, Row]]:
    """The rows below the line of names, each with the number of its last line.

    A name that is there twice is refused, and a row of another length.
    """
    csv.field_size_limit(2**31 - 1)  # a cell may be a book
    try:
        with open_text(path, newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = next(reader, [])
            if problem := named_twice(columns):
                raise UserError(f"{path}:1: {problem}")
            for cells in reader:
                if len(cells) != len(columns) and cells:  # an empty line has no cell
                    raise UserError(
                        f"{path}:{reader.line_num}: {len(cells)} cells, and the first line names "
                        f"{len(columns)} columns",
                        fix="quote a cell with a comma or a line break in it",
                    )
                if cells:
                    yield reader.line_num, dict(zip(columns, cells, strict=True))
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: not CSV: {error}") from error
    except UNREADABLE as error:
        fix = "save it as UTF-8" if isinstance(error, UnicodeDecodeError) else None
        raise UserError(f"{path}: cannot be read: {error}", fix=fix) from error


def _read_parquet(path: Path) -> Iterator[Row]:
    """What `datasets` reads, without the copy in its cache."""
    import datasets  # slow to import

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what it logs is raised as well
    try:
        with TemporaryDirectory() as folder:
            place = {"data_files": str(path), "cache_dir": folder}
            rows = datasets.load_dataset("parquet", split="train", keep_in_memory=True, **place)
    except Exception as error:  # whatever pyarrow and datasets raise
        reason = " ".join(str(error.__cause__ or error).split())
        raise UserError(f"{path}: cannot be read as parquet: {reason}") from error
    yield from with_class_names(rows)


def with_class_names(rows: Any) -> Iterator[Row]:
    """The rows of a `datasets.Dataset` with the names of classes for their ids, null for none."""
    import datasets

    names = {k: kind for k, kind in rows.features.items() if isinstance(kind, datasets.ClassLabel)}
    for row in rows:
        named = {k: names[k].int2str(row[k]) for k in names if row[k] not in (None, -1)}
        yield row | dict.fromkeys(names) | named
