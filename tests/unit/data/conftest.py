"""T5's tokenizer and the SentencePiece model it is made of; a stand-in for the hub."""

import json
import shutil
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sentencepiece
from transformers import AutoTokenizer

from prompt_tuning.task_registry import TASKS


@pytest.fixture(scope="session")
def t5_vocabulary(shared_data):
    """T5's SentencePiece model (cc_all.32000)."""
    return sentencepiece.SentencePieceProcessor(str(shared_data / "t5_vocab" / "t5_vocab"))


@pytest.fixture(scope="session")
def t5_tokenizer(shared_data, tmp_path_factory):
    """The tokenizer of a folder in the hub's layout."""
    folder = tmp_path_factory.mktemp("tokenizer")
    shutil.copy(shared_data / "t5_vocab" / "t5_vocab", folder / "spiece.model")
    config = {"tokenizer_class": "T5Tokenizer", "extra_ids": 100, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Stores rows as a task's repository; returns the task that reads from it."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))

    def stored(name, rows, split):
        hub, repo = TASKS[name].origin.hub, tmp_path / "repo"
        assert hub is not None
        (repo / hub.config).mkdir(parents=True)
        file = f"{hub.config}/{hub.splits[split]}-00000-of-00001.parquet"
        pq.write_table(pa.Table.from_pylist(rows), repo / file)
        (repo / "README.md").write_text(
            f"---\nconfigs:\n- config_name: {hub.config}\n  data_files:\n"
            f"  - split: {hub.splits[split]}\n"
            f"    path: {hub.config}/{hub.splits[split]}-*\n---\n"
        )
        origin = replace(TASKS[name].origin, hub=replace(hub, repo=str(repo), revision=None))
        return replace(TASKS[name], origin=origin)

    return stored
