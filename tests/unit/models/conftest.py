"""Tiny Hugging Face models with random weights: the oracle of the packed forward pass."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5LayerNorm


@pytest.fixture
def hf_model(tiny_folder: Path) -> T5ForConditionalGeneration:
    """The tiny model as transformers loads it, its norm scales moved away from 1."""
    model = T5ForConditionalGeneration.from_pretrained(tiny_folder).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.add_(0.3 * torch.randn(len(parameter), generator=generator))
    return model


@pytest.fixture
def hf_model_64(
    hf_model: T5ForConditionalGeneration, monkeypatch: pytest.MonkeyPatch
) -> T5ForConditionalGeneration:
    """The same in float64; T5LayerNorm, which takes the variance in float32, is lifted too."""

    def norm(self: T5LayerNorm, x: Tensor) -> Tensor:
        variance = x.square().mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(variance + self.variance_epsilon))

    monkeypatch.setattr(T5LayerNorm, "forward", norm)
    return hf_model.double()
