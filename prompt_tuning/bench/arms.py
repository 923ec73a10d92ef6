"""The arms of a measurement, one step on one batch by PEFT, Hugging Face or this project, and the
gate that compares them: no speed is measured unless loss and gradient of all arms are equal.

All arms have the same weights, first prompt and batches. The gate runs before every measurement: a
nano model in float64, where any slip of the algebra shows, and the measured size in float32.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from transformers.models.t5.modeling_t5 import T5LayerNorm

from prompt_tuning.bench.costs import Call
from prompt_tuning.bench.hugging_face import padded, with_peft_prompt
from prompt_tuning.bench.settings import ARMS, BenchConfig, arms_of
from prompt_tuning.bench.workload import (
    MAX_INPUT_TOKENS,
    Batch,
    Place,
    load_profiles,
    random_prompt,
    random_t5,
)
from prompt_tuning.loop import TrainingSettings, accumulate_gradient
from prompt_tuning.models.frozen_t5 import FrozenT5
from prompt_tuning.models.layers import Dropout
from prompt_tuning.models.methods import Method, ModelTuning, PromptTuning
from prompt_tuning.optim import Adafactor

GATE_ROWS = 4  # of the first batch: enough to be ragged
FLOAT64_TOLERANCE = 1e-10
FLOAT32_TOLERANCE = 1e-4
LEARNING_RATES = {"training": 0.3, "model_tuning": 0.001, "pretraining": 0.001}


@dataclass(frozen=True)
class Arm:
    """One way of doing a step.

    `backward(prepared, dropout=)` adds the gradient of a batch's mean loss per target token, and
    returns that loss.
    """

    trained: Mapping[str, Tensor]  # what a step moves, by name
    prepare: Callable[[Batch], Any]  # a batch as the arm takes it: a data loader's work, not timed
    backward: Callable[..., float]


def make_arm(name: str, config: BenchConfig, place: Place) -> Arm:
    """One of `settings.ARMS`, with weights of its own, so that it can be measured alone."""
    model = random_t5(config.size, config.dropout, place)
    settings = TrainingSettings(
        num_steps=1,
        eval_every_steps=1,
        dropout=config.dropout,
        z_loss=0.0,  # Hugging Face's loss has none
        seed=config.seed,
        max_tokens_per_micro_batch=config.machine.max_tokens_per_micro_batch,
    )
    if name == "hf_longest":
        return _hugging_face_arm(model, dict(model.named_parameters()), None)
    if config.part == "training":
        prompt = random_prompt(config.prompt_length, config.size)
        if name != "ptune":
            tight = load_profiles()[config.profile].tight_input_tokens
            input_tokens = {"peft_512": MAX_INPUT_TOKENS, "peft_tight": tight, "peft_longest": None}
            peft_model, weight = with_peft_prompt(model, prompt.to(place.dtype))
            return _hugging_face_arm(peft_model, {"prompt": weight}, input_tokens[name])
        frozen = FrozenT5(model.requires_grad_(False))
        if config.machine.compile is not None:
            frozen.compile(config.machine.compile)
        # The prompt is float32 as in `ptune train`, and wider only where the gate asks for it.
        wide = torch.promote_types(place.dtype, torch.float32)
        prompt = prompt.to(place.device, wide).requires_grad_()
        return _ptune_arm(PromptTuning(frozen, prompt), settings, place)
    weights = {
        name: weight.detach().clone().requires_grad_() for name, weight in model.named_parameters()
    }
    tuning = ModelTuning(weights, model.config, place.dtype)
    if config.part == "pretraining":
        settings = replace(settings, dropout=0.0, z_loss=None, budget_has_targets=True)
    return _ptune_arm(tuning, settings, place)


def make_steps(arm: Arm, part: str, batches: Sequence[Batch]) -> list[Call]:
    """Makes one call a batch, which does forward, backward and update.

    All arms have this project's Adafactor: neither library has the paper's rule.
    """
    optimizer = Adafactor(arm.trained.values(), LEARNING_RATES[part])

    def step(prepared: Any) -> None:
        optimizer.zero_grad()
        arm.backward(prepared, dropout=True)
        optimizer.step()

    return [partial(step, arm.prepare(batch)) for batch in batches]


def _hugging_face_arm(model: Any, trained: Mapping[str, Tensor], input_tokens: int | None) -> Arm:
    """A model of transformers or PEFT as a training loop uses it; inputs are `padded`."""

    def backward(prepared: Mapping[str, Tensor], *, dropout: bool) -> float:
        model.train(dropout)
        loss = model(**prepared).loss
        loss.backward()
        return float(loss.item())

    return Arm(trained, lambda batch: padded(batch.to(model.device), input_tokens), backward)


def _ptune_arm(method: Method, settings: TrainingSettings, place: Place) -> Arm:
    """What `ptune train` or `ptune pretrain` does for one batch: nothing is padded."""
    steps = count(1)

    def backward(prepared: Batch, *, dropout: bool) -> float:
        rate = settings.dropout if dropout else 0.0
        seed = settings.seed * 2**32 + next(steps)  # every step has its own
        noise = Dropout(rate, seed, range(len(prepared.inputs)))
        return accumulate_gradient(method, prepared, settings, noise)

    return Arm(method.trained, lambda batch: batch.to(place.device), backward)


class NotEqualError(RuntimeError):
    """Arms differ in what they compute, so that their times say nothing."""


def check_equality(
    config: BenchConfig, batch: Batch, device: torch.device
) -> dict[str, dict[str, float]]:
    """How far all arms are from Hugging Face's (`compare`), on the first rows of a batch.

    Raises:
        NotEqualError: a loss or a gradient differs by more than rounding.
    """

    def agreement(size: str, dtype: torch.dtype, tolerance: float) -> dict[str, float]:
        sized, place = replace(config, size=size), Place(device, dtype)
        arms = {name: make_arm(name, sized, place) for name in arms_of(config)}
        return compare(arms, ARMS[config.part][-2], batch.first(GATE_ROWS), tolerance)

    with patch.object(T5LayerNorm, "forward", _exact_norm):
        exact = agreement("nano", torch.float64, FLOAT64_TOLERANCE)
    measured = agreement(config.size, torch.float32, FLOAT32_TOLERANCE)
    return {"nano, float64": exact, f"{config.size}, float32": measured}


def compare(
    arms: Mapping[str, Arm], reference: str, batch: Batch, tolerance: float
) -> dict[str, float]:
    """The largest relative differences in loss and gradient from the arm `reference`.

    Raises:
        NotEqualError: they are above `tolerance`.
    """
    found = {name: _loss_and_gradient(arm, batch) for name, arm in arms.items()}
    expected_loss, expected = found.pop(reference)
    worst = {"loss": 0.0, "gradient": 0.0, "tolerance": tolerance}
    for name, (loss, gradient) in found.items():
        loss_error = abs(loss - expected_loss) / abs(expected_loss)
        gradient_error = ((gradient - expected).norm() / expected.norm()).item()
        if not (loss_error < tolerance and gradient_error < tolerance):  # nan fails too
            raise NotEqualError(
                f"{name} and {reference} differ: loss {loss_error:.1e}, gradient "
                f"{gradient_error:.1e} (allowed: {tolerance:.0e}); nothing was measured"
            )
        worst["loss"] = max(worst["loss"], loss_error)
        worst["gradient"] = max(worst["gradient"], gradient_error)
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
