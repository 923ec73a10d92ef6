"""Loading a folder in the hub's layout, and refusing what is no clean T5 v1.1, mT5 or umT5."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from sentencepiece import SentencePieceProcessor
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, ByT5Tokenizer

from prompt_tuning.bench.workload import SIZES
from prompt_tuning.errors import UserError
from prompt_tuning.made_from import differing, fingerprints_of
from prompt_tuning.models.embeddings import load_embedding_table
from prompt_tuning.models.frozen_t5 import Rows
from prompt_tuning.models.loading import (
    load_checkpoint,
    load_weights,
    save_checkpoint,
    write_untrained_checkpoint,
)
from prompt_tuning.models.random_checkpoint import tokenizer_config, write_random_checkpoint

CPU = torch.device("cpu")


def load(folder, dtype=torch.float32, device=CPU):
    return load_checkpoint(str(folder), revision=None, dtype=dtype, device=device)


def table_of(folder):
    return load_embedding_table(str(folder), None)


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


def edit_config(folder, **values):
    """Sets values; None takes the key out."""
    config = {k: v for k, v in (config_of(folder) | values).items() if v is not None}
    (folder / "config.json").write_text(json.dumps(config))


def edit_weights(folder, edit):
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_every_weight_goes_to_the_device(family_folder):
    """On a mixture of devices a product raises; PyTorch's `meta` stands for the GPU."""
    meta = torch.device("meta")
    checkpoint = load(family_folder, device=meta)
    model, ids = checkpoint.model, torch.ones(3, dtype=torch.int64, device=meta)
    encoded = model.encode(Rows.under(torch.ones(2, model.hidden_size), [ids, ids]))
    assert model.target_logits(encoded, [ids, ids]).device == model.device == meta
    assert checkpoint.fingerprints == load(family_folder).fingerprints


def test_a_folder_of_each_architecture_loads_and_reads_text_as_its_vocabulary_does(family_folder):
    """Of mT5 the sentinels are pieces of the vocabulary, of umT5 <unk> has another id.

    The trap: transformers may tie the untied lm_head of a v1.1 to the embedding.
    """
    checkpoint, table = load(family_folder), table_of(family_folder)
    weights = load_file(family_folder / "model.safetensors")
    assert torch.equal(checkpoint.model.lm_head, weights["lm_head.weight"])
    assert torch.equal(checkpoint.model.embedding, weights["shared.weight"])
    assert not torch.equal(checkpoint.model.lm_head, checkpoint.model.embedding)
    assert checkpoint.num_parameters == sum(w.numel() for w in weights.values())
    assert table.fingerprints.items() < checkpoint.fingerprints.items()
    assert load(family_folder, torch.bfloat16).fingerprints == checkpoint.fingerprints
    assert fingerprints_of(family_folder) == checkpoint.fingerprints
    assert checkpoint.sentinel_id not in table.token_ids(with_control_tokens=False)

    vocabulary = SentencePieceProcessor(str(family_folder / "spiece.model"))
    for text in ("a joy to watch", "\u4e2d is unknown"):
        assert checkpoint.encode_text(text) == vocabulary.encode(text)
    is_mt5 = config_of(family_folder)["model_type"] == "mt5"
    piece = vocabulary.piece_to_id("\u2581<extra_id_0>")
    assert checkpoint.sentinel_id == (piece if is_mt5 else len(vocabulary) + 99)
    # In a text its name is plain characters; of mT5 it is a piece of text as SentencePiece has it.
    assert (checkpoint.encode_text("<extra_id_0>") == [checkpoint.sentinel_id]) == is_mt5


def test_all_weights_are_trained_and_saved_again(family_folder, tmp_path):
    """As model tuning does it."""
    stored = load_file(family_folder / "model.safetensors")
    weights, config = load_weights(str(family_folder), device=CPU)
    assert config.model_type == config_of(family_folder)["model_type"]
    assert weights.keys() == stored.keys()
    assert all(weight.requires_grad for weight in weights.values())
    save_checkpoint(tmp_path, weights, str(family_folder), dtype=torch.float32)
    again, first = load(tmp_path), load(family_folder)
    assert again.fingerprints == first.fingerprints
    assert again.encode_text("a joy") == first.encode_text("a joy")


