"""The weights of a T5 v1.1 layer, fused: fewer products, and norm scales folded into them."""

from collections import UserDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

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
class SelfAttention:
    """Query, key and value in one product."""

    qkv: Tensor  # [3 * heads * d_kv, H], norm scale folded in
    output: Tensor  # [H, heads * d_kv]

    @classmethod
    def fuse(cls, weights: Weights, layer: str) -> Self:
        """Of the checkpoint's `layer`, as in `encoder.block.0.layer.0`."""
        parts = [weights[f"{layer}.SelfAttention.{name}.weight"] for name in "qkv"]
        scale = weights[f"{layer}.layer_norm.weight"]
        return cls(torch.cat(parts) * scale, weights[f"{layer}.SelfAttention.o.weight"])


@dataclass(frozen=True)
class CrossAttention:
    """Cross-attention with the key and value matrices absorbed.

    Targets have a handful of positions and inputs hundreds: projecting the *queries* through the
    key matrix, and the weighted mean of the encoder states through the value matrix, gives the
    same numbers as projecting every encoder state.
    """

    query: Tensor  # [heads * d_kv, H], norm scale folded in
    key: Tensor  # [heads, d_kv, H], encoder's final scale folded in
    value: Tensor  # [heads, H, d_kv], encoder's final scale folded in
    output: Tensor  # [H, heads * d_kv]

    @classmethod
    def fuse(cls, weights: Weights, layer: str, heads: int) -> Self:
        """Of the checkpoint's `layer`, as in `encoder.block.0.layer.0`."""
        q, k, v, o = (weights[f"{layer}.EncDecAttention.{name}.weight"] for name in "qkvo")
        encoder_scale = weights["encoder.final_layer_norm.weight"]
        return cls(
            q * weights[f"{layer}.layer_norm.weight"],
            (k * encoder_scale).unflatten(0, (heads, -1)),
            (v * encoder_scale).unflatten(0, (heads, -1)).mT.contiguous(),
            o,
        )


@dataclass(frozen=True)
class FeedForward:
    """Gate and linear part in one product."""

    gate_and_linear: Tensor  # [2 * d_ff, H], norm scale folded in
    output: Tensor  # [H, d_ff]

    @classmethod
    def fuse(cls, weights: Weights, layer: str) -> Self:
        """Of the checkpoint's `layer`, as in `encoder.block.0.layer.0`."""
        gate, linear, output = (
            weights[f"{layer}.DenseReluDense.{name}.weight"] for name in ("wi_0", "wi_1", "wo")
        )
        fused = torch.cat([gate, linear]) * weights[f"{layer}.layer_norm.weight"]
        return cls(fused, output.to(fused.dtype))  # transformers may keep wo in float32
