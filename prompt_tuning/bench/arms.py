"""The arms of a measurement: one step on one batch, done by PEFT, Hugging Face or this project.

All of them take the same weights, the same first prompt and the same batches, and give a loss and a
gradient that the gate compares.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import T5ForConditionalGeneration

from prompt_tuning.bench.profiles import MAX_INPUT_TOKENS, Batch, load_profiles
from prompt_tuning.bench.settings import BenchConfig
from prompt_tuning.bench.workload import Place, random_prompt, random_t5
from prompt_tuning.loop import TrainingSettings, accumulate_gradient
from prompt_tuning.models.frozen_t5 import FrozenT5
from prompt_tuning.models.layers import Dropout
from prompt_tuning.models.methods import Method, ModelTuning, PromptTuning
from prompt_tuning.optim import Adafactor

IGNORED = -100  # Hugging Face's label of a position without a target
LEARNING_RATES = {"training": 0.3, "model_tuning": 0.001, "pretraining": 0.001}


class Arm(Protocol):
    """One way of doing a step."""

    @property
    def trained(self) -> Mapping[str, Tensor]:
        """What a step moves, by name."""

    def prepare(self, batch: Batch) -> Any:
        """The batch as this arm takes it: a data loader's work, not timed."""

    def backward(self, prepared: Any, *, dropout: bool) -> float:
        """Adds the gradient of the mean loss per target token; returns that loss."""


@dataclass
class HuggingFaceArm:
    """A model of transformers or PEFT; None pads inputs to the longest, not to `input_tokens`."""

    model: Any
    trained: Mapping[str, Tensor]
    input_tokens: int | None
    device: torch.device

    def prepare(self, batch: Batch) -> dict[str, Tensor]:
        """Padded ids, mask and labels."""
        return padded(batch, self.input_tokens, self.device)

    def backward(self, prepared: dict[str, Tensor], *, dropout: bool) -> float:
        """The forward and backward pass as a training loop around the library does them."""
        self.model.train(dropout)
        loss = self.model(**prepared).loss
        loss.backward()
        return float(loss.item())


@dataclass
class PtuneArm:
    """What `ptune train` or `ptune pretrain` does for one batch."""

    method: Method
    settings: TrainingSettings
    device: torch.device

    def __post_init__(self) -> None:
        self._num_steps = 0  # so far: every step has a seed of its own

    @property
    def trained(self) -> Mapping[str, Tensor]:
        """The method's."""
        return self.method.trained

    def prepare(self, batch: Batch) -> Batch:
        """The same rows on the device; nothing is padded."""
        return Batch(
            [ids.to(self.device) for ids in batch.inputs],
            [ids.to(self.device) for ids in batch.targets],
        )

    def backward(self, prepared: Batch, *, dropout: bool) -> float:
        """Micro-batches under the token budget."""
        self._num_steps += 1
        seed = self.settings.seed * 2**32 + self._num_steps
        noise = Dropout(self.settings.dropout, seed, range(len(prepared.inputs)))
        return accumulate_gradient(
            self.method,
            prepared.inputs,
            prepared.targets,
            self.settings,
            noise if dropout and self.settings.dropout else None,
        )


def make_arm(name: str, config: BenchConfig, place: Place) -> Arm:
    """An arm with weights of its own, so that it can be measured alone.

    Args:
        name: one of `settings.ARMS`.
        config: size, prompt length, dropout and token budget.
        place: where it runs.
    """
    model = random_t5(config.size, config.dropout, place)
    if name == "hf_longest":
        return HuggingFaceArm(model, dict(model.named_parameters()), None, place.device)
    if config.part == "training":
        prompt = random_prompt(config.prompt_length, config.size)
        if name == "ptune":
            return _ptune_prompt_tuning(model.requires_grad_(False), prompt, config, place)
        profile = load_profiles()[config.profile]
        input_tokens = {
            "peft_512": MAX_INPUT_TOKENS,
            "peft_tight": profile.tight_input_tokens,
            "peft_longest": None,
        }[name]
        peft_model, trained = with_peft_prompt(model, prompt.to(place.dtype))
        return HuggingFaceArm(peft_model, trained, input_tokens, place.device)
    weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    trained = {name: weight.requires_grad_() for name, weight in weights.items()}
    tuning = ModelTuning(trained, model.config, place.dtype)
    settings = _settings(config)
    if config.part == "pretraining":
        settings = replace(settings, dropout=0.0, z_loss=None, budget_has_targets=True)
    return PtuneArm(tuning, settings, place.device)


