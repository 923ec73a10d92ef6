"""The useful operations of a step, and the rate at which this machine multiplies matrices.

Their quotient is the floor: the time of a step that does nothing but its necessary products, at
the machine's own rate. An addition and a multiplication are an operation each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from prompt_tuning.bench.costs import interleave
from prompt_tuning.bench.workload import Place
from prompt_tuning.models import products
from prompt_tuning.shapes import Shape

RATE_REPEATS = 5


@dataclass(frozen=True)
class Passes:
    """Operations for each multiply-add of the forward pass, by what is multiplied."""

    weights: int  # an activation and a weight
    activations: int  # queries and keys, or attention weights and values


# Forward 2. Backward through a weight 2 for the activation's gradient and, if it is trained, 2 for
# the weight's. Attention has two products; backward they are four, and the fused kernel makes the
# scores again rather than keep them: (2 * 2 + 4 * 2 + 2) / 2 = 7 for each of the two.
PROMPT_TUNING = Passes(weights=4, activations=7)
MODEL_TUNING = Passes(weights=6, activations=7)


def useful_operations(
    shape: Shape,
    vocab_size: int,
    encoder_lengths: Sequence[int],
    target_lengths: Sequence[int],
    passes: Passes,
) -> int:
    """Operations of one step on ragged rows, real positions only.

    Encoder lengths have the prompt in them. Norms, activations, softmax, dropout and the optimiser
    count nothing. Cross-attention is counted in the cheaper of its two forms: keys and values
    projected from every encoder state, or the projections absorbed into the few target positions.
    """
    hidden, inner = shape.d_model, shape.inner
    square = hidden * inner
    by_weights, by_activations = passes.weights, 2 * passes.activations

    def own_sublayers(length: int) -> int:
        """Self-attention and feed-forward of one layer over `length` positions."""
        weights = 4 * square + 3 * hidden * shape.d_ff
        return by_weights * weights * length + by_activations * inner * length**2

    total = 0
    for length, target_length in zip(encoder_lengths, target_lengths, strict=True):
        pairs = target_length * length  # of cross-attention
        projected = by_weights * 2 * square * (length + target_length)
        projected += by_activations * inner * pairs
        absorbed = by_weights * 4 * square * target_length
        absorbed += by_activations * hidden * shape.num_heads * pairs
        layer = own_sublayers(length) + own_sublayers(target_length) + min(projected, absorbed)
        total += shape.num_layers * layer + by_weights * hidden * vocab_size * target_length
    return total


def matrix_product_rate(shape: Shape, num_rows: int, place: Place) -> float:
    """Operations a second of this machine on products of `num_rows` encoder positions.

    The best of several. PyTorch brings two libraries along for a CPU, and the faster one counts:
    `models/products.py`.
    """
    sizes = [
        (shape.d_model, 3 * shape.inner),
        (shape.inner, shape.d_model),
        (shape.d_model, 2 * shape.d_ff),
        (shape.d_ff, shape.d_model),
    ]
    random = partial(torch.randn, dtype=place.dtype, device=place.device)
    pairs = [(random(num_rows, columns), random(rows, columns)) for columns, rows in sizes]
    operations = sum(2 * num_rows * weight.numel() for _, weight in pairs)
    repeats = max(1, int(2e9 / operations))  # so that a clock tick does not matter

    def multiply(product: Callable[[Tensor, Tensor], Tensor]) -> None:
        for _ in range(repeats):
            for x, weight in pairs:
                product(x, weight)

    ways = {"torch": partial(multiply, F.linear), "products": partial(multiply, products.linear)}
    for way in ways.values():
        way()  # warm up
    calls = {name: [way] for name, way in ways.items()}
    costs = interleave(calls, RATE_REPEATS, place.device)
    return repeats * operations / min(min(columns["seconds"][0]) for columns in costs.values())
