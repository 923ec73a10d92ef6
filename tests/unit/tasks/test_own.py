"""A user's own task: templates over columns, labels and free text, and the same as one of ours."""

import math

import datasets
import pytest

from prompt_tuning.config import TaskConfig
from prompt_tuning.data.sources import DataSpec, load_split, rows_of
from prompt_tuning.metrics import score
from prompt_tuning.own_data import as_metadata, from_metadata, own_task_of, with_labels
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import RowError
from prompt_tuning.tasks.own import Template

TOPICS = TaskConfig(
    name="topics",
    inputs="{title}: {text}",
    label="topic",
    labels={"0": "sea", "1": "money", "2": "sea"},
)


def examples(config, row):
    return own_task_of(config).examples(row)


@pytest.mark.parametrize(
    ("template", "row", "text"),
    [
        ("{a} and {b}", {"a": "x", "b": "y"}, "x and y"),
        ("{a}{a}", {"a": "x"}, "xx"),
        ("{{{a}}}", {"a": "x"}, "{x}"),
        ("{Review Text}", {"Review Text": "x"}, "x"),
        ("{a.b}", {"a.b": "x"}, "x"),
        ("{a} {b}", {"a": None, "b": "y"}, " y"),
        ("{a} {b}", {"a": math.nan, "b": "y"}, " y"),
        ("{a}", {"a": 7}, "7"),
        ("{a}", {"a": 7.0}, "7"),
        ("{a}", {"a": 0.25}, "0.25"),
        ("{a}", {"a": True}, "True"),
        ("{a}", {"a": "{b}", "b": "no"}, "{b}"),
    ],
)
def test_a_template_is_filled_with_the_cells_of_a_row(template, row, text):
    assert Template(template).filled(row) == text


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"title": "x", "topic": "0"}, "no column 'text'"),
        ({"title": " ", "text": "", "topic": "0"}, "its inputs are empty: title, text"),
        ({"title": ["x"], "text": "", "topic": "0"}, "holds a list"),
        ({"title": "x", "text": "y", "topic": "3"}, "label '3' is not among 0, 1, 2"),
        ({"title": "x", "text": "y", "topic": {}}, "holds a dict"),
    ],
)
def test_a_row_that_does_not_fit_is_named(row, reason):
    with pytest.raises(RowError, match=reason):
        examples(TOPICS, row)


@pytest.mark.parametrize("label", ["1", 1, 1.0])
def test_a_label_is_the_same_whatever_type_its_column_has(label):
    (example,) = examples(TOPICS, {"title": "x", "text": "y", "topic": label})
    assert (example.inputs, example.targets, example.label) == ("x: y", "money", 1)


@pytest.mark.parametrize(
    "row", [{"topic": ""}, {"topic": None}, {"topic": math.nan}, {"topic": -1}, {}]
)
def test_a_row_without_a_label_is_not_scored(row):
    (example,) = examples(TOPICS, {"title": "x", "text": "y", **row})
    assert (example.targets, example.is_labelled) == ("<unk>", False)


def test_labels_may_share_a_word():
    task = own_task_of(TOPICS)
    assert task.verbalizers == ("sea", "money")
    (example,) = examples(TOPICS, {"title": "x", "text": "y", "topic": 2})
    assert example.label == 0
    assert [task.parse(said, example) for said in ("sea", "money", "0")] == [0, 1, None]


def test_free_text_may_have_several_answers():
    config = TaskConfig(name="names", inputs="{text}", target="name")
    (several,) = examples(config, {"text": "x", "name": ["Ann", "", math.nan, "A. B."]})
    assert (several.targets, several.answers) == ("Ann", ("Ann", "A. B."))
    (one,) = examples(config, {"text": "x", "name": "Ann"})
    assert one.answers == ("Ann",)
    (none,) = examples(config, {"text": "x"})
    assert not none.is_labelled
    scores = score(own_task_of(config), [several, one, none], ["A. B.", "Bob", "-"])
    assert (scores.metrics, scores.num_examples) == ({"f1": 50.0, "exact_match": 50.0}, 2)


def test_labels_are_found_in_the_training_rows_numbers_in_their_order(tmp_path):
    rows = "".join(f"x {label},{label}\n" for label in ("10", "b", "2", "a", "2"))
    (tmp_path / "train.csv").write_text("text,topic\n" + rows)
    config = TaskConfig("t", inputs="{text}", label="topic", files={"train": "train.csv"})
    found = with_labels(config, DataSpec("auto", tmp_path))
    assert found.labels == {label: label for label in ("2", "10", "a", "b")}


def test_a_prompt_file_keeps_the_definition_and_not_the_places():
    kept = from_metadata(as_metadata(TOPICS))
    assert kept == TOPICS


def test_sst2_through_a_file_of_ones_own_is_sst2(shared_data):
    """The same texts, targets, class ids and scores, from the same official file."""
    own = own_task_of(
        TaskConfig(
            name="reviews",
            inputs="sentence: {sentence}",
            label="label",
            labels={"0": "negative", "1": "positive"},
            files={"validation": "SST-2/dev.tsv"},
        )
    )
    spec, ours = DataSpec("auto", shared_data / "GLUE"), TASKS["sst2"]
    mine = load_split(own, "validation", spec).examples
    theirs = load_split(ours, "validation", spec).examples
    assert mine == theirs and len(mine) == 872
    said = ["positive" if i % 3 else "negative" for i in range(len(mine))]
    assert score(own, mine, said) == score(ours, theirs, said)


def test_a_metric_in_a_folder_of_evaluates_kind_is_computed(tmp_path):
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "share.py").write_text(
        "import datasets\nimport evaluate\n\n\n"
        "class Share(evaluate.Metric):\n"
        "    def _info(self):\n"
        "        number = datasets.Value('int32')\n"
        "        features = datasets.Features({'predictions': number, 'references': number})\n"
        "        return evaluate.MetricInfo(description='', citation='', features=features)\n\n"
        "    def _compute(self, predictions, references):\n"
        "        return {'first_share': predictions.count(0) / len(predictions)}\n"
    )
    config = TaskConfig("t", inputs="{x}", label="y", labels={"0": "a", "1": "b"},
                        metrics=["accuracy", str(tmp_path / "share")])  # fmt: skip
    task = own_task_of(config)
    rows = [task.examples({"x": "x", "y": label})[0] for label in ("0", "1", "1", "1")]
    scores = score(task, rows, ["a", "a", "b", "?"])
    assert scores.metrics == {"accuracy": 50.0, "first_share": 0.5}


def test_a_data_set_of_the_hub_is_read_with_the_names_of_its_classes(tmp_path):
    """In the hub's own layout; the hub itself is not there to be asked."""
    features = datasets.Features(
        {"text": datasets.Value("string"), "topic": datasets.ClassLabel(names=["sea", "money"])}
    )
    rows = {"text": ["a", "b", "c"], "topic": [1, 0, -1]}
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "train-00000-of-00001.parquet"
    datasets.Dataset.from_dict(rows, features=features).to_parquet(path)
    config = TaskConfig(
        "t", inputs="{text}", label="topic", hub=str(tmp_path), hub_splits={"train": "train"}
    )
    found = with_labels(config, DataSpec("auto"))
    assert found.labels == {"money": "money", "sea": "sea"}
    read = rows_of(own_task_of(found), "train", DataSpec("auto"))
    assert [row["topic"] for _, row in read] == ["money", "sea", None]