def make_optimizer(arm: Arm, part: str) -> Adafactor:
    """This project's Adafactor, for every arm: neither library has the paper's rule."""
    return Adafactor(arm.trained.values(), LEARNING_RATES[part])


def train_step(arm: Arm, optimizer: Adafactor, prepared: Any) -> None:
    """Forward, backward and update of one batch."""
    optimizer.zero_grad()
    arm.backward(prepared, dropout=True)
    optimizer.step()


def with_peft_prompt(
    model: T5ForConditionalGeneration, prompt: Tensor
) -> tuple[Any, dict[str, Tensor]]:
    """A PEFT model with `prompt` [P, H] in front of its inputs, and what it trains.

    PEFT's default for T5 makes 2P rows and uses P; here it is asked for P, so that the unused ones
    do not enter the optimiser's norm. Its forward pass is the same.
    """
    from peft import PromptTuningConfig, TaskType, get_peft_model

    config = PromptTuningConfig(
        task_type=TaskType.SEQ_2_SEQ_LM,
        num_virtual_tokens=len(prompt),
        num_transformer_submodules=1,
    )
    with warnings.catch_warnings():
        # PEFT 0.21 asks for a property that transformers 5.24 has renamed.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        peft_model: Any = get_peft_model(model, config)
    trained = {name: p for name, p in peft_model.named_parameters() if p.requires_grad}
    (weight,) = trained.values()
    assert weight.shape == prompt.shape, (weight.shape, prompt.shape)
    with torch.no_grad():
        weight.data = prompt.to(weight.device, copy=True)
    return peft_model, {"prompt": weight}


def padded(batch: Batch, input_tokens: int | None, device: torch.device) -> dict[str, Tensor]:
    """The batch for Hugging Face: inputs padded to `input_tokens`, targets to their longest."""
    ids = pad_sequence(list(batch.inputs), batch_first=True)
    mask = pad_sequence([torch.ones_like(row) for row in batch.inputs], batch_first=True)
    missing = 0 if input_tokens is None else input_tokens - ids.shape[1]
    assert missing >= 0, (input_tokens, ids.shape)
    labels = pad_sequence(list(batch.targets), batch_first=True, padding_value=IGNORED)
    return {
        "input_ids": torch.nn.functional.pad(ids, (0, missing)).to(device),
        "attention_mask": torch.nn.functional.pad(mask, (0, missing)).to(device),
        "labels": labels.to(device),
    }


def _ptune_prompt_tuning(
    model: T5ForConditionalGeneration, prompt: Tensor, config: BenchConfig, place: Place
) -> PtuneArm:
    # The prompt is float32 as in `ptune train`, and wider only where the gate asks for it.
    wide = torch.promote_types(place.dtype, torch.float32)
    prompt = prompt.to(place.device, wide).requires_grad_()
    frozen = FrozenT5(model)
    if config.machine.compile is not None:
        frozen.compile(config.machine.compile)
    return PtuneArm(PromptTuning(frozen, prompt), _settings(config), place.device)


def _settings(config: BenchConfig) -> TrainingSettings:
    """No z-loss, since Hugging Face's loss has none."""
    return TrainingSettings(
        num_steps=1,
        eval_every_steps=1,
        dropout=config.dropout,
        z_loss=0.0,
        seed=config.seed,
        max_tokens_per_micro_batch=config.machine.max_tokens_per_micro_batch,
    )
