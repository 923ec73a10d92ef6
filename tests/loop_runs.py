"""What tests of the training loop train, and who watches it."""

import torch
from torch import Tensor

from prompt_tuning.interrupts import Interrupted
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.models.methods import Method


class Watch:
    """Scores by the first trained number; stops the run at a step if asked to."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.losses: list[float] = []
        self.evaluated: list[int] = []
        self.stop_at = stop_at

    def on_step(self, step: int, loss: float) -> None:
        self.losses.append(loss)
        if step == self.stop_at:
            raise Interrupted(15)

    def evaluate(self, method: Method, step: int) -> float | None:
        self.evaluated.append(step)
        return next(iter(method.trained.values())).detach().flatten()[0].item()


def prompt_of(checkpoint: Checkpoint) -> Tensor:
    """A random prompt of three positions, to be trained."""
    shape = 3, checkpoint.model.hidden_size
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).requires_grad_()
