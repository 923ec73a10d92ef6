"""The pieces of a block, each against its definition."""

import pytest
import torch

from prompt_tuning.models import layers
from prompt_tuning.models.layers import (
    Dropout,
    Packing,
    RelativePositionBias,
    attention_mask,
    packed_self_attention,
)


@pytest.mark.parametrize("trains_bias", [False, True])
def test_the_padded_attention_equals_the_row_by_row_one(trains_bias, monkeypatch):
    """Short rows and GPUs have the first, long rows on a CPU the second."""
    lengths = [3, 9, 1, 5]
    qkv = torch.randn(3, sum(lengths), 2, 4, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(2, 12, 12, dtype=torch.float64, requires_grad=trains_bias)
    trained = [qkv, bias] if trains_bias else [qkv]
    outputs = []
    for short_row in (64, 0):
        monkeypatch.setattr(layers, "SHORT_ROW", short_row)
        packing = Packing(lengths, qkv)
        outputs.append(packed_self_attention(qkv, packing, attention_mask(bias, packing)))
    torch.testing.assert_close(*outputs)
    weight = torch.randn_like(outputs[0])
    torch.testing.assert_close(
        *(torch.autograd.grad((output * weight).sum(), trained) for output in outputs)
    )


@pytest.mark.parametrize("length", [5, 8, 21])
def test_attention_of_a_gpu_need_not_copy_the_mask(length):
    """PyTorch's preprocess_mask copies one with another stride, in each layer."""
    bias = torch.randn(2, 30, 30)
    mask = attention_mask(bias, Packing([length, 3], bias))
    assert mask.shape == (2, 2, length, length) and mask.stride(-1) == 1
    assert all(stride % 8 == 0 for stride in mask.stride()[:-1])


@pytest.mark.parametrize("length", [1, 2, 9, 128, 300])
@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_position_bias_equals_hugging_face(hf_model, stack, length):
    attention = getattr(hf_model, stack).block[0].layer[0].SelfAttention
    causal = stack == "decoder"
    bias = RelativePositionBias(
        attention.relative_attention_bias.weight, max_distance=128, causal=causal
    )
    expected = attention.compute_bias(length, length)[0]
    if causal:
        expected = expected.masked_fill(torch.ones(length, length).triu(1).bool(), -torch.inf)
    bias(1)  # a longer one is asked for later: the bias grows
    torch.testing.assert_close(bias(length), expected, rtol=0, atol=0)
    torch.testing.assert_close(bias(1)[:, :length, :length], expected, rtol=0, atol=0)


def test_dropping_values_equals_dropping_keys_for_every_query():
    """Why T5X's dropout keeps the fused kernel: (softmax(s) * m) @ v = softmax(s) @ (m * v)."""
    v = torch.randn(7, 2, 4, dtype=torch.float64)
    scores = torch.softmax(torch.randn(2, 5, 7, dtype=torch.float64), dim=-1)
    (mask,) = Dropout(0.5, 0, [0]).keys(2, 7, v, 0)
    dropped = Dropout(0.5, 0, [0]).values(v, 0, Packing([7], v))
    expected = (scores * mask[:, None]) @ v.transpose(0, 1)
    torch.testing.assert_close(scores @ dropped.transpose(0, 1), expected)


def test_dropout_gives_all_positions_of_a_row_one_mask():
    """Source: flaxformer broadcasts the mask over the length."""
    lengths = [400, 600]
    x = torch.ones(1000, 64, dtype=torch.float64, requires_grad=True)
    dropped = Dropout(0.25, 0, [0, 1]).packed(x, 0, Packing(lengths, x))
    first, second = dropped.split(lengths)
    assert (first == first[0]).all() and (second == second[0]).all()
    assert not torch.equal(first[0], second[0])
    assert set(dropped.unique().tolist()) == {0.0, 1 / 0.75}
    dropped.sum().backward()
    torch.testing.assert_close(x.grad, dropped.detach())


def test_a_rows_masks_are_its_own_whatever_rows_and_padding_are_beside_it():
    """So that the budget of a micro-batch, the machine's, is no part of an experiment."""
    x, whole = torch.ones(3, 8), Dropout(0.5, 9, range(3))
    masks = [whole.channels(x, 0), whole.keys(4, 50, x, 1)]
    alone = Dropout(0.5, 9, range(3)).of_rows([2])
    assert torch.equal(alone.channels(x, 0)[0], masks[0][2])
    assert torch.equal(alone.keys(4, 20, x, 1)[0], masks[1][2, :, :20])


def test_dropped_numbers_are_independent_of_rows_channels_uses_and_seeds():
    """They are a hash of all four: each varied alone must look like a fair coin."""
    x = torch.ones(1, 1000, dtype=torch.float64)
    masks = []
    for seed in (0, 1, 2**33):
        dropout = Dropout(0.25, seed, range(50))
        masks += [dropout.channels(x, number) for number in range(2)]
    stacked = torch.stack(masks)  # [seeds and uses, rows, channels]
    assert stacked.mean().item() == pytest.approx(1.0, abs=0.005)
    for axis in range(3):
        means = stacked.transpose(0, axis).flatten(1).mean(1)
        assert means.std().item() < 2 * (stacked.numel() / len(means)) ** -0.5
        samples = stacked.transpose(0, axis).flatten(1)[:50]
        correlations = torch.corrcoef(samples) - torch.eye(len(samples), dtype=x.dtype)
        assert correlations.abs().max().item() < 6 * samples.shape[1] ** -0.5
