"""The embedding table alone is that of the loaded model, whatever files hold it."""

import json

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from prompt_tuning.data.tokenization import encode_texts
from prompt_tuning.models import embeddings
from prompt_tuning.models.embeddings import load_embedding_table


def assert_is(table, checkpoint):
    np.testing.assert_array_equal(table.weight, checkpoint.model.embedding.numpy())
    assert table.weight.dtype == np.float32
    assert table.fingerprints.items() < checkpoint.fingerprints.items()
    assert encode_texts(["positive"], table.tokenizer) == [checkpoint.encode_text("positive")]


def never(*_, **__):
    raise AssertionError("the whole model was read")


def test_two_matrices_are_read_and_not_the_model(tiny_folder, tiny_checkpoint, monkeypatch):
    """XXL is 42 GiB, its embedding half a GiB."""
    monkeypatch.setattr(embeddings, "load_hugging_face", never)
    table = load_embedding_table(str(tiny_folder), None)
    assert_is(table, tiny_checkpoint)
    assert table.source == tiny_checkpoint.source and table.revision is None


def test_a_checkpoint_in_parts_is_read_where_its_index_points(folder, tiny_checkpoint, monkeypatch):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    head = {"lm_head.weight": weights.pop("lm_head.weight")}
    parts = {"a.safetensors": weights, "b.safetensors": head}
    for name, part in parts.items():
        save_file(part, folder / name)
    where = {tensor: name for name, part in parts.items() for tensor in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    monkeypatch.setattr(embeddings, "load_hugging_face", never)
    assert_is(load_embedding_table(str(folder), None), tiny_checkpoint)


def test_a_checkpoint_of_another_format_is_read_whole(folder, tiny_checkpoint):
    """The LM-adapted T5s on the hub are PyTorch files."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert_is(load_embedding_table(str(folder), None), tiny_checkpoint)


def test_neighbours_are_pieces_of_text(tiny_folder):
    """Spare rows of the table are no tokens; pad, eos, unk and sentinels no text."""
    table = load_embedding_table(str(tiny_folder), None)
    ids = table.token_ids(with_control_tokens=False)
    every = table.token_ids(with_control_tokens=True)
    assert every == [*range(len(table.tokenizer))] and len(every) <= len(table.weight)
    left_out = table.tokenizer.convert_ids_to_tokens(sorted({*every} - {*ids}))
    sentinels = {f"<extra_id_{i}>" for i in range(100)}
    assert {*left_out} == {"<pad>", "</s>", "<unk>", *sentinels}
    assert len(ids) == len(every) - 103
