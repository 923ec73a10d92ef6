"""What tests of the training loop train, and who watches it."""

import torch

from prompt_tuning.interrupts import Interrupted


class Watch:
    """Scores by the first trained number; stops the run at a step if asked to."""

    def __init__(self, stop_at=None):
        self.losses = []
        self.evaluated = []
        self.stop_at = stop_at

    def on_step(self, step, loss):
        self.losses.append(loss)
        if step == self.stop_at:
            raise Interrupted(15)

    def evaluate(self, method, step):
        self.evaluated.append(step)
        return next(iter(method.trained.values())).detach().flatten()[0].item()


def prompt_of(checkpoint):
    """A random prompt of three positions, to be trained."""
    shape = 3, checkpoint.model.hidden_size
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).requires_grad_()
