"""The equality gate: no speed is compared unless loss and gradient of all arms are equal.

It runs before every measurement: a nano model in float64, where any slip of the algebra shows, and
the measured size in float32. Dropout is off, as its noise differs by design.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from unittest.mock import patch

import torch
from torch import Tensor
from transformers.models.t5.modeling_t5 import T5LayerNorm

from prompt_tuning.bench.arms import Arm, make_arm
from prompt_tuning.bench.settings import ARMS, BenchConfig, arms_of
from prompt_tuning.bench.workload import Batch, Place

NUM_ROWS = 4  # of the first batch: enough to be ragged
FLOAT64_TOLERANCE = 1e-10
FLOAT32_TOLERANCE = 1e-4


class NotEqualError(RuntimeError):
    """Arms differ in what they compute, so that their times say nothing."""


@dataclass(frozen=True)
class Agreement:
    """The largest relative difference from Hugging Face of any arm."""

    loss: float
    gradient: float
    tolerance: float


def check_equality(config: BenchConfig, batch: Batch, device: torch.device) -> dict[str, Agreement]:
    """Compares all arms with Hugging Face's, on the first rows of a batch.

    Raises:
        NotEqualError: a loss or a gradient differs by more than rounding.
    """

    def agreement(size: str, dtype: torch.dtype, tolerance: float) -> Agreement:
        sized, place = replace(config, size=size), Place(device, dtype)
        arms = {name: make_arm(name, sized, place) for name in arms_of(config)}
        return compare(arms, ARMS[config.part][-2], batch.first(NUM_ROWS), tolerance)

    with patch.object(T5LayerNorm, "forward", _exact_norm):
        exact = agreement("nano", torch.float64, FLOAT64_TOLERANCE)
    measured = agreement(config.size, torch.float32, FLOAT32_TOLERANCE)
    return {"nano, float64": exact, f"{config.size}, float32": measured}


def compare(arms: Mapping[str, Arm], reference: str, batch: Batch, tolerance: float) -> Agreement:
    """The largest relative differences from the arm `reference`.

    Raises:
        NotEqualError: they are above `tolerance`.
    """
    found = {name: _loss_and_gradient(arm, batch) for name, arm in arms.items()}
    expected_loss, expected = found.pop(reference)
    worst = Agreement(0.0, 0.0, tolerance)
    for name, (loss, gradient) in found.items():
        loss_error = abs(loss - expected_loss) / abs(expected_loss)
        gradient_error = ((gradient - expected).norm() / expected.norm()).item()
        if not (loss_error < tolerance and gradient_error < tolerance):  # nan fails too
            raise NotEqualError(
                f"{name} and {reference} differ: loss {loss_error:.1e}, gradient "
                f"{gradient_error:.1e} (allowed: {tolerance:.0e}); nothing was measured"
            )
        largest = max(worst.loss, loss_error), max(worst.gradient, gradient_error)
        worst = Agreement(*largest, tolerance)
    return worst


def _loss_and_gradient(arm: Arm, batch: Batch) -> tuple[float, Tensor]:
    """The loss, and the gradients of everything trained in one vector, ordered by name."""
    loss, gradients = arm.backward(arm.prepare(batch), dropout=False), []
    for _, tensor in sorted(arm.trained.items()):
        assert tensor.grad is not None
        gradients.append(tensor.grad.flatten().double())
        tensor.grad = None
    return loss, torch.cat(gradients)


def _exact_norm(self: T5LayerNorm, x: Tensor) -> Tensor:
    """transformers takes the norm's variance in float32 even in a float64 model: this does not."""
    variance = x.square().mean(-1, keepdim=True)
    return self.weight * (x * torch.rsqrt(variance + self.variance_epsilon))
