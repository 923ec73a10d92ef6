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
    v: Array | None = None
    v_row: Array | None = None
    v_col: Array | None = None

    def update(self, param: Array, grad: Array) -> Array:
        decay = f32(1) - f32(self.step - self.step_offset + 1) ** f32(-self.decay_rate)
        mixing = f32(1) - decay
        squared = grad * grad + f32(self.epsilon1)
        order = np.argsort(param.shape)
        if param.ndim == 2 and param.shape[order[-2]] >= self.min_dim_size_to_factor:
            d1, d0 = int(order[-2]), int(order[-1])
            old_row = (
                np.zeros(np.delete(param.shape, d0), f32) if self.v_row is None else self.v_row
            )
            old_col = (
                np.zeros(np.delete(param.shape, d1), f32) if self.v_col is None else self.v_col
            )
            self.v_row = decay * old_row + mixing * squared.mean(d0)
            self.v_col = decay * old_col + mixing * squared.mean(d1)
            row_factor = (self.v_row / self.v_row.mean()) ** f32(-0.5)
            col_factor = self.v_col ** f32(-0.5)
            y = grad * np.expand_dims(row_factor, d0) * np.expand_dims(col_factor, d1)
        else:
            old = np.zeros_like(param) if self.v is None else self.v
            self.v = decay * old + mixing * squared
            y = grad * self.v ** f32(-0.5)
        y = y / max(f32(1), np.sqrt((y * y).mean()) / f32(self.clipping_threshold))
        scale = f32(self.lr)
        if self.multiply_by_parameter_scale:
            scale = scale * max(np.sqrt((param * param).mean()), f32(1e-3))
        self.step += 1
        return ((f32(1) - f32(self.weight_decay)) * param - scale * y).astype(f32)


def trajectories(
    shape: tuple[int, ...],
    *,
    steps: int = 25,
    initial_step: int = 0,
    lr: float = 0.3,
    **settings: float,
) -> tuple[list[Array], list[Array]]:
    """Parameters after each step, ours and T5X's; half-way the gradients shrink 20 times."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=shape).astype(f32)
    reference = T5XAdafactor(lr, step=initial_step, **settings)  # type: ignore[arg-type]
    param = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = Adafactor([param], lr, initial_step=initial_step, **settings)  # type: ignore[arg-type]
    ours, theirs, expected = [], [], start
    for step in range(steps):
        grad = (rng.normal(size=shape) / (20 if 2 * step > steps else 1)).astype(f32)
        expected = reference.update(expected, grad)
        param.grad = torch.from_numpy(grad.copy())
        optimizer.step()
        ours.append(param.detach().numpy().copy())
        theirs.append(expected)
    return ours, theirs


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((100, 768), {}),
        ((20, 512), {"initial_step": 1_100_000}),
        ((150, 768), {}),
        ((150, 768), {"initial_step": 1_100_000}),
        ((200, 130), {}),
        ((128, 128), {}),
        ((20, 512), {"decay_rate": 0.5, "step_offset": 3, "initial_step": 7}),
        ((20, 512), {"weight_decay": 0.01, "clipping_threshold": 0.5, "epsilon1": 1e-4}),
        ((20, 512), {"multiply_by_parameter_scale": True, "lr": 1e-3}),
        ((12, 9), {"min_dim_size_to_factor": 4}),
        ((7,), {}),
    ],
)
def test_follows_t5x_over_a_trajectory(shape: tuple[int, ...], settings: dict[str, float]) -> None:
    for ours, theirs in zip(*trajectories(shape, **settings), strict=True):
        assert np.abs(ours - theirs).max() <= 1e-6 * np.abs(theirs).max()


def test_a_prompt_of_100_positions_keeps_the_whole_second_moment_and_one_of_150_factors_it() -> (
    None
):
    """Both dimensions must have 128 elements: T5X's heuristic for matrices."""
    state = {}
    for length in (100, 150):
        param = torch.nn.Parameter(torch.ones(length, 768))
        param.grad = torch.randn_like(param)
        optimizer = Adafactor([param], 0.3)
        optimizer.step()
        state[length] = {
            name: getattr(v, "shape", None) for name, v in optimizer.state[param].items()
        }
    assert state[100] == {"step": None, "v": (100, 768)}
    assert state[150] == {"step": None, "v_row": (150,), "v_col": (768,)}


def test_weight_decay_is_not_multiplied_by_the_learning_rate() -> None:
    """Where the optimisers of transformers and torch differ."""
    param = torch.nn.Parameter(torch.full((4, 4), 10.0))
    param.grad = torch.zeros_like(param)
    Adafactor([param], 0.3, weight_decay=0.1).step()
    torch.testing.assert_close(param.data, torch.full((4, 4), 9.0))


def test_with_the_clock_at_1_100_000_every_update_has_the_rms_of_the_learning_rate() -> None:
    """Its memory is so long that the clip is active even after gradients fall (row 5)."""
    rms = {}
    for initial_step in (0, 1_100_000):
        ours, _ = trajectories((20, 64), steps=60, initial_step=initial_step, weight_decay=0.0)
        rms[initial_step] = np.sqrt(np.mean((ours[-1] - ours[-2]) ** 2))
    assert rms[1_100_000] == pytest.approx(0.3, rel=1e-3)
    assert rms[0] < 0.1


def test_a_restored_optimiser_goes_on_bit_for_bit() -> None:
    def optimise(interrupt_at: int | None) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        param = torch.nn.Parameter(torch.randn(150, 130, generator=generator))
        optimizer = Adafactor([param], 0.3)
        for step in range(10):
            if step == interrupt_at:
                state = optimizer.state_dict()
                optimizer = Adafactor([param], 0.3)
                optimizer.load_state_dict(state)
            param.grad = torch.randn(150, 130, generator=generator)
            optimizer.step()
        return param.detach()

    assert torch.equal(optimise(None), optimise(5))


@pytest.mark.parametrize(
    "settings",
    [{"lr": -1.0}, {"lr": 0.3, "clipping_threshold": 0.0}, {"lr": 0.3, "step_offset": 5}],
)
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="=") as error:
        Adafactor([torch.nn.Parameter(torch.ones(2))], **settings)  # type: ignore[arg-type]
    assert next(reversed(settings)) in str(error.value)
