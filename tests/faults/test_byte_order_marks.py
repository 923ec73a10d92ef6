"""Rows may begin with UTF-8's byte order mark, as editors of Windows write it."""

import gzip
import io
import json

import numpy as np
import pytest

BOM = b"\xef\xbb\xbf"
RTE = json.dumps({"premise": "A dog ran home.", "hypothesis": "A dog ran.", "label": 0, "idx": 7})
SCORED = f'{{"row": {RTE}, "prediction": "entailment"}}'
PREDICT = "predict prompt=prompt.npy model.path={model} variant=lm_adapted output=out.jsonl"
ANSWERED = '{"inputs": "a joy to watch"}'


@pytest.mark.parametrize("place", ["rows.jsonl", "rows.jsonl.gz", "-"])
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
    ptune, monkeypatch, tmp_path, tiny_folder, command, key, line, place
):
    """Files and standard input alike; what comes out is that of rows without the mark."""
    said = []
    np.save(tmp_path / "prompt.npy", np.ones((2, 64), np.float32))
    for mark in (b"", BOM):
        content = mark + f"{line}\n{line}\n".encode()
        (tmp_path / "rows.jsonl").write_bytes(content)
        (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(content))
        (tmp_path / "out.jsonl").unlink(missing_ok=True)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        said_now = ptune(*command.format(model=tiny_folder).split(), f"{key}={place}").out
        out = tmp_path / "out.jsonl"
        said.append(out.read_text() if out.exists() else said_now)
    assert said[0] == said[1] and said[0]
