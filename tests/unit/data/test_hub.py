"""Loading through `datasets`, from folders that this test writes in the hub's layout.

The hub itself is out of reach here: ids, configurations and revisions are taken on trust.
"""

import re

import pytest
from golden.test_text_formats import GOLDEN

from prompt_tuning.data.sources import DataSpec, load_split
from prompt_tuning.errors import UserError
from prompt_tuning.task_registry import TASKS

HUB = DataSpec("hub")


@pytest.mark.parametrize("name", GOLDEN)
def test_a_hub_row_gives_its_example(store, name):
    split = "validation" if "validation" in TASKS[name].origin.splits("hub") else "train"
    more = {"context_tokens": {"tokens": ["c", "."], "offsets": [0, 1]}}  # what no task reads
    task = store(name, [GOLDEN[name].hub | more], split)
    loaded = load_split(task, split, HUB)
    assert loaded.examples == GOLDEN[name].examples[:1]
    assert loaded.provenance["source"] == "hub"
    assert loaded.provenance["config"] == task.origin.hub.config


def test_only_the_wanted_set_of_mrqa_is_read(store):
    """The hub has all out-of-domain sets in one test split."""
    rows = [GOLDEN["mrqa_race"].hub | {"subset": name} for name in ("RACE", "DuoRC.ParaphraseRC")]
    task = store("mrqa_duorc", rows, "validation")  # mrqa_race's golden row is one of RACE alone
    assert len(load_split(task, "validation", HUB).examples) == 1


def test_a_wrong_row_is_named_by_its_number(store):
    row = GOLDEN["boolq"].hub
    task = store("boolq", [row, row | {"label": 4}], "train")
    with pytest.raises(UserError, match=r"repo, row 1: label 4 is not in 0\.\.1"):
        load_split(task, "train", HUB)


def test_without_a_network_the_error_says_how_to_use_files(monkeypatch, tmp_path):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path))
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the library's retries
    with pytest.raises(UserError) as error:
        load_split(TASKS["rte"], "train", HUB)
    assert str(error.value).startswith("aps/super_glue (rte): ")
    assert "data.dir=<folder of the official files>" in str(error.value)


def test_the_hub_has_the_splits_of_the_files_at_a_whole_commit():
    """MRQA's out-of-domain sets, and only those, are the hub's test split."""
    for name, task in TASKS.items():
        hub = task.origin.hub
        if hub is None:
            assert task.is_embedded or name == "quoref"
            continue
        assert {*hub.splits} == {*task.origin.files}, name
        assert name == "dpr" or re.fullmatch("[0-9a-f]{40}", str(hub.revision)), name
        assert (hub.subset is not None) == (hub.splits == {"validation": "test"}), name
