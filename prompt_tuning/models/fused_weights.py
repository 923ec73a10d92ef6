"""The weights of a T5 v1.1 layer, fused: fewer products, and norm scales folded into them."""

from collections import UserDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]  # by their names in a checkpoint


class OnDevice(UserDict[str, Tensor]):
    """Weights that go to a device one by one, as they are asked for.

    What is fused there is fused from a layer's weights: a GPU never holds them all beside it.
    """

    def __init__(self, weights: Weights, device: torch.device) -> None:
        super().__init__(weights)
        self._device = device

    def __getitem__(self, name: str) -> Tensor:
        return self.data[name].to(self._device)


@dataclass(frozen=True)
class EncoderLayer:
    """Query, key and value in one product, gate and linear part in another."""

    qkv: Tensor  # [3 * heads * d_kv, H], norm scale folded in
    attention_output: Tensor  # [H, heads * d_kv]
    gate_and_linear: Tensor  # [2 * d_ff, H], norm scale folded in
    feed_forward_output: Tensor  # [H, d_ff]

    def __call__(self, compute: Callable[..., Tensor], *args: Any) -> Tensor:
        """`compute(weights, *args)`: a layer that is spread makes its weights whole before."""
        return compute(self, *args)


@dataclass(frozen=True)
class DecoderLayer(EncoderLayer):
    """A decoder layer whose cross-attention has absorbed its key and value matrices.

    Targets have a handful of positions and inputs hundreds: projecting the *queries* through the
    key matrix, and the weighted mean of the encoder states through the value matrix, gives the
    same numbers as projecting every encoder state.
    """

    cross_query: Tensor  # [heads * d_kv, H], norm scale folded in
    cross_key: Tensor  # [heads, d_kv, H], encoder's final scale folded in
    cross_value: Tensor  # [heads, H, d_kv], encoder's final scale folded in
    cross_output: Tensor  # [H, heads * d_kv]


def fused_encoder_layer(weights: Weights, block: int) -> EncoderLayer:
    """That of a block, by its number."""
    return EncoderLayer(*_of_both_stacks(weights, f"encoder.block.{block}.layer", 1))


def fused_decoder_layer(weights: Weights, block: int, heads: int) -> DecoderLayer:
    """That of a block, by its number."""
    name = f"decoder.block.{block}.layer"
    q, k, v, o = (weights[f"{name}.1.EncDecAttention.{each}.weight"] for each in "qkvo")
    encoder_scale = weights["encoder.final_layer_norm.weight"]
    return DecoderLayer(
        *_of_both_stacks(weights, name, 2),
        q * weights[f"{name}.1.layer_norm.weight"],
        (k * encoder_scale).unflatten(0, (heads, -1)),
        (v * encoder_scale).unflatten(0, (heads, -1)).mT.contiguous(),
        o,
    )


def _of_both_stacks(
    weights: Weights, name: str, last: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The fields of `EncoderLayer`; the feed-forward part is the checkpoint's layer `last`."""
    q, k, v, o = (weights[f"{name}.0.SelfAttention.{each}.weight"] for each in "qkvo")
    gate, linear, output = (
        weights[f"{name}.{last}.DenseReluDense.{each}.weight"] for each in ("wi_0", "wi_1", "wo")
    )
    gate_and_linear = torch.cat([gate, linear]) * weights[f"{name}.{last}.layer_norm.weight"]
    return (
        torch.cat([q, k, v]) * weights[f"{name}.0.layer_norm.weight"],
        o,
        gate_and_linear,
        output.to(gate_and_linear.dtype),  # transformers may keep wo in float32
    )
