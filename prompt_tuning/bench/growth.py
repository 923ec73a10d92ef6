"""How the cost of a step grows: one axis at a time from a common point, beside the expected law."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from prompt_tuning.bench.clock import as_columns, interleave
from prompt_tuning.bench.memory import peak_memory_gib
from prompt_tuning.bench.operations import PROMPT_TUNING, useful_operations
from prompt_tuning.bench.profiles import random_ids
from prompt_tuning.bench.settings import BenchConfig
from prompt_tuning.bench.workload import SIZES, VOCAB_SIZE, Place, random_prompt, random_t5
from prompt_tuning.config import MachineConfig
from prompt_tuning.data.batches import split_by_tokens
from prompt_tuning.loop import summed_loss
from prompt_tuning.model_choice import machine_of
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

    @property
    def positions_of_row(self) -> int:
        """Encoder positions of every row."""
        return self.prompt_length + self.input_tokens


def measure_growth(config: BenchConfig, say: Callable[[str], None]) -> dict[str, Any]:
    """Costs of forward and backward passes along every axis, dropout and optimiser left out.

    Args:
        config: gives the common point: size, batch size, prompt length.
        say: told which axis is being measured.
    """
    base = Point(config.size, config.batch_size, INPUT_TOKENS, config.prompt_length, 1)
    device, _ = machine_of(config.machine)
    axes = {}
    for axis, values in AXES.items():
        say(f"growth with {axis}: {', '.join(map(str, values))}")
        points = [base, *(replace(base, **{axis: value}) for value in values)]
        calls = {str(i): [make_step(point, config.machine)] for i, point in enumerate(points)}
        for (call,) in calls.values():
            call()
        costs = interleave(calls, config.num_rounds, device)
        axes[axis] = {
            "values": values,
            "base": _measured(base, costs["0"], config),
            "points": [
                _measured(point, costs[str(i)], config) for i, point in enumerate(points) if i
            ],
        }
    return {"axes": axes}


def make_step(point: Point, machine: MachineConfig) -> Callable[[], None]:
    """One forward and backward pass at a point, its model and batch made beforehand."""
    place = Place(*machine_of(machine))
    model = FrozenT5(random_t5(point.size, 0.0, place))
    first = random_prompt(point.prompt_length, point.size).to(place.device)
    prompts = [first.clone().requires_grad_() for _ in range(point.num_prompts)]
    inputs, targets = (
        [
            ids.to(place.device)
            for ids in random_ids([tokens] * point.batch_size, VOCAB_SIZE, seed=3)
        ]
        for tokens in (point.input_tokens, TARGET_TOKENS)
    )
    _step(model, prompts[:1], inputs[:1], targets[:1], max_tokens=1)  # what libraries do once
    prompts[0].grad = None
    return partial(_step, model, prompts, inputs, targets, machine.max_tokens_per_micro_batch)


def _step(
    model: FrozenT5,
    prompts: Sequence[Tensor],
    inputs: Sequence[Tensor],
    targets: Sequence[Tensor],
    max_tokens: int,
) -> None:
    """As `accumulate_gradient`, which knows one prompt only."""
    lengths = [len(prompts[0]) + len(ids) for ids in inputs]
    for group in split_by_tokens(lengths, max_tokens):
        prompt_of_row = [row % len(prompts) for row in group]
        encoded = model.encode(Rows(prompts, [inputs[row] for row in group], prompt_of_row))
        group_targets = [targets[row] for row in group]
        logits = model.target_logits(encoded, group_targets)
        summed_loss(logits, torch.cat(group_targets), 0.0).backward()


def _measured(point: Point, costs: Sequence[Any], config: BenchConfig) -> dict[str, Any]:
    """A point in the record: what it is, what it needs, what it took."""
    shape, lengths = SIZES[point.size], [point.positions_of_row] * point.batch_size
    targets = [TARGET_TOKENS] * point.batch_size
    groups = split_by_tokens(lengths, config.machine.max_tokens_per_micro_batch)
    memory = peak_memory_gib(make_step, point, config.machine) if config.memory else None
    return {
        **asdict(point),
        "operations": useful_operations(shape, VOCAB_SIZE, lengths, targets, PROMPT_TUNING),
        "activations_of_position": shape.num_layers * (shape.d_model + shape.d_ff),
        "positions_at_once": max(map(len, groups)) * point.positions_of_row,
        **as_columns(costs),
        "peak_memory_gib": memory,
    }
