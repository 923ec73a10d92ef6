"""Tiny Hugging Face models with random weights: the oracle of the packed forward pass."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM


@pytest.fixture
def folder(tiny_folder, tmp_path):
    """A copy of a checkpoint that a test may change or damage."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


@pytest.fixture(params=["t5", "mt5", "umt5"])
def family_folder(tiny_family, request):
    """A checkpoint of each architecture; its `model_type` is in its config."""
    return tiny_family[request.param]


@pytest.fixture
def hf_model(family_folder):
    """A tiny model as transformers loads it, its norm scales moved away from 1."""
    model = AutoModelForSeq2SeqLM.from_pretrained(family_folder)
    model.eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.add_(0.3 * torch.randn(len(parameter), generator=generator))
    return model


@pytest.fixture
def hf_model_64(hf_model, monkeypatch):
    """The same in float64; its layer norm, which takes the variance in float32, is lifted too."""

    def norm(self, x):
        variance = x.square().mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(variance + self.variance_epsilon))

    monkeypatch.setattr(type(hf_model.encoder.final_layer_norm), "forward", norm)
    return hf_model.double()
