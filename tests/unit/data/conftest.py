"""T5's tokenizer as `transformers` loads it, and the SentencePiece model it is made of."""

import json
import shutil

import pytest
import sentencepiece
from transformers import AutoTokenizer


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
