"""The opponents: transformers' and PEFT's models, used as their documentation does it."""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence
from transformers import T5ForConditionalGeneration

from prompt_tuning.bench.settings import BenchConfig
from prompt_tuning.bench.workload import Batch, Place, random_prompt, random_t5
from prompt_tuning.models.frozen_t5 import EOS_ID, FrozenT5

IGNORED = -100  # Hugging Face's label of a position without a target


def with_peft_prompt(model: T5ForConditionalGeneration, prompt: Tensor) -> tuple[Any, Tensor]:
    """A PEFT model with `prompt` [P, H] in front of its inputs, and the tensor that it trains.

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
    (weight,) = (weight for weight in peft_model.parameters() if weight.requires_grad)
    assert weight.shape == prompt.shape, (weight.shape, prompt.shape)
    with torch.no_grad():
        weight.data = prompt.to(weight.device, copy=True)
    return peft_model, weight


def both_models(config: BenchConfig, place: Place) -> tuple[Any, FrozenT5, Tensor]:
    """The same weights for PEFT and for this project, and the prompt [P, H] of both."""
    prompt = random_prompt(config.prompt_length, config.size).to(place.device)
    model, theirs = (random_t5(config.size, 0.0, place) for _ in range(2))
    peft_model, _ = with_peft_prompt(theirs, prompt.to(place.dtype))
    return peft_model.eval(), FrozenT5(model), prompt


def padded(batch: Batch, input_tokens: int | None = None) -> dict[str, Tensor]:
    """Ids, mask and labels: inputs padded to `input_tokens` or their longest, targets to theirs."""
    ids = pad_sequence(list(batch.inputs), batch_first=True)
    mask = pad_sequence([torch.ones_like(row) for row in batch.inputs], batch_first=True)
    missing = 0 if input_tokens is None else input_tokens - ids.shape[1]
    assert missing >= 0, (input_tokens, ids.shape)
    labels = pad_sequence(list(batch.targets), batch_first=True, padding_value=IGNORED)
    return {
        "input_ids": pad(ids, (0, missing)),
        "attention_mask": pad(mask, (0, missing)),
        "labels": labels,
    }


def generate(model: Any, inputs: Sequence[Tensor], max_target_tokens: int) -> list[list[int]]:
    """What the model says greedily to each row, padded to the longest: token ids without EOS."""
    padded_inputs = padded(Batch(inputs, inputs))
    del padded_inputs["labels"]
    ids = model.generate(
        **padded_inputs, max_new_tokens=max_target_tokens, do_sample=False, num_beams=1
    )
    rows = ids[:, 1:].tolist()  # without the start token
    return [row[: row.index(EOS_ID)] if EOS_ID in row else row for row in rows]


def score_labels(model: Any, inputs: Sequence[Tensor], labels: Sequence[Tensor]) -> Tensor:
    """Log-probabilities [B, K] of K labels, each in a forward pass of its own."""
    scores = []
    for label in labels:
        batch = padded(Batch(inputs, [label] * len(inputs)))
        logits = model(**batch).logits.float().log_softmax(-1)
        scores.append(logits.gather(2, batch["labels"].unsqueeze(2)).sum((1, 2)))
    return torch.stack(scores, dim=1)
