"""Products with a weight matrix, by the faster of the libraries that PyTorch brings along.

`F.linear` on a CPU is Intel's MKL, which runs at half of the vector width of an AMD processor with
AVX-512; oneDNN, which PyTorch carries too, runs at all of it (measured: 2.2 times as fast).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

ONEDNN_HELPS = (
    torch.backends.mkldnn.is_available()
    and torch.backends.cpu.get_cpu_capability() == "AVX512"
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)
ONEDNN_MIN_OPERATIONS = 2_000_000  # below, starting oneDNN (10 microseconds) costs what it saves


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """x @ weight.T for [..., inputs] and [outputs, inputs]; gradients reach both."""
    is_compiling = torch.compiler.is_compiling()  # then inductor chooses by itself
    if ONEDNN_HELPS and not is_compiling and x.device.type == "cpu" and x.dtype == torch.float32:
        return _OneDNNLinear.apply(x, weight)
    return F.linear(x, weight)


class _OneDNNLinear(torch.autograd.Function):
    """Keeps the input for the backward pass only where the weight is trained."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight)
        return _product(x.contiguous(), weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        grad = grads[0].contiguous()  # a strided one falls into oneDNN's reference kernel
        x, weight = ctx.saved_tensors
        grad_x = _product(grad, weight.t()) if ctx.needs_input_grad[0] else None
        if x is None:
            return grad_x, None
        return grad_x, _product(grad.flatten(0, -2).t(), x.flatten(0, -2).t())


def _product(x: Tensor, weight: Tensor) -> Tensor:
    """x @ weight.T; either may be a transposed view, and otherwise is contiguous."""
    if 2 * x.numel() * len(weight) < ONEDNN_MIN_OPERATIONS:
        return F.linear(x, weight)
    return torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
