"""Loading through `datasets`, from folders that this test writes in the hub's layout.

The hub itself is out of reach here: ids, configurations and revisions are taken on trust.
"""

import re
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prompt_tuning.data.hub import HUB_SOURCES
from prompt_tuning.data.official import OFFICIAL_FILES
from prompt_tuning.data.sources import DataSpec, load_split
from prompt_tuning.errors import UserError
from prompt_tuning.task_registry import TASKS

ROWS = {
    "boolq": {"question": "q", "passage": "p", "idx": 3, "label": 1},
    "multirc": {
        "paragraph": "p",
        "question": "q",
        "answer": "a",
        "idx": {"paragraph": 0, "question": 1, "answer": 2},
        "label": 0,
    },
    "record": {
        "passage": "p",
        "query": "q",
        "entities": ["x", "y"],
        "entity_spans": {"text": ["x"], "start": [0], "end": [1]},
        "answers": ["y"],
        "idx": {"passage": 0, "query": 1},
    },
    "wsc": {
        "text": "Ann saw her .",
        "span1_index": 0,
        "span2_index": 2,
        "span1_text": "Ann",
        "span2_text": "her",
        "idx": 0,
        "label": 1,
    },
    "qqp": {"question1": "a", "question2": "b", "label": 1, "idx": 2},
    "squad": {
        "id": "5a",
        "title": "t",
        "context": "c.",
        "question": "q?",
        "answers": {"text": ["c."], "answer_start": [0]},
    },
    "mrqa_duorc": {
        "subset": "DuoRC.ParaphraseRC",
        "context": "c.",
        "context_tokens": {"tokens": ["c", "."], "offsets": [0, 1]},
        "qid": "7b",
        "question": "q?",
        "answers": ["c."],
    },
    "dpr": {"sentence": "Ann saw her.", "pronoun": "her", "candidates": ["A", "B"], "label": 1},
}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A function that stores rows as a task's repository and lets the task read from it."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))

    def store(name, rows, split):
        source = HUB_SOURCES[name]
        repo = tmp_path / "repo"
        (repo / source.config).mkdir(parents=True)
        file = f"{source.config}/{source.splits[split]}-00000-of-00001.parquet"
        pq.write_table(pa.Table.from_pylist(rows), repo / file)
        (repo / "README.md").write_text(
            f"---\nconfigs:\n- config_name: {source.config}\n  data_files:\n"
            f"  - split: {source.splits[split]}\n"
            f"    path: {source.config}/{source.splits[split]}-*\n---\n"
        )
        monkeypatch.setitem(HUB_SOURCES, name, replace(source, repo=str(repo), revision=None))

    return store


@pytest.mark.parametrize("name", ROWS)
def test_a_hub_row_gives_its_example(hub, name):
    split = "validation" if "validation" in HUB_SOURCES[name].splits else "train"
    hub(name, [ROWS[name]], split)
    loaded = load_split(TASKS[name], split, DataSpec("hub"))
    assert loaded.examples == TASKS[name].examples({"idx": 0, **ROWS[name]})
    assert loaded.provenance["source"] == "hub"
    assert loaded.provenance["config"] == HUB_SOURCES[name].config


def test_only_the_wanted_set_of_mrqa_is_read(hub):
    """The hub has all out-of-domain sets in one test split."""
    rows = [{**ROWS["mrqa_duorc"], "subset": name} for name in ("RACE", "DuoRC.ParaphraseRC")]
    hub("mrqa_duorc", rows, "validation")
    assert len(load_split(TASKS["mrqa_duorc"], "validation", DataSpec("hub")).examples) == 1


def test_a_wrong_row_is_named_by_its_number(hub):
    hub("boolq", [ROWS["boolq"], {**ROWS["boolq"], "label": 4}], "train")
    with pytest.raises(UserError, match=r"repo, row 1: label 4 is not in 0\.\.1"):
        load_split(TASKS["boolq"], "train", DataSpec("hub"))


def test_without_a_network_the_error_says_how_to_use_files(monkeypatch, tmp_path):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path))
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the library's retries
    with pytest.raises(UserError) as error:
        load_split(TASKS["rte"], "train", DataSpec("hub"))
    assert str(error.value).startswith("aps/super_glue (rte): ")
    assert "data.dir=<folder of the official files>" in str(error.value)


def test_every_task_with_files_is_on_the_hub_with_the_same_splits():
    assert set(HUB_SOURCES) == set(OFFICIAL_FILES)
    for name, files in OFFICIAL_FILES.items():
        assert set(HUB_SOURCES[name].splits) == set(files), name


def test_revisions_are_whole_commits():
    for name, source in HUB_SOURCES.items():
        pinned = source.revision is not None and re.fullmatch("[0-9a-f]{40}", source.revision)
        assert pinned or name == "dpr"


def test_mrqa_is_validated_on_the_hubs_test_split():
    """TFDS and the hub have the out-of-domain sets, and only those, as `test`."""
    subsets = {source.subset for source in HUB_SOURCES.values() if source.subset}
    assert subsets == {
        *("BioASQ", "DROP", "DuoRC.ParaphraseRC"),
        *("RACE", "RelationExtraction", "TextbookQA"),
    }
    assert HUB_SOURCES["mrqa_re"].splits == {"validation": "test"}