def test_the_fingerprints_name_the_weights_whatever_their_precision(folder):
    """Also weights between embedding and head, as a LoRA or model tuning moves them."""
    first = load(folder).fingerprints
    edit_weights(folder, lambda held: held.update({name: w.bfloat16() for name, w in held.items()}))
    table, checkpoint = table_of(folder), load(folder)
    assert table.fingerprints.items() < checkpoint.fingerprints.items() == first.items()
    np.testing.assert_array_equal(table.weight, checkpoint.model.embedding.numpy())
    name = "decoder.block.3.layer.0.SelfAttention.q.weight"
    edit_weights(folder, lambda weights: weights[name].mul_(1.1))
    moved = load(folder).fingerprints
    assert differing(first, moved) == ["inner_fingerprint"] and moved == fingerprints_of(folder)
    edit_weights(folder, lambda weights: weights["lm_head.weight"].add_(1.0))
    assert differing(moved, load(folder).fingerprints) == ["fingerprint"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "bart"}, "holds a bart .model_type"),
        ({"model_type": "longt5"}, "holds a longt5 .model_type"),
        ({"model_type": ["t5"]}, "holds a .*model_type"),
        ({"feed_forward_proj": "relu"}, "holds a t5 of feed_forward_proj=relu; T5 1.0 has relu"),
        ({"feed_forward_proj": None}, "feed_forward_proj=relu"),  # google-t5/t5-base has none
        ({"feed_forward_proj": "gated-silu"}, "feed_forward_proj=gated-silu"),  # UL2
        ({"scale_decoder_outputs": True}, "holds a T5 1.0: scale_decoder_outputs"),
        ({"tokenizer_class": "ByT5Tokenizer"}, "holds a ByT5, which reads bytes"),
        ({"decoder_start_token_id": 2}, "starts decoding with token 2"),
        ({"dense_act_fn": "relu"}, "dense_act_fn=relu"),  # transformers prefers it
        ({"relative_attention_max_distance": 16}, "max_distance=16"),  # no distance is left
        ({"relative_attention_max_distance": "far"}, "max_distance=far"),
        ({"relative_attention_num_buckets": 3}, "num_buckets=3"),
    ],
    ids=str,
)
def test_another_architecture_is_refused_by_its_config(folder, values, message):
    """In one error, before a weight or the vocabulary is read: here there is none."""
    edit_config(folder, **values)
    for name in ("model.safetensors", "spiece.model"):
        (folder / name).unlink()
    for read in (load, table_of):
        with pytest.raises(UserError, match=message):
            read(folder)


def test_an_mt5_whose_config_says_little_is_loaded(folder):
    """Without a feed_forward_proj gated-gelu is meant; of a t5 relu."""
    edit_config(folder, model_type="mt5", feed_forward_proj=None)
    load(folder)


def test_a_model_that_transformers_5_saved_again_is_the_same(family_folder, tmp_path):
    """It writes tie_word_embeddings: true for every T5; the weights say that the head is one."""
    again = tmp_path / "again"
    for part in (AutoModelForSeq2SeqLM, AutoTokenizer):
        part.from_pretrained(family_folder).save_pretrained(again)
    assert config_of(again)["tie_word_embeddings"] is True
    first, second = load(family_folder), load(again)
    assert second.fingerprints == first.fingerprints == fingerprints_of(again)
    assert torch.equal(second.model.lm_head, first.model.lm_head)
    assert second.encode_text("a joy, positive") == first.encode_text("a joy, positive")
    ids = torch.tensor([5, 9, 1])
    logits = [
        c.model.target_logits(c.model.encode(Rows([torch.ones(1, 64)], [ids], [0])), [ids])
        for c in (first, second)
    ]
    assert torch.equal(*logits)  # not scaled by d_model ** -0.5, as those of T5 1.0


