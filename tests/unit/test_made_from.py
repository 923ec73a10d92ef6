"""What a result was made from is told by its content, and without torch."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from prompt_tuning.files import file_facts
from prompt_tuning.made_from import ENDS, changed_since, digests, fingerprints_of
from prompt_tuning.models.loading import weights_fingerprints


def checkpoint_of(folder, dtype, *, seed=0, inner=1.0):
    """Writes the ends of a model, and returns the fingerprints that loading it would give."""
    torch.manual_seed(seed)
    # Ties of rounding, subnormals and the largest numbers among them.
    special = torch.tensor([1 + 2**-8, 1 + 3 * 2**-8, -1e-40, 3e38, 0.0, -0.0, 65504.0])
    embedding, head = (torch.cat([torch.randn(5000), special]).to(dtype) for _ in range(2))
    folder.mkdir(exist_ok=True)
    tensors = {"a": torch.full((3,), inner), **dict(zip(ENDS, (embedding, head), strict=True))}
    tensors |= {f"block.{i}.o.weight": torch.randn(100, i + 1).to(dtype) for i in range(3)}
    unused = ("encoder.embed_tokens", "decoder.0.EncDecAttention.relative_attention_bias")
    stored = tensors | {f"{name}.weight": torch.ones(2) for name in unused}
    save_file(stored, folder / "model.safetensors")
    return weights_fingerprints(tensors)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_the_fingerprint_of_a_folder_is_that_of_the_loaded_weights(tmp_path, dtype):
    assert fingerprints_of(tmp_path) == {}
    assert fingerprints_of(tmp_path) != checkpoint_of(tmp_path, dtype)
    assert fingerprints_of(tmp_path) == checkpoint_of(tmp_path, dtype)
    stored = load_file(tmp_path / "model.safetensors")
    expected = fingerprints_of(tmp_path)
    stored["encoder.embed_tokens.weight"] = stored.pop("shared.weight")  # as transformers takes it
    save_file(stored, tmp_path / "model.safetensors")
    assert fingerprints_of(tmp_path) == expected
    del stored["encoder.embed_tokens.weight"]
    save_file(stored, tmp_path / "model.safetensors")
    assert fingerprints_of(tmp_path) == {}


def test_a_checkpoint_in_parts_has_the_fingerprint_of_the_whole(tmp_path):
    """Beside a whole one the parts count for nothing, as for transformers."""
    expected = checkpoint_of(tmp_path, torch.float32)
    (tmp_path / "model.safetensors").rename(tmp_path / "model-1.safetensors")
    names = ", ".join(f'"{name}": "model-1.safetensors"' for name in ENDS)
    (tmp_path / "model.safetensors.index.json").write_text(f'{{"weight_map": {{{names}}}}}')
    assert fingerprints_of(tmp_path) == expected
    assert checkpoint_of(tmp_path, torch.float32, seed=1) == fingerprints_of(tmp_path) != expected


def test_a_whole_checkpoint_has_the_fingerprints_that_it_was_loaded_with(
    tiny_folder, tiny_checkpoint
):
    assert fingerprints_of(tiny_folder) == tiny_checkpoint.fingerprints
    assert {*tiny_checkpoint.fingerprints} == {"fingerprint", "inner_fingerprint"}


def test_data_and_weights_that_have_changed_are_named(tmp_path):
    rows = tmp_path / "val.jsonl"
    rows.write_text("a")
    known = checkpoint_of(tmp_path / "model", torch.float32)
    record = {
        "data": {"validation": file_facts(rows), "transfer": {"cb": {"revision": "1"}}},
        "model": {"source": str(tmp_path / "model"), **known},
    }
    now = {"validation": file_facts(rows), "transfer": {"cb": {"revision": "1"}}, "new": {}}
    assert changed_since(record, now, None) is None
    assert changed_since(record, {}, None) is None  # nothing is known of what is there now

    elsewhere = rows.rename(tmp_path / "moved.jsonl")
    assert changed_since(record, {"validation": file_facts(elsewhere)}, None) is None
    elsewhere.write_text("b")
    changed = changed_since(record, {"validation": file_facts(elsewhere)}, None)
    assert changed == "its data have changed since (validation)"
    changed = changed_since(record, {"transfer": {"cb": {"revision": "2"}}}, None)
    assert changed == "its data have changed since (transfer.cb)"

    checkpoint_of(tmp_path / "model", torch.float32, inner=2.0)
    assert "the weights in" in str(changed_since(record, now, None))
    del record["model"]["inner_fingerprint"]  # a record of an earlier version
    assert changed_since(record, now, None) is None
    checkpoint_of(tmp_path / "model", torch.float32, seed=1)
    assert "the weights in" in str(changed_since(record, now, None))
    assert changed_since(record, now, model_path=str(tmp_path / "absent")) is None


def test_digests_have_their_places():
    facts = {"train": {"sha256": "a", "num_rows": 3}, "tasks": {"cb": {"test": {"revision": "r"}}}}
    assert digests(facts) == {"train.sha256": "a", "tasks.cb.test.revision": "r"}
