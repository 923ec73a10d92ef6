"""The shapes of T5 v1.1: its sizes, and the shape of every tensor."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cache
from math import prod
from typing import Any, Self

NUM_BUCKETS = 32  # of the relative position bias
MAX_DISTANCE = 128  # from which all positions share its last bucket
NUM_SENTINELS = 100  # of a vocabulary: a corrupted row has at most so many spans


@dataclass(frozen=True)
class Shape:
    """The sizes of a T5 v1.1; its decoder may have a depth of its own."""

    d_model: int
    num_layers: int
    num_heads: int
    d_kv: int
    d_ff: int
    num_decoder_layers: int | None = None  # None: as the encoder
    relative_attention_num_buckets: int = NUM_BUCKETS

    @classmethod
    def of(cls, config: Any) -> Self:
        """That of a checkpoint's config."""
        return cls(**{each.name: getattr(config, each.name) for each in fields(cls)})

    @property
    def inner(self) -> int:
        """The width of all heads together."""
        return self.num_heads * self.d_kv


SUBLAYERS = {
    "encoder": ("SelfAttention", "DenseReluDense"),
    "decoder": ("SelfAttention", "EncDecAttention", "DenseReluDense"),
}
# Rows, columns and standard deviation of each matrix of a layer.
ATTENTION: dict[str, Callable[[Shape], tuple[int, int, float]]] = {
    "q": lambda s: (s.inner, s.d_model, (s.d_model * s.d_kv) ** -0.5),
    "k": lambda s: (s.inner, s.d_model, s.d_model**-0.5),
    "v": lambda s: (s.inner, s.d_model, s.d_model**-0.5),
    "o": lambda s: (s.d_model, s.inner, s.inner**-0.5),
}
FEED_FORWARD: dict[str, Callable[[Shape], tuple[int, int, float]]] = {
    "wi_0": lambda s: (s.d_ff, s.d_model, s.d_model**-0.5),
    "wi_1": lambda s: (s.d_ff, s.d_model, s.d_model**-0.5),
    "wo": lambda s: (s.d_model, s.d_ff, s.d_ff**-0.5),
}

# Source: google-research/prompt-tuning configs/models/sizes.
SHAPES = {
    "small": Shape(d_model=512, num_layers=8, num_heads=6, d_kv=64, d_ff=1024),
    "base": Shape(d_model=768, num_layers=12, num_heads=12, d_kv=64, d_ff=2048),
    "large": Shape(d_model=1024, num_layers=24, num_heads=16, d_kv=64, d_ff=2816),
    "xl": Shape(d_model=2048, num_layers=24, num_heads=32, d_kv=64, d_ff=5120),
    "xxl": Shape(d_model=4096, num_layers=24, num_heads=64, d_kv=64, d_ff=10240),
}


def parameter_shapes(shape: Shape, vocab_rows: int) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of a T5 v1.1, by its hub name."""
    return {name: size for name, size, _ in parameters_of(shape, vocab_rows, "t5")}


@cache
def num_parameters(shape: Shape, vocab_rows: int) -> int:
    """The number of weights of a T5 v1.1."""
    return sum(map(prod, parameter_shapes(shape, vocab_rows).values()))


def parameters_of(
    shape: Shape, vocab_rows: int, model_type: str
) -> Iterator[tuple[str, tuple[int, ...], float | None]]:
    """Name, shape and deviation of every tensor; the scales of norms start at one: None."""
    yield "shared.weight", (vocab_rows, shape.d_model), 1.0
    yield "lm_head.weight", (vocab_rows, shape.d_model), 1.0  # untied: a tensor of its own
    for stack, sublayers in SUBLAYERS.items():
        depth = (stack == "decoder" and shape.num_decoder_layers) or shape.num_layers
        for block in range(depth):
            for index, sublayer in enumerate(sublayers):
                layer = f"{stack}.block.{block}.layer.{index}"
                yield f"{layer}.layer_norm.weight", (shape.d_model,), None
                matrices = FEED_FORWARD if sublayer == "DenseReluDense" else ATTENTION
                for name, sizes in matrices.items():
                    rows, columns, deviation = sizes(shape)
                    yield f"{layer}.{sublayer}.{name}.weight", (rows, columns), deviation
        yield f"{stack}.final_layer_norm.weight", (shape.d_model,), None
        for block in range(depth if model_type == "umt5" else 1):
            table = f"{stack}.block.{block}.layer.0.SelfAttention.relative_attention_bias.weight"
            rows = shape.relative_attention_num_buckets
            yield table, (rows, shape.num_heads), shape.d_model**-0.5
