"""Adafactor as T5X runs it, which no PyTorch library can express.

`torch.optim.Adafactor` always scales by the parameter and caps the learning rate; the one of
transformers factors every matrix, multiplies weight decay by the learning rate and starts at 1.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

_SMALLEST_PARAMETER_SCALE = 1e-3  # Adafactor's epsilon2


class Adafactor(torch.optim.Optimizer):
    """Adafactor with T5X's rule, without momentum.

    With step t counted from `initial_step` and d_t = 1 - (t - step_offset + 1)^-decay_rate:

        v_t = d_t * v_(t-1) + (1 - d_t) * (g^2 + epsilon1)
        u   = g / sqrt(v_t);  u = u / max(1, RMS(u) / clipping_threshold)
        p   = (1 - weight_decay) * p - lr * scale * u

    v is kept as its row and column means where the two largest dimensions of a tensor both have at
    least `min_dim_size_to_factor` elements; scale is max(1e-3, RMS(p)) with
    `multiply_by_parameter_scale`, else 1. Weight decay is not multiplied by the learning rate.

    Source: t5x/adafactor.py at cc342d4; Shazeer and Stern (2018).
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        *,
        decay_rate: float = 0.8,
        step_offset: int = 0,
        initial_step: int = 0,
        weight_decay: float = 1e-5,
        clipping_threshold: float | None = 1.0,
        epsilon1: float = 1e-30,
        min_dim_size_to_factor: int = 128,
        multiply_by_parameter_scale: bool = False,
    ) -> None:
        """Makes the optimiser.

        Args:
            params: tensors or parameter groups, as for any `torch.optim.Optimizer`.
            lr: the constant step size; 0.3 for prompt tuning.
            decay_rate: exponent of the decay of the second moment.
            step_offset: subtracted from the step in the decay.
            initial_step: the step the clock starts at. The released code restores it with the
                checkpoint (1,100,000) while v starts at 0: the memory is then so long that the
                clipping is always active.
            weight_decay: the share of a parameter that a step removes.
            clipping_threshold: largest RMS of an unscaled update; None does not clip.
            epsilon1: added to the squared gradient.
            min_dim_size_to_factor: smaller tensors keep the whole second moment.
            multiply_by_parameter_scale: steps relative to the RMS of the parameter.
        """
        defaults = {
            "lr": lr,
            "decay_rate": decay_rate,
            "step_offset": step_offset,
            "initial_step": initial_step,
            "weight_decay": weight_decay,
            "clipping_threshold": clipping_threshold,
            "epsilon1": epsilon1,
            "min_dim_size_to_factor": min_dim_size_to_factor,
            "multiply_by_parameter_scale": multiply_by_parameter_scale,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Updates every parameter that has a gradient; returns the closure's loss, if any."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    self._update(param, param.grad.float(), group)
        return loss

    def _update(self, param: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state[param]
        if not state:
            state.update(_initial_state(param, group))
        decay = _decay(state["step"] - group["step_offset"], group["decay_rate"])
        state["step"] += 1

        wide = param.float()
        update = _precondition(grad, state, decay, group["epsilon1"])
        if group["clipping_threshold"] is not None:
            update /= (_rms(update) / group["clipping_threshold"]).clamp(min=1.0)
        scale = group["lr"]
        if group["multiply_by_parameter_scale"]:
            scale = scale * _rms(wide).clamp(min=_SMALLEST_PARAMETER_SCALE)
        param.copy_((1.0 - group["weight_decay"]) * wide - scale * update)


def _initial_state(param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = {"step": group["initial_step"]}
    dims = _factored_dims(param.shape, group["min_dim_size_to_factor"])
    if dims is None:
        state["v"] = torch.zeros_like(param, dtype=torch.float32)
    else:
        smaller, larger = dims
        state["v_row"] = param.new_zeros(_without(param.shape, larger), dtype=torch.float32)
        state["v_col"] = param.new_zeros(_without(param.shape, smaller), dtype=torch.float32)
    return state


def _precondition(
    grad: Tensor, state: dict[str, Any], decay: np.float32, epsilon1: float
) -> Tensor:
    """Updates the second moment with `grad` and returns grad / sqrt(second moment)."""
    keep, mix = float(decay), float(np.float32(1.0) - decay)
    squared = grad.square() + epsilon1
    if "v" in state:
        state["v"].mul_(keep).add_(squared, alpha=mix)
        return grad * state["v"].rsqrt()
    smaller, larger = _two_largest(grad.shape)
    state["v_row"].mul_(keep).add_(squared.mean(larger), alpha=mix)
    state["v_col"].mul_(keep).add_(squared.mean(smaller), alpha=mix)
    reduced = smaller - (larger < smaller)  # where `smaller` stands once `larger` is gone
    row = (state["v_row"] / state["v_row"].mean(reduced, keepdim=True)).rsqrt()
    return grad * row.unsqueeze(larger) * state["v_col"].rsqrt().unsqueeze(smaller)


def _decay(step: int, exponent: float) -> np.float32:
    """1 - (step + 1)^-exponent in float32: at step 1.1M T5X's rounding is part of the rule."""
    return np.float32(1.0) - np.float32(step + 1) ** np.float32(-exponent)


def _factored_dims(shape: torch.Size, min_size: int) -> tuple[int, int] | None:
    if len(shape) < 2:
        return None
    smaller, larger = _two_largest(shape)
    return None if shape[smaller] < min_size else (smaller, larger)


def _two_largest(shape: torch.Size) -> tuple[int, int]:
    """The second largest and the largest dimension; of equal ones the later counts as larger."""
    order = sorted(range(len(shape)), key=lambda dim: shape[dim])
    return order[-2], order[-1]


def _without(shape: torch.Size, dim: int) -> list[int]:
    return [size for index, size in enumerate(shape) if index != dim]


def _rms(x: Tensor) -> Tensor:
    return x.square().mean().sqrt()
