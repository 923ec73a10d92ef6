"""The memory of prompt tuning, counted from a model's shape: what a step keeps, how much fits.

The counts are held against measurements on a CPU (tests/unit/models/test_memory.py). Nothing here
has been measured on a GPU.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

import torch

from prompt_tuning.devices import TOKENS_ON_CPU
from prompt_tuning.models.frozen_t5 import PackedT5
from prompt_tuning.shapes import Shape, num_parameters

# The other half is for what a backward pass makes and drops again, for the padding of rows that
# are unlike, and for the gaps in what the allocator has.
SHARE_FOR_KEPT = 0.5


@dataclass(frozen=True)
class Footprint:
    """What a frozen T5 takes, by its shape alone; rows padded, as on a GPU, and dropout on."""

    shape: Shape
    vocab_size: int
    value_bytes: int  # of a number: 4 in float32, 2 in bfloat16
    num_position_biases: int = 1  # of the encoder; umT5 has one a layer

    @classmethod
    def of(cls, model: PackedT5) -> Self:
        """That of a model which is loaded."""
        size = model.dtype.itemsize
        return cls(model.shape, model.vocab_size, size, model.num_position_biases)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all parameters; those of the head are float32 whatever the others are."""
        head = self.vocab_size * self.shape.d_model
        return self.value_bytes * (num_parameters(self.shape, self.vocab_size) - head) + 4 * head

    def kept_bytes(self, lengths: Sequence[int], target_lengths: Sequence[int]) -> int:
        """Bytes that autograd keeps of a micro-batch until its backward pass.

        Of B rows with N encoder positions, prompts included, the longest of L, and with targets of
        at most U tokens, in a model of H, d_ff = F, A heads that are I wide together:

            a layer of the encoder
                N  (2 H + 2 F + A)        norms' outputs; gate and linear; dropout's scales of keys
                BL 4 I                    query, key, value and context, padded
                B  (2 H + F)              dropout's scales of channels
            a layer of the decoder
                BU (3 H + 3 I + 2 F)      the same
                BU A (H + 2 L + 2 U)      absorbed queries; attention weights, dropout off and on
                B  (3 H + F + A (L + U))  dropout's scales
            once
                B A L L                   the attention mask, one for each position bias
                (N + BL + 2 B) H          last norm, states for the decoder, dropout's scales
                (sum of targets) V        probabilities, in float32

        numbers; and in float32 one of each norm and position, and one of each head in attention.
        Weights are not counted: they are there anyway.
        """
        shape, heads = self.shape, self.shape.num_heads
        hidden, inner, wide = shape.d_model, shape.inner, shape.d_ff
        rows, length, longest = len(lengths), max(lengths), max(target_lengths)
        positions, padded, targets = sum(lengths), rows * length, rows * longest

        encoder = positions * (2 * hidden + 2 * wide + heads) + padded * 4 * inner
        encoder += rows * (2 * hidden + wide)
        decoder = targets * (3 * hidden + 3 * inner + 2 * wide)
        decoder += targets * heads * (hidden + 2 * length + 2 * longest)
        decoder += rows * (3 * hidden + wide + heads * (length + longest))
        masks = self.num_position_biases * padded * heads * length
        once = masks + (positions + padded + 2 * rows) * hidden
        float32s = shape.num_layers * (2 * positions + padded * heads + 3 * targets)
        float32s += sum(target_lengths) * self.vocab_size
        numbers = shape.num_layers * (encoder + decoder) + once
        return numbers * self.value_bytes + 4 * float32s

    def tokens_that_fit(self, free: int, lengths: Collection[int], longest_target: int) -> int:
        """Encoder positions of a micro-batch whose backward pass fits into `free` bytes.

            free * SHARE_FOR_KEPT / (bytes kept of a position)

        The bytes are those of the shortest or of the longest row, whichever costs more a position:
        a short row has more of the decoder, a long one more of the mask.

        `lengths` are encoder positions of all rows that there are; `free` counts with the model
        loaded.
        """
        of_position = max(
            self.kept_bytes([length], [longest_target]) / length
            for length in (min(lengths), max(lengths))
        )
        return max(1, int(free * SHARE_FOR_KEPT / of_position))


def tokens_per_micro_batch(
    asked: int | None, frozen: PackedT5 | None, lengths: Collection[int], longest_target: int
) -> int:
    """What `machine.max_tokens_per_micro_batch` means on this machine.

    Args:
        asked: its value; null is what fits a CPU's cache or the free memory of a GPU.
        frozen: the model; None: its weights are trained, which keeps more than is counted here.
        lengths: as in `tokens_that_fit`.
        longest_target: tokens; 1 where nothing is trained.
    """
    if asked is not None:
        return asked
    if frozen is None or frozen.device.type != "cuda":
        return TOKENS_ON_CPU
    free = free_bytes(frozen.device)
    return Footprint.of(frozen).tokens_that_fit(free, lengths, longest_target)


def free_bytes(device: torch.device) -> int:
    """Bytes of a GPU that are free, or held by PyTorch's allocator and not in use."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused
