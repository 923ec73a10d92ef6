"""Malformed task files and tables of a user's: one clear line each, exit 2, nothing left behind."""

import codecs
import csv
import gzip
import json

import pandas as pd
import pytest

from prompt_tuning.data.tabular_files import read_table

GOOD = 'name: topics\ninputs: "{text}"\nlabel: topic\nfiles: {train: train.csv}\n'
TABLE = "text,topic\n" + "".join(f"row {i},{'ab'[i % 2]}\n" for i in range(20))

# Of a task file: what it says instead of GOOD, and what is said about it.
TASK_FILES = {
    "no inputs": ("name: topics\nlabel: topic\n", "task.inputs is missing"),
    "no column": (GOOD.replace("{text}", "text"), "it names no column"),
    "open brace": (GOOD.replace("{text}", "{text"), "expected '}' before end of string"),
    "lone brace": (GOOD.replace("{text}", "text}"), "Single '}' encountered"),
    "empty braces": (GOOD.replace("{text}", "{}"), "braces hold the name of a column"),
    "format": (GOOD.replace("{text}", "{text:>8}"), "braces hold the name of a column"),
    "unknown column": (GOOD.replace("{text}", "{body}"), "no column 'body'; there are text, topic"),
    "unknown label": (GOOD.replace("label: topic", "label: topics"), "no column 'topics'"),
    "neither": (GOOD.replace("label: topic\n", ""), "task.label=<column of class labels>"),
    "both": (GOOD + "target: text\n", "has both of label and target"),
    "labels of text": (
        GOOD.replace("label: topic", "target: topic\nlabels: {a: x, b: y}"),
        "has labels and no label",
    ),
    "one label": (GOOD + "labels: {a: x}\n", "1 labels, with one word for all"),
    "one word": (GOOD + "labels: {a: x, b: x}\n", "2 labels, with one word for all"),
    "empty word": (GOOD + "labels: {a: x, b: ''}\n", "label 'b' has no word"),
    "yes and no": (GOOD + "labels: {a: yes, b: no}\n", "quote a word that YAML takes for true"),
    "a label too few": (GOOD + "labels: {a: x, c: y}\n", "label 'b' is not among a, c"),
    "unsayable": (GOOD + "labels: {a: 猫, b: 犬}\n", "vocabulary cannot say '猫'"),
    "metric": (GOOD + "metrics: [acuracy]\n", "did you mean accuracy"),
    "metric of text": (GOOD + "metrics: [squad]\n", "squad is no metric of class labels"),
    "no metric": (GOOD + "metrics: []\n", "has no metrics"),
    "f1 of three": (
        GOOD + "metrics: [f1]\nlabels: {a: x, b: y, c: z}\n",
        "f1 is that of the second of two labels",
    ),
    "split": (GOOD.replace("{train:", "{training:"), "files has training"),
    "no file": (GOOD.replace("train.csv", "tain.csv"), "tain.csv: no such file"),
    "no files": (GOOD.replace("files: {train: train.csv}\n", ""), "does not say where its train"),
    "files and hub": (GOOD + "hub: a/b\n", "has both files and hub"),
    "hub splits alone": (GOOD + "hub_splits: {train: t}\n", "has hub_splits and no hub"),
    "unknown key": (GOOD + "lables: {a: x}\n", "did you mean task.labels"),
    "wrong type": (GOOD + "metrics: accuracy\n", "task.metrics=accuracy has the wrong type"),
    "a name of ours": (GOOD.replace("topics", "rte"), "rte is a task of ptune's"),
    "a path for a name": (GOOD.replace("topics", "../topics"), "task.name=../topics is no name"),
    "no YAML": (GOOD + "labels: {a: x\n", "expected ',' or '}'"),
    "a list": ("- a\n- b\n", "the task's file is a list"),
}
TABLES = {
    "empty": ("", "0 different labels in 0 rows"),
    "names alone": ("text,topic\n", "0 different labels in 0 rows"),
    "one class": (TABLE.replace(",b", ",a"), "1 different labels in 20 rows"),
    "free text": (
        "text,topic\n" + "".join(f"row {i},title {i}\n" for i in range(200)),
        "200 different labels in 200 rows",
    ),
    "no label": (TABLE + "more,\n" * 2 + "and more,\n" * 9, "training examples have no label"),
    "empty inputs": (TABLE + " ,a\n", "train.csv:22: its inputs are empty: text"),
    "a long line": (TABLE + "x,a,b\n", "train.csv:22: 3 cells, and the first line names 2"),
    "a short line": (TABLE + "x\n", "train.csv:22: 1 cells, and the first line names 2"),
    "a name twice": ("text,topic,text\n", "more than one column is called 'text'"),
    "semicolons": (TABLE.replace(",", ";"), "no column 'topic'"),
    "an open quote": (TABLE + '"x,a\n', "unexpected end of data"),
}


