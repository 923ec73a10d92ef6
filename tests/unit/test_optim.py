"""Adafactor against T5X's rule, written out a second time in NumPy."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prompt_tuning.optim import Adafactor

Array = NDArray[np.float32]
f32 = np.float32


@dataclass
class T5XAdafactor:
    """One parameter's trajectory under t5x/adafactor.py (cc342d4), float32 throughout."""

    lr: float
    decay_rate: float = 0.8
    step_offset: int = 0
    step: int = 0
    weight_decay: float = 1e-5
    clipping_threshold: float = 1.0
    epsilon1: float = 1e-30
    min_dim_size_to_factor: int = 128
    multiply_by_parameter_scale: bool = False
    v: Array | float = 0.0
    v_row: Array | float = 0.0
    v_col: Array | float = 0.0

    def update(self, param, grad):
        decay = f32(1) - f32(self.step - self.step_offset + 1) ** f32(-self.decay_rate)
        mixing = f32(1) - decay
        squared = grad * grad + f32(self.epsilon1)
        order = np.argsort(param.shape)
        if param.ndim == 2 and param.shape[order[-2]] >= self.min_dim_size_to_factor:
            d1, d0 = int(order[-2]), int(order[-1])
            self.v_row = decay * self.v_row + mixing * squared.mean(d0)
            self.v_col = decay * self.v_col + mixing * squared.mean(d1)
            row_factor = (self.v_row / self.v_row.mean()) ** f32(-0.5)
            col_factor = self.v_col ** f32(-0.5)
            y = grad * np.expand_dims(row_factor, d0) * np.expand_dims(col_factor, d1)
        else:
            self.v = decay * self.v + mixing * squared
            y = grad * self.v ** f32(-0.5)
        y = y / max(f32(1), np.sqrt((y * y).mean()) / f32(self.clipping_threshold))
        scale = f32(self.lr)
        if self.multiply_by_parameter_scale:
            scale = scale * max(np.sqrt((param * param).mean()), f32(1e-3))
        self.step += 1
        return ((f32(1) - f32(self.weight_decay)) * param - scale * y).astype(f32)


def trajectories(shape, *, initial_step=0, lr=0.3, **settings):
    """Parameters after each step, ours and T5X's; half-way the gradients shrink 20 times."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=shape).astype(f32)
    reference = T5XAdafactor(lr, step=initial_step, **settings)
    param = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = Adafactor([param], lr, initial_step=initial_step, **settings)
    ours, theirs, expected = [], [], start
    for step in range(25):
        grad = (rng.normal(size=shape) / (20 if step > 12 else 1)).astype(f32)
        expected = reference.update(expected, grad)
        param.grad = torch.from_numpy(grad.copy())
        optimizer.step()
        ours.append(param.detach().numpy().copy())
        theirs.append(expected)
    return ours, theirs


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((100, 768), {}),  # factored only where both dimensions have 128 elements: T5X's heuristic
        ((20, 512), {"initial_step": 1_100_000}),
        ((150, 768), {}),
        ((150, 768), {"initial_step": 1_100_000}),
        ((200, 130), {}),
        ((128, 128), {}),
        ((20, 512), {"decay_rate": 0.5, "step_offset": 3, "initial_step": 7}),
        # Weight decay is not multiplied by the learning rate, as transformers and torch do.
        ((20, 512), {"weight_decay": 0.01, "clipping_threshold": 0.5, "epsilon1": 1e-4}),
        ((20, 512), {"multiply_by_parameter_scale": True, "lr": 1e-3}),
        ((12, 9), {"min_dim_size_to_factor": 4}),
        ((7,), {}),
    ],
)
def test_follows_t5x_over_a_trajectory(shape, settings):
    for ours, theirs in zip(*trajectories(shape, **settings), strict=True):
        assert np.abs(ours - theirs).max() <= 1e-6 * np.abs(theirs).max()
