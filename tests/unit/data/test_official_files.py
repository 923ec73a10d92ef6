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


def block(*lines):
    """What a block of definite pronoun resolution says."""
    return dict(zip(("sentence", "pronoun", "candidates", "label"), lines, strict=True))


@pytest.mark.parametrize(
    ("name", "text", "records"),
    [
        ("train.jsonl", '{"a": 1}\n\n{"a": 2}', [(1, {"a": 1}), (3, {"a": 2})]),
        # Passages contain U+2028, U+0085 and bare carriage returns, which str.splitlines breaks at.
        ("x.jsonl", '{"a": "x\u2028y\x85z"}\r\n{}\r\n', [(1, {"a": "x\u2028y\x85z"}), (2, {})]),
        ("x.tsv", "text\tlabel\r\na\rb \t1\r\n", [(2, {"text": "a\rb ", "label": "1"})]),
        # GLUE's tables have unbalanced quotes: a CSV reader would join rows at them.
        (
            "x.tsv",
            'a\tb\n" a\t1\nb "\t0\n',
            [(2, {"a": '" a', "b": "1"}), (3, {"a": 'b "', "b": "0"})],
        ),
        # A cell that is missing is no null, and an empty line is no record.
        (
            "x.tsv",
            "a\tb\n1\n\n1\t\n\r\n",
            [(2, {"a": "1", "b": CUT_OFF}), (4, {"a": "1", "b": ""})],
        ),
        (
            "RACE.jsonl",
            '{"header": {"dataset": "RACE"}}\n{"context": "c"}\n',
            [(2, {"context": "c"})],
        ),
        # A table's column may be called so.
        ("x.jsonl", '{"header": "a"}\n', [(1, {"header": "a"})]),
        ("x.jsonl", '{"header": {}, "a": 1}\n', [(1, {"header": {}, "a": 1})]),
        ("dev-v1.1.json", '{\n "data": [],\n "x": "1"\n}\n', [(1, {"data": [], "x": "1"})]),
        ("x.json", '[{"a": "2020-01-02"},\n {}]', [(1, {"a": "2020-01-02"}), (2, {})]),
        ("x.json", '{"a": 1}\n\n{"a": 2}\n', [(1, {"a": 1}), (3, {"a": 2})]),
        (
            "train.c.txt",
            "\nAnn saw her. \nher\nAnn, Eve\nEve\n \n\nHe ran.\nHe\nBob,Tom\nTom\n",
            [
                (2, block("Ann saw her.", "her", "Ann, Eve", "Eve")),
                (8, block("He ran.", "He", "Bob,Tom", "Tom")),
            ],
        ),
    ],
)
def test_each_format_gives_records_with_the_numbers_of_their_lines(tmp_path, name, text, records):
    """Plain and packed, with the byte order mark of Windows' editors in front and without."""
    packed = tmp_path / f"{name}.gz"
    for encoding in ("utf-8", "utf-8-sig"):
        assert read(write(tmp_path, name, text, encoding)) == records
        packed.write_bytes(gzip.compress(text.encode(encoding)))
        assert read(packed) == records


def test_a_column_in_quotes_is_kept_and_said(tmp_path, caplog):
    """As a spreadsheet writes it: read as GLUE's files are, whose quotes are the text's own."""
    path = write(tmp_path, "x.tsv", 'sentence\tlabel\n"a"\t1\n"b"\t0\n')
    assert [record["sentence"] for _, record in read(path)] == ['"a"', '"b"']
    assert "every text of column sentence stands in quotes" in caplog.text


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.jsonl", '{"a": 1}\n{"a": \n', r"x\.jsonl:2: not JSON: Expecting value"),
        ("x.jsonl", '{"a": 1}\n[1]\n', r"x\.jsonl:2: a JSON array where an object belongs"),
        ("x.jsonl", f'{{"a": {"9" * 5000}}}', r"x\.jsonl:1: not JSON that can be read"),
        ("x.jsonl", '{"a":' * 10**5, r"x\.jsonl:1: not JSON that can be read"),
        ("x.json", "[{},\n []]", r"x\.json:2: a list where an object belongs"),
        ("x.json", '{"a": 1}\n{"a": ', r"x\.json:2: not JSON: Expecting value"),
        ("x.json", '{"a":\n 1,\n}', r"x\.json:3: not JSON"),
        ("x.tsv", "a\tb\n1\t2\n1\t2\t3\n", r"x\.tsv:3: 3 columns, but the first line names 2"),
        ("x.tsv", "a\tb\ta\n1\t2\t3\n", r"x\.tsv:1: more than one column is called 'a'"),
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
