"""A file may begin with UTF-8's byte order mark, as editors of Windows write it."""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from quick_runs import Ptune

from prompt_tuning.data.official_files import read_records
from prompt_tuning.data.tabular_files import read_table

BOM = b"\xef\xbb\xbf"
ROW = {"text": "café", "label": "0"}
LINE = json.dumps(ROW, ensure_ascii=False)
BLOCK = {"sentence": "s", "pronoun": "he", "candidates": "a,b", "label": "a"}
RTE = json.dumps({"premise": "A dog ran home.", "hypothesis": "A dog ran.", "label": 0, "idx": 7})
SCORED = f'{{"row": {RTE}, "prediction": "entailment"}}'
PREDICT = "predict prompt=prompt.npy model.path={model} variant=lm_adapted output=out.jsonl"
ANSWERED = '{"inputs": "a joy to watch"}'


PACKED = pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gz"])
Packed = Callable[[bytes], bytes]


def marked(folder: Path, packed: Packed, name: str, text: str) -> Path:
    """A file that begins with the mark."""
    path = folder / (name if packed is bytes else f"{name}.gz")
    path.write_bytes(packed(BOM + text.encode()))
    return path


@PACKED
@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        ("x.csv", "text,label\ncafé,0\n", [ROW]),
        ("x.csv", '"text",label\ncafé,0\n', [ROW]),
        ("x.tsv", "text\tlabel\ncafé\t0\n", [ROW]),
        ("x.jsonl", f"{LINE}\n{LINE}\n", [ROW, ROW]),
        ("x.json", f"[{LINE}]", [ROW]),
        ("x.json", f"{LINE}\n", [ROW]),
    ],
)
def test_a_table_with_a_byte_order_mark_is_read_as_one_without(
    tmp_path: Path, packed: Packed, name: str, text: str, rows: list[object]
) -> None:
    assert [row for _, row in read_table(marked(tmp_path, packed, name, text))] == rows


@PACKED
@pytest.mark.parametrize(
    ("name", "text", "record"),
    [
        ("x.tsv", "text\tlabel\ncafé\t0\n", ROW),
        ("x.jsonl", f"{LINE}\n", ROW),
        ("x.json", LINE, ROW),
        ("x.txt", "s\nhe\na,b\na\n\n", BLOCK),
    ],
)
def test_an_official_file_with_a_byte_order_mark_is_read_as_one_without(
    tmp_path: Path, packed: Packed, name: str, text: str, record: object
) -> None:
    assert [each for _, each in read_records(marked(tmp_path, packed, name, text))] == [record]


@pytest.mark.parametrize("place", ["rows.jsonl", "-"])
@pytest.mark.parametrize(
    ("command", "key", "line"),
    [
        ("show task=rte", "rows", RTE),
        ("score task=rte", "rows", SCORED),
        (PREDICT, "input", ANSWERED),
    ],
    ids=["show", "score", "predict"],
)
def test_rows_with_a_byte_order_mark_are_taken_as_those_without(
    ptune: Ptune,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tiny_folder: Path,
    command: str,
    key: str,
    line: str,
    place: str,
) -> None:
    """Files and standard input alike; what comes out is that of rows without the mark."""
    said = []
    np.save(tmp_path / "prompt.npy", np.ones((2, 64), np.float32))
    for mark in (b"", BOM):
        content = mark + f"{line}\n{line}\n".encode()
        (tmp_path / "rows.jsonl").write_bytes(content)
        (tmp_path / "out.jsonl").unlink(missing_ok=True)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        said_now = ptune(*command.format(model=tiny_folder).split(), f"{key}={place}").out
        out = tmp_path / "out.jsonl"
        said.append(out.read_text() if out.exists() else said_now)
    assert said[0] == said[1] and said[0]
