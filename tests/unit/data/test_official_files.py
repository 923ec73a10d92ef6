"""The formats of official files, and what is said of a broken one."""

import gzip

import pytest

from prompt_tuning.data.official_files import read_records
from prompt_tuning.errors import UserError
from prompt_tuning.tasks.base import CUT_OFF


def write(folder, name, text, encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def read(path):
    return list(read_records(path))


def test_json_lines_come_with_their_line_numbers(tmp_path):
    path = write(tmp_path, "train.jsonl", '{"a": 1}\n\n{"a": 2}')
    assert read(path) == [(1, {"a": 1}), (3, {"a": 2})]


def test_only_a_newline_ends_a_line(tmp_path):
    """Passages contain U+2028, U+0085 and bare carriage returns, which str.splitlines breaks at."""
    path = write(tmp_path, "x.jsonl", '{"a": "x\u2028y\x85z"}\r\n{"a": 2}\r\n')
    assert read(path) == [(1, {"a": "x\u2028y\x85z"}), (2, {"a": 2})]
    path = write(tmp_path, "x.tsv", "sentence\tlabel\r\na\rb \t1\r\n")
    assert read(path) == [(2, {"sentence": "a\rb ", "label": "1"})]


def test_quotes_in_a_table_are_plain_characters(tmp_path):
    """GLUE's tables have unbalanced quotes: a CSV reader would join rows at them."""
    path = write(tmp_path, "x.tsv", 'sentence\tlabel\n" a\t1\nb "\t0\n')
    assert read(path) == [
        (2, {"sentence": '" a', "label": "1"}),
        (3, {"sentence": 'b "', "label": "0"}),
    ]


def test_missing_cells_are_no_null_and_an_empty_line_is_none(tmp_path):
    path = write(tmp_path, "x.tsv", "a\tb\tc\n1\t2\n\n1\t\t3\n\r\n")
    assert read(path) == [
        (2, {"a": "1", "b": "2", "c": CUT_OFF}),
        (4, {"a": "1", "b": "", "c": "3"}),
    ]


def test_a_column_in_quotes_is_kept_and_said(tmp_path, caplog):
    """As a spreadsheet writes it: read as GLUE's files are, whose quotes are the text's own."""
    path = write(tmp_path, "x.tsv", 'sentence\tlabel\n"a"\t1\n"b"\t0\n')
    assert [record["sentence"] for _, record in read(path)] == ['"a"', '"b"']
    assert "every text of column sentence stands in quotes" in caplog.text


def test_the_header_line_of_an_mrqa_file_is_no_record(tmp_path):
    path = tmp_path / "RACE.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"header": {"dataset": "RACE"}}\n{"context": "c"}\n'))
    assert read(path) == [(2, {"context": "c"})]


def test_a_json_file_is_one_record(tmp_path):
    path = write(tmp_path, "dev-v1.1.json", '{\n "data": [],\n "version": "1.1"\n}\n')
    assert read(path) == [(1, {"data": [], "version": "1.1"})]


def test_definite_pronoun_resolution_is_read_in_blocks_of_five_lines(tmp_path):
    text = "Ann saw her. \nher\nAnn, Eve\nEve\n\nHe ran.\nHe\nBob,Tom\nTom\n"
    assert read(write(tmp_path, "train.c.txt", text)) == [
        (
            1,
            {
                "sentence": "Ann saw her.",
                "pronoun": "her",
                "candidates": "Ann, Eve",
                "label": "Eve",
            },
        ),
        (6, {"sentence": "He ran.", "pronoun": "He", "candidates": "Bob,Tom", "label": "Tom"}),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.jsonl", '{"a": 1}\n{"a": \n', r"x\.jsonl:2: not JSON: Expecting value"),
        ("x.jsonl", '{"a": 1}\n[1]\n', r"x\.jsonl:2: a JSON array where an object belongs"),
        ("x.jsonl", f'{{"a": {"9" * 5000}}}', r"x\.jsonl:1: not JSON that can be read"),
        ("x.jsonl", '{"a":' * 10**5, r"x\.jsonl:1: not JSON that can be read"),
        ("x.json", '[{"a": 1}]', r"x\.json:1: a JSON array where an object belongs"),
        ("x.json", '{"a":\n 1,\n}', r"x\.json:3: not JSON"),
        ("x.tsv", "a\tb\n1\t2\n1\t2\t3\n", r"x\.tsv:3: 3 columns, but the first line names 2"),
        ("x.c.txt", "s\np\na,b\na\n\ns\np\n", r"x\.c\.txt:6: not a sentence"),
        ("x.c.txt", "s\np\na,b\na\nmore\n", r"x\.c\.txt:1: not a sentence"),
        ("x.jsonl.gz", "not compressed", r"x\.jsonl\.gz: cannot be read: Not a gzipped file"),
    ],
)
def test_a_broken_file_is_named_with_the_line_and_the_reason(tmp_path, name, text, message):
    with pytest.raises(UserError, match=message):
        read(write(tmp_path, name, text))


def test_a_file_that_is_not_utf8_is_named(tmp_path):
    with pytest.raises(UserError, match=r"x\.jsonl: cannot be read: 'utf-8' codec"):
        read(write(tmp_path, "x.jsonl", '{"a": "\u00e9"}', encoding="latin-1"))