def test_weights_and_config_that_do_not_belong_together_are_refused(folder):
    """By name: a weight or a layer too few or too many, another width, NaN, a tied head."""

    def nan(weights):
        weights["decoder.final_layer_norm.weight"][3] = torch.nan

    def tied(weights):
        weights["lm_head.weight"] = weights["shared.weight"].clone()

    name = "encoder.block.1.layer.0.SelfAttention.q.weight"
    cases = [
        (lambda weights: weights.pop(name), {}, f"missing weights .*{name}"),
        (lambda weights: weights.pop("lm_head.weight"), {}, "lm_head"),
        (tied, {}, "lm_head is the embedding"),
        (lambda weights: None, {"num_layers": 3}, r"config does not use .*encoder\.block\.3"),
        (lambda weights: None, {"num_layers": 5}, r"missing weights .*encoder\.block\.4"),
        (lambda weights: None, {"d_ff": 64}, "weights of another shape .*wi_0.*128, 64"),
        (lambda weights: None, {"vocab_size": 128}, "embedding or lm_head that is not 128 x 64"),
        (lambda weights: None, {"d_model": 32}, "embedding or lm_head that is not [0-9]+ x 32"),
        (nan, {}, r"not finite in decoder\.final_layer_norm"),
    ]
    stored, config = ((folder / name).read_bytes() for name in ("model.safetensors", "config.json"))
    for edit, values, message in cases:
        edit_weights(folder, edit)
        edit_config(folder, **values)
        with pytest.raises(UserError, match=message):
            load(folder)
        (folder / "model.safetensors").write_bytes(stored)
        (folder / "config.json").write_bytes(config)
    load(folder)


def test_a_tokenizer_that_does_not_belong_to_the_weights_is_refused(folder, tmp_path, write_tiny):
    """transformers makes one of nothing, whose every word is unknown; ByT5's knows bytes."""
    vocabulary = (folder / "spiece.model").read_bytes()
    (folder / "spiece.model").unlink()
    with pytest.raises(UserError, match=r"no spiece\.model or tokenizer\.json in"):
        load(folder)
    ByT5Tokenizer().save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")  # as a folder with several tokenizers has one
    with pytest.raises(UserError, match=r"ByT5Tokenizer; a T5 v1\.1 has T5Tokenizer"):
        load(folder)
    (folder / "tokenizer.json").unlink()
    (folder / "added_tokens.json").unlink()
    (folder / "spiece.model").write_bytes(vocabulary)
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config()))
    load(folder)

    write_tiny(tmp_path / "larger", [f"word{i} " * 9 for i in range(300)])
    shutil.copy(tmp_path / "larger" / "spiece.model", folder)
    with pytest.raises(UserError, match=r"ids up to [0-9]+, its embedding [0-9]+ rows"):
        load(folder)


def test_a_checkpoint_with_an_adapter_is_refused(folder, monkeypatch):
    """transformers would load the base that the adapter names; of a hub id it has done so."""
    model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    get_peft_model(model, LoraConfig(target_modules=["q", "v"])).save_pretrained(folder)
    with pytest.raises(UserError, match=r"has an adapter .*\n.*merge_and_unload"):
        load(folder)
    monkeypatch.setattr("prompt_tuning.models.loading.check_folder", lambda source: None)
    with pytest.raises(UserError, match=r"did not load cleanly: an adapter"):
        load(folder)


def test_a_tokenizer_of_another_kind_or_of_few_pieces_is_refused(folder):
    """Merges have no scores. Of a repository without a vocabulary transformers makes one piece."""
    (folder / "spiece.model").unlink()
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    with pytest.raises(UserError, match="the tokenizer has 1 pieces of text"):
        load(folder)
    rules = json.loads((folder / "tokenizer.json").read_text())
    pieces = {piece: i for i, (piece, _) in enumerate(rules["model"]["vocab"])}
    rules["model"] = {"type": "BPE", "vocab": pieces, "merges": []}
    (folder / "tokenizer.json").write_text(json.dumps(rules))
    of_any_kind = tokenizer_config() | {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(of_any_kind))
    with pytest.raises(UserError, match="the tokenizer is a BPE, T5's a Unigram"):
        load(folder)


