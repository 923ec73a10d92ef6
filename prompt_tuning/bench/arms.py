"""The arms of a measurement: one step on one batch, done by PEFT, Hugging Face or this project.

All of them take the same weights, the same first prompt and the same batches, and give a loss and a
gradient that the gate compares.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any, Protocol

import torch
from torch import Tensor

from prompt_tuning.bench.costs import Call
from prompt_tuning.bench.hugging_face import padded, with_peft_prompt
from prompt_tuning.bench.settings import BenchConfig
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

LEARNING_RATES = {"training": 0.3, "model_tuning": 0.001, "pretraining": 0.001}


class Backward(Protocol):
    """Adds the gradient of a batch's mean loss per target token; returns that loss."""

    def __call__(self, prepared: Any, *, dropout: bool) -> float: ...


@dataclass(frozen=True)
class Arm:
    """One way of doing a step."""

    trained: Mapping[str, Tensor]  # what a step moves, by name
    prepare: Callable[[Batch], Any]  # a batch as the arm takes it: a data loader's work, not timed
    backward: Backward


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
    """For each batch a call that does forward, backward and update.

    All arms have this project's Adafactor: neither library has the paper's rule.
    """
    optimizer = Adafactor(arm.trained.values(), LEARNING_RATES[part])

    def step(prepared: Any) -> None:
        optimizer.zero_grad()
        arm.backward(prepared, dropout=True)
        optimizer.step()

    return [partial(step, arm.prepare(batch)) for batch in batches]


def _hugging_face_arm(model: Any, trained: Mapping[str, Tensor], input_tokens: int | None) -> Arm:
    """A model of transformers or PEFT, as a training loop around the library uses it.

    Inputs are padded to `input_tokens`; None: to the longest of the batch.
    """

    def backward(prepared: Mapping[str, Tensor], *, dropout: bool) -> float:
        model.train(dropout)
        loss = model(**prepared).loss
        loss.backward()
        return float(loss.item())

    return Arm(trained, lambda batch: padded(batch.to(model.device), input_tokens), backward)


def _ptune_arm(method: Method, settings: TrainingSettings, place: Place) -> Arm:
    """What `ptune train` or `ptune pretrain` does for one batch.

    Nothing is padded, and micro-batches are under the token budget.
    """
    steps = count(1)

    def backward(prepared: Batch, *, dropout: bool) -> float:
        inputs, targets, noise = prepared.inputs, prepared.targets, None
        if dropout and settings.dropout:
            seed = settings.seed * 2**32 + next(steps)  # every step has its own
            noise = Dropout(settings.dropout, seed, range(len(inputs)))
        return accumulate_gradient(method, inputs, targets, settings, noise)

    return Arm(method.trained, lambda batch: batch.to(place.device), backward)
