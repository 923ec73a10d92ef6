"""What a step is said to keep, against what autograd keeps."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from prompt_tuning.bench.workload import Place, random_ids, random_t5
from prompt_tuning.loop import summed_loss
from prompt_tuning.models import layers, memory
from prompt_tuning.models.frozen_t5 import FrozenT5, Rows
from prompt_tuning.models.layers import Dropout
from prompt_tuning.models.memory import Footprint, tokens_per_micro_batch
from prompt_tuning.shapes import NUM_BUCKETS

PROMPT_LENGTH = 5
BOUND = 0.03  # relative; seen: 0.016


@pytest.fixture(autouse=True)
def _rows_are_padded(monkeypatch):
    """As on a GPU."""
    monkeypatch.setattr(layers, "SHORT_ROW", 1000)


def kept_storages(forward):
    """Bytes of every storage that the graph of a forward pass keeps, by address: each once."""
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        graph = forward()  # alive to the end: no address is used twice
    del graph
    return kept


def kept_by(model, lengths, target_lengths):
    """Bytes that a second pass keeps beside the first: weights, which both hold, are not in it."""
    prompt = torch.randn(PROMPT_LENGTH, model.hidden_size, requires_grad=True)
    inputs, targets = (
        [ids % model.vocab_size for ids in random_ids(counts, seed=0)]
        for counts in ([length - PROMPT_LENGTH for length in lengths], target_lengths)
    )

    def loss():
        dropout = Dropout(0.1, 0, range(len(inputs)))
        encoded = model.encode(Rows.under(prompt, inputs), dropout)
        logits = model.target_logits(encoded, targets, dropout)
        return summed_loss(logits, torch.cat(targets), 1e-4)

    once, twice = (
        sum(kept_storages(lambda n=n: [loss() for _ in range(n)]).values()) for n in (1, 2)
    )
    return twice - once


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("size", ["nano", "tiny"])
@pytest.mark.parametrize(
    ("lengths", "target_lengths"),
    [([40] * 3, [4] * 3), ([7], [2]), ([150] * 2, [1, 3]), ([20, 33, 60], [9, 1, 20])],
    ids=["equal", "one", "long", "ragged"],
)
def test_what_a_step_keeps_is_what_was_counted(size, dtype, lengths, target_lengths):
    model = FrozenT5(random_t5(size, 0.0, Place(torch.device("cpu"), dtype)))
    counted = Footprint.of(model).kept_bytes(lengths, target_lengths)
    assert counted == pytest.approx(kept_by(model, lengths, target_lengths), rel=BOUND)


def test_a_micro_batch_of_as_many_tokens_as_fit_keeps_its_share_of_the_memory(hf_model):
    """Whether it has the shortest rows or the longest, and one mask or, of umT5, one a layer."""
    model, free, lengths = FrozenT5(hf_model), 2**26, (10, 140)
    footprint = Footprint.of(model)
    tokens = footprint.tokens_that_fit(free, lengths, longest_target=2)
    kept = []
    for length in lengths:
        rows = tokens // length
        kept.append(kept_by(model, [length] * rows, [2] * rows))
        counted = footprint.kept_bytes([length] * rows, [2] * rows)
        assert counted == pytest.approx(kept[-1], rel=BOUND)
    assert 0.9 < max(kept) / (free * memory.SHARE_FOR_KEPT) < 1 + BOUND  # little is wasted


def test_parameters_are_counted(hf_model):
    footprint, tables = Footprint.of(FrozenT5(hf_model)), 0
    if hf_model.config.model_type == "umt5":  # a bias of each layer, not of the first alone
        tables = 2 * 3 * NUM_BUCKETS * hf_model.config.num_heads
    assert footprint.weight_bytes == 4 * (hf_model.num_parameters() - tables)


def test_null_is_what_fits_on_a_gpu_and_2048_elsewhere(hf_model, monkeypatch):
    model, lengths = FrozenT5(hf_model), [20, 140]
    assert tokens_per_micro_batch(77, model, lengths, 3) == 77
    assert tokens_per_micro_batch(None, model, lengths, 3) == 2048
    monkeypatch.setattr(FrozenT5, "device", torch.device("cuda:1"))
    asked = []
    monkeypatch.setattr(memory, "free_bytes", lambda device: asked.append(device) or 2**33)
    fitting = Footprint.of(model).tokens_that_fit(2**33, lengths, 3)
    assert tokens_per_micro_batch(None, model, lengths, 3) == fitting > 100_000
    assert asked == [torch.device("cuda:1")]
    assert tokens_per_micro_batch(None, None, lengths, 3) == 2048  # weights are trained
