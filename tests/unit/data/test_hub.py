"""Loading through `datasets`, from folders that this test writes in the hub's layout.

The hub itself is out of reach here: ids, configurations and revisions are taken on trust.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from prompt_tuning.data.sources import DataSpec, load_split
from prompt_tuning.errors import UserError
from prompt_tuning.task_registry import TASKS

HUB = DataSpec("hub")
ROWS: dict[str, dict[str, Any]] = {
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


@pytest.mark.parametrize("name", ROWS)
def test_a_hub_row_gives_its_example(store, name: str) -> None:
    split = "validation" if "validation" in TASKS[name].origin.splits("hub") else "train"
    task = store(name, [ROWS[name]], split)
    loaded = load_split(task, split, HUB)
    assert loaded.examples == task.examples({"idx": 0, **ROWS[name]})
    assert loaded.provenance["source"] == "hub"
    assert loaded.provenance["config"] == task.origin.hub.config


def test_only_the_wanted_set_of_mrqa_is_read(store) -> None:
    """The hub has all out-of-domain sets in one test split."""
    rows = [{**ROWS["mrqa_duorc"], "subset": name} for name in ("RACE", "DuoRC.ParaphraseRC")]
    assert len(load_split(store("mrqa_duorc", rows, "validation"), "validation", HUB).examples) == 1


def test_a_wrong_row_is_named_by_its_number(store) -> None:
    task = store("boolq", [ROWS["boolq"], {**ROWS["boolq"], "label": 4}], "train")
    with pytest.raises(UserError, match=r"repo, row 1: label 4 is not in 0\.\.1"):
        load_split(task, "train", HUB)


def test_without_a_network_the_error_says_how_to_use_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path))
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the library's retries
    with pytest.raises(UserError) as error:
        load_split(TASKS["rte"], "train", HUB)
    assert str(error.value).startswith("aps/super_glue (rte): ")
    assert "data.dir=<folder of the official files>" in str(error.value)


def test_the_hub_has_the_splits_of_the_files_at_a_whole_commit() -> None:
    """MRQA's out-of-domain sets, and only those, are the hub's test split."""
    for name, task in TASKS.items():
        hub = task.origin.hub
        if hub is None:
            assert task.is_embedded or name == "quoref"
            continue
        assert {*hub.splits} == {*task.origin.files}, name
        assert name == "dpr" or re.fullmatch("[0-9a-f]{40}", str(hub.revision)), name
        assert (hub.subset is not None) == (hub.splits == {"validation": "test"}), name