def test_a_hub_id_has_the_commit_of_its_files(tiny_folder, tmp_path, monkeypatch):
    """From the hub's cache."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--me--tiny"
    shutil.copytree(tiny_folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert load(Path("me/tiny")).revision == table_of(Path("me/tiny")).revision == commit


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 248424\n"


@pytest.mark.parametrize("name", ["model.safetensors", "spiece.model", "config.json"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (POINTER, r"is a pointer of Git LFS.*\n.*git lfs pull"),
        (b"", r"is empty.*\n.*download it again"),
        (bytes(range(255, 0, -1)) * 20, r"is damaged.*\n(.*\n)*.*download it again"),
        (None, r"is damaged.*\n(.*\n)*.*download it again"),
    ],
    ids=["pointer", "empty", "random", "cut short"],
)
def test_a_damaged_file_is_named_with_what_to_do(folder, name, content, message):
    path = folder / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    for read in (load, table_of):
        with pytest.raises(UserError, match=message) as error:
            read(folder)
        assert str(path) in str(error.value)


def test_a_file_of_which_the_link_alone_was_copied_is_named(folder):
    """As in a snapshot of the hub's cache without its blobs; folders are not looked into."""
    (folder / "logs.json").mkdir()
    load(folder)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("../blobs/abc")
    with pytest.raises(UserError, match=r"safetensors is a link.*\n.*download it again"):
        load(folder)


def test_what_no_check_foresees_is_an_error_that_names_the_checkpoint(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the hub client's retries
    edit_config(folder, d_model="wide")
    with pytest.raises(UserError, match=f"cannot load the checkpoint {folder}.*\n.*copy or down"):
        load(folder)
    with pytest.raises(UserError, match=r"no config\.json(.|\n)*model\.path"):
        load(tmp_path)  # no checkpoint at all
    with pytest.raises(UserError, match=r"cannot load the checkpoint no/such.*\n.*network"):
        load(Path("no/such"))


def test_a_folder_with_the_real_vocabulary_has_t5s_rows_and_sentinels(shared_data, tmp_path):
    """32,000 pieces and 100 sentinels in 32,128 rows; <extra_id_0> is 32099."""
    vocabulary = shared_data / "t5_vocab" / "t5_vocab"
    write_random_checkpoint(tmp_path / "model", SIZES["nano"], vocabulary)
    checkpoint = load(tmp_path / "model")
    assert checkpoint.model.embedding.shape == (32_128, 64)
    assert len(table_of(tmp_path / "model").token_ids(with_control_tokens=False)) == 31_997
    assert checkpoint.sentinel_id == 32_099
    assert checkpoint.encode_text("entailment") == [3, 35, 5756, 297]
    assert checkpoint.encode_text("False") == [10747, 7, 15]


def test_an_untrained_copy_has_the_shape_and_tokenizer_and_none_of_the_weights(
    family_folder, tmp_path
):
    """Also of a decoder of its own depth, and of other buckets of positions."""

    def train(weights):
        for name, weight in [*weights.items()]:
            weights[name] = weight[:16].clone() if "attention_bias" in name else 3 * weight
            if name.startswith("decoder.block.3"):
                del weights[name]

    folder = Path(shutil.copytree(family_folder, tmp_path / "model"))
    edit_weights(folder, train)
    edit_config(folder, num_decoder_layers=3, relative_attention_num_buckets=16)
    (folder / "added_tokens.json").write_text('{"<sep>": 250}')  # of an older transformers
    write_untrained_checkpoint(tmp_path / "untrained", str(folder))
    trained, untrained = load(folder), load(tmp_path / "untrained")
    assert untrained.num_parameters == trained.num_parameters
    assert "<sep>" in untrained.tokenizer.get_vocab() == trained.tokenizer.get_vocab()
    assert untrained.model.embedding.std().item() == pytest.approx(1, abs=0.05)
    assert not torch.isclose(untrained.model.embedding, trained.model.embedding).any(1).all()
    assert fingerprints_of(tmp_path / "untrained") == untrained.fingerprints
    assert len(differing(trained.fingerprints, untrained.fingerprints)) == 2
