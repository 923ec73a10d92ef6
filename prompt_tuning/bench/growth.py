"""How the cost of a step grows: one axis at a time from a common point, beside the expected law."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from prompt_tuning.bench.costs import Call, interleave, peak_memory_gib
from prompt_tuning.bench.operations import PROMPT_TUNING, useful_operations
from prompt_tuning.bench.settings import BenchConfig, BenchMachineConfig
from prompt_tuning.bench.workload import (
    SIZES,
    VOCAB_SIZE,
    Batch,
    Place,
    random_ids,
    random_prompt,
    random_t5,
)
from prompt_tuning.data.batches import split_by_tokens
from prompt_tuning.loop import summed_loss
from prompt_tuning.models.frozen_t5 import FrozenT5, Rows

INPUT_TOKENS, TARGET_TOKENS = 64, 4  # of every row, where the axis is another

AXES: dict[str, tuple[Any, ...]] = {  # key of a Point -> its values
    "prompt_length": (1, 5, 20, 50, 100, 150),  # figure 3(a) of the paper, and 50
    "input_tokens": (16, 64, 128, 256, 512),
    "batch_size": (4, 8, 16, 32, 64),
    "num_prompts": (1, 2, 4, 8, 16, 32),  # K prompts that share the rows of one batch
    "size": (*SIZES,),
}


@dataclass(frozen=True)
class Point:
    """A batch of rows of the same length, under K prompts in turn."""

    size: str
    batch_size: int
    input_tokens: int
    prompt_length: int
    num_prompts: int

    def facts(self, max_tokens: int) -> dict[str, Any]:
        """The point in the record: what it is, and what a step at it needs."""
        shape, row = SIZES[self.size], self.prompt_length + self.input_tokens
        lengths, targets = [row] * self.batch_size, [TARGET_TOKENS] * self.batch_size
        return {
            **asdict(self),
            "operations": useful_operations(shape, VOCAB_SIZE, lengths, targets, PROMPT_TUNING),
            "activations_of_position": shape.num_layers * (shape.d_model + shape.d_ff),
            "positions_at_once": max(map(len, split_by_tokens(lengths, max_tokens))) * row,
        }


def measure_growth(config: BenchConfig, say: Callable[[str], None]) -> dict[str, Any]:
    """Costs of forward and backward passes along every axis, dropout and optimiser left out.

    The common point has the config's size, batch size and prompt length.
    """
    machine = config.machine
    base = Point(config.size, config.batch_size, INPUT_TOKENS, config.prompt_length, 1)
    axes = {}
    for axis, values in AXES.items():
        say(f"growth with {axis}: {', '.join(map(str, values))}")
        points = [base, *(replace(base, **{axis: value}) for value in values)]
        calls = {str(i): [make_step(point, machine)] for i, point in enumerate(points)}
        for (call,) in calls.values():
            call()
        costs = interleave(calls, config.num_rounds, Place.on(machine).device)
        measured = []
        for point, columns in zip(points, costs.values(), strict=True):
            memory = peak_memory_gib(make_step, point, machine) if config.memory else None
            facts = point.facts(machine.max_tokens_per_micro_batch)
            measured.append({**facts, **columns, "peak_memory_gib": memory})
        axes[axis] = {"values": values, "base": measured[0], "points": measured[1:]}
    return {"axes": axes}


def make_step(point: Point, machine: BenchMachineConfig) -> Call:
    """One forward and backward pass at a point, its model and batch made beforehand."""
    place = Place.on(machine)
    model = FrozenT5(random_t5(point.size, 0.0, place))
    first = random_prompt(point.prompt_length, point.size).to(place.device)
    prompts = [first.clone().requires_grad_() for _ in range(point.num_prompts)]
    inputs, targets = (
        random_ids([tokens] * point.batch_size, seed=3)
        for tokens in (point.input_tokens, TARGET_TOKENS)
    )
    batch = Batch(inputs, targets).to(place.device)
    _step(model, prompts[:1], batch.first(1), max_tokens=1)  # what libraries do once
    prompts[0].grad = None
    return partial(_step, model, prompts, batch, machine.max_tokens_per_micro_batch)


def _step(model: FrozenT5, prompts: Sequence[Tensor], batch: Batch, max_tokens: int) -> None:
    """Accumulates gradients of several prompts; `accumulate_gradient` knows one only."""
    lengths = [len(prompts[0]) + len(ids) for ids in batch.inputs]
    for group in split_by_tokens(lengths, max_tokens):
        inputs, prompt_of_row = [batch.inputs[i] for i in group], [i % len(prompts) for i in group]
        targets = [batch.targets[i] for i in group]
        logits = model.target_logits(model.encode(Rows(prompts, inputs, prompt_of_row)), targets)
        summed_loss(logits, torch.cat(targets), 0.0).backward()
