"""Products with weight matrices: whatever library computes them, they are products."""

import pytest
import torch
import torch.nn.functional as F

from prompt_tuning.models import products


@pytest.mark.parametrize("min_operations", [0, 10**9], ids=["oneDNN", "MKL"])
@pytest.mark.parametrize("shape", [(70, 24), (5, 14, 24)])
def test_linear_and_both_gradients_equal_those_of_torch(min_operations, shape, monkeypatch):
    """Contiguous or not: inputs and incoming gradients of training are both."""
    monkeypatch.setattr(products, "ONEDNN_MIN_OPERATIONS", min_operations)
    x = torch.randn(*shape[:-1], 40)[..., 8:32].requires_grad_()
    weight = torch.randn(30, 24, requires_grad=True)
    scale = torch.randn(30, *shape[:-1]).movedim(0, -1)
    expected = F.linear(x, weight)
    output = products.linear(x, weight)
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(
        torch.autograd.grad((output * scale).sum(), [x, weight]),
        torch.autograd.grad((expected * scale).sum(), [x, weight]),
    )


def test_a_frozen_weight_gets_no_gradient_and_keeps_no_input():
    """The memory of prompt tuning depends on it."""
    x = torch.randn(200, 128, requires_grad=True)
    output = products.linear(x, torch.randn(128, 128))
    saved = getattr(output.grad_fn, "saved_tensors", ())
    assert all(tensor is None or tensor.shape == (128, 128) for tensor in saved)
    output.sum().backward()
    assert x.grad is not None