@pytest.fixture
def train(ptune, tmp_path):
    """`ptune train` on a task and a table that are GOOD and TABLE where they are not given."""

    def run(*arguments, files=None, status=2):
        (tmp_path / "task").mkdir()
        for name, text in ({"task/topics.yaml": GOOD, "train.csv": TABLE} | (files or {})).items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        quick = ["model=ladder_100k", "tracking=none", "training.num_steps=1"]
        own = ["--config-dir", ".", "task=topics"]
        return ptune("train", *own, *quick, *arguments, status=status)

    return run


@pytest.mark.parametrize(("text", "said"), TASK_FILES.values(), ids=TASK_FILES)
def test_a_malformed_task_file_is_named_in_one_line(train, tmp_path, text, said):
    assert said in train(files={"task/topics.yaml": text}).err
    assert not list(tmp_path.glob("runs/*/record.json"))


@pytest.mark.parametrize(("text", "said"), TABLES.values(), ids=TABLES)
def test_a_malformed_table_is_named_with_its_line(train, text, said):
    assert said in train(files={"train.csv": text}).err


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.json", b'{"text": ', "t.json:1: not JSON"),
        ("t.parquet", b"PAR1", "cannot be read as parquet"),
        ("t.jsonl", b'{"text": "a", "topic": "b"}\n[]\n', "t.jsonl:2"),
        ("t.tsv", b"text\ttopic\na\n", "fewer columns than the first line names"),
        ("t.csv", "text,topic\né,a\n".encode("latin-1"), "save it as UTF-8"),
        (
            "t.csv.gz",
            gzip.compress(b"text,topic\n", mtime=0)[:10] + b"\xff" * 20,
            "t.csv.gz: cannot be read",
        ),
        ("t.xlsx", b"PK", "t.xlsx is not a table"),
        ("t.jsonl", b'{"text": ["a"], "topic": "b"}\n{"text": "x", "topic": "c"}\n', "a list"),
    ],
)
def test_a_table_of_another_kind_is_named(train, tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    assert said in train(f"data.train_file={name}").err


def test_a_file_with_the_name_of_one_of_ours_is_refused(ptune, tmp_path):
    """Hydra would read ours without a word."""
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "own.yaml").write_text(GOOD)
    said = ptune("train", "--config-dir", ".", "task=own", status=2).err
    assert "task/own.yaml is not read" in said


def test_a_label_that_only_validation_has_is_named(train):
    files = {"dev.csv": "text,topic\nx,c\n"}
    shown = train("data.validation_file=dev.csv", files=files).err
    assert "dev.csv:2: label 'c' is not among a, b" in shown


def test_predictions_are_scored_with_the_labels_of_the_training_rows(ptune, tmp_path):
    """By the task's file, or by the key that the message without any names."""
    (tmp_path / "task").mkdir()
    (tmp_path / "train.csv").write_text(TABLE)
    said = '{"row": {"text": "x", "topic": "b"}, "prediction": "b"}\n'
    (tmp_path / "said.jsonl").write_text(said)
    command = ["score", "--config-dir", ".", "task=topics", "rows=said.jsonl"]
    for files, key in (("{train: train.csv}", ()), ("null", ["data.train_file=train.csv"])):
        own = GOOD.replace("{train: train.csv}", files)
        (tmp_path / "task" / "topics.yaml").write_text(own)
        assert json.loads(ptune(*command, *key).out)["accuracy"] == 100
    assert "add data.train_file=<table>" in ptune(*command, status=2).err


def test_a_class_with_one_example_is_told(train):
    files = {
        "train.csv": TABLE + "rare,c\n",
        "task/topics.yaml": GOOD + "labels: {a: sea, b: war, c: music, d: coin}\n",
        "dev.csv": TABLE,
    }
    shown = train("data.validation_file=dev.csv", files=files, status=0).out
    assert "so few training examples: music (1), coin (0)" in shown


def test_every_format_gives_the_same_rows(tmp_path):
    rows = [{"text": f"row {i}", "topic": "ab"[i % 2]} for i in range(4)]
    frame = pd.DataFrame(rows)
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_csv(tmp_path / "q.csv", index=False, quoting=csv.QUOTE_ALL)
    frame.to_csv(tmp_path / "z.csv.gz", index=False)
    frame.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    frame.to_json(tmp_path / "t.json", orient="records")
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "t.parquet")
    assert json.loads((tmp_path / "t.json").read_text()) == rows
    for path in sorted(tmp_path.iterdir()):
        assert [row for _, row in read_table(path)] == rows, path
        if path.suffix not in (".gz", ".parquet"):  # with a byte order mark, as Windows' editors do
            path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
            assert [row for _, row in read_table(path)] == rows, path
