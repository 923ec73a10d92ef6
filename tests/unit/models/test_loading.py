"""Loading a folder in the hub's layout, and refusing what is no clean T5 v1.1."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from prompt_tuning.errors import UserError
from prompt_tuning.models.loading import (
    load_checkpoint,
    weights_fingerprint,
    write_untrained_checkpoint,
)
from prompt_tuning.models.random_checkpoint import SHAPES, Shape, write_random_checkpoint

CPU = torch.device("cpu")


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    return load_checkpoint(str(folder), revision=None, dtype=dtype, device=CPU)


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def edit_weights(folder: Path, edit: Any) -> None:
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_clean_folder_loads_with_the_lm_head_it_holds(folder: Path) -> None:
    """The trap: transformers may tie the untied lm_head of a v1.1 to the embedding."""
    checkpoint = load(folder)
    weights = load_file(folder / "model.safetensors")
    assert torch.equal(checkpoint.model.lm_head, weights["lm_head.weight"])
    assert torch.equal(checkpoint.model.embedding, weights["shared.weight"])
    assert not torch.equal(checkpoint.model.lm_head, checkpoint.model.embedding)
    assert checkpoint.num_parameters == sum(w.numel() for w in weights.values())
    assert checkpoint.encode_text("positive") == checkpoint.tokenizer("positive").input_ids[:-1]


def test_the_five_sizes_have_the_parameters_of_the_paper() -> None:
    """Table 4, counted from the shapes: no weight is drawn."""
    published = {
        "small": 76_961_152,
        "base": 247_577_856,
        "large": 783_150_080,
        "xl": 2_849_757_184,
        "xxl": 11_135_332_352,
    }
    for size, parameters in published.items():
        shape, vocab = SHAPES[size], 32_128
        attention = 4 * shape.d_model * shape.num_heads * shape.d_kv
        feed_forward = 3 * shape.d_model * shape.d_ff
        blocks = shape.num_layers * (3 * attention + 2 * feed_forward + 5 * shape.d_model)
        ends = 2 * vocab * shape.d_model + 2 * shape.d_model + 2 * 32 * shape.num_heads
        assert blocks + ends == parameters, size


def test_the_fingerprint_names_the_weights_whatever_their_precision(folder: Path) -> None:
    checkpoint = load(folder)
    assert checkpoint.fingerprint == load(folder, torch.bfloat16).fingerprint
    edit_weights(folder, lambda weights: weights["lm_head.weight"].add_(1.0))
    assert load(folder).fingerprint != checkpoint.fingerprint
    assert len(weights_fingerprint(torch.zeros(2, 2), torch.zeros(2, 2))) == 16


@pytest.mark.parametrize(
    ("key", "value"),
    [("feed_forward_proj", "relu"), ("tie_word_embeddings", True), ("model_type", "bart")],
)
def test_another_architecture_is_refused_by_its_config(folder: Path, key: str, value: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(UserError, match=key):
        load(folder)


def test_a_missing_weight_is_refused_by_name(folder: Path) -> None:
    name = "encoder.block.1.layer.0.SelfAttention.q.weight"
    edit_weights(folder, lambda weights: weights.pop(name))
    with pytest.raises(UserError, match=name):
        load(folder)


def test_an_absent_lm_head_is_refused_rather_than_tied(folder: Path) -> None:
    edit_weights(folder, lambda weights: weights.pop("lm_head.weight"))
    with pytest.raises(UserError, match="lm_head"):
        load(folder)


def test_a_folder_that_is_no_checkpoint_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.path"):
        load(tmp_path)


def test_a_folder_with_the_real_vocabulary_has_t5s_rows_and_sentinels(
    shared_data: Path, tmp_path: Path, tiny_shape: Shape
) -> None:
    """32,000 pieces and 100 sentinels in 32,128 rows; <extra_id_0> is 32099."""
    vocabulary = shared_data / "t5_vocab" / "t5_vocab"
    write_random_checkpoint(tmp_path / "model", tiny_shape, vocabulary)
    checkpoint = load(tmp_path / "model")
    assert checkpoint.model.embedding.shape == (32_128, tiny_shape.d_model)
    assert checkpoint.sentinel_id == 32_099
    assert checkpoint.encode_text("entailment") == [3, 35, 5756, 297]
    assert checkpoint.encode_text("False") == [10747, 7, 15]


def test_an_untrained_copy_has_the_shape_and_tokenizer_and_none_of_the_weights(
    folder: Path, tmp_path: Path
) -> None:
    edit_weights(folder, lambda weights: [w.mul_(3) for w in weights.values()])  # "trained"
    write_untrained_checkpoint(tmp_path / "untrained", str(folder))
    trained, untrained = load(folder), load(tmp_path / "untrained")
    assert untrained.num_parameters == trained.num_parameters
    assert untrained.tokenizer.get_vocab() == trained.tokenizer.get_vocab()
    assert untrained.model.embedding.std().item() == pytest.approx(1, abs=0.05)
    assert not torch.isclose(untrained.model.embedding, trained.model.embedding).any(1).all()
    assert load(tmp_path / "untrained").fingerprint == untrained.fingerprint != trained.fingerprint
