"""Training, model tuning and pre-training: one update on a batch, arm against arm."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from typing import Any

from torch.profiler import ProfilerActivity, profile

from prompt_tuning.bench.arms import make_arm, make_steps
from prompt_tuning.bench.costs import Call, interleave, peak_memory_gib
from prompt_tuning.bench.operations import (
    MODEL_TUNING,
    PROMPT_TUNING,
    matrix_product_rate,
    useful_operations,
)
from prompt_tuning.bench.settings import ARMS, BenchConfig, arms_of
from prompt_tuning.bench.workload import SIZES, VOCAB_SIZE, WARM_UP_ROWS, Batch, Place, draw_batches

KINDS = {  # of operators, by the first pattern that fits; both GPU and CPU names
    "products with weights": ("mkldnn::_linear*", "aten::mm", "aten::addmm", "aten::linear"),
    "attention": ("aten::_scaled_dot_product*", "aten::_efficient_attention*"),
    "products by head": ("aten::bmm", "aten::baddbmm"),
    "GELU": ("aten::gelu*",),
    "everything else": ("*",),
}


def measure_steps(config: BenchConfig, say: Callable[[str], None]) -> dict[str, Any]:
    """Costs of every arm on every batch, update included, and what they are to be compared with."""
    place, batches, names = Place.on(config.machine), draw_batches(config), arms_of(config)
    calls = {name: _warm_steps(name, config, place, batches) for name in names}
    facts = [_facts(config, batch) for batch in batches]
    # The rate is that of as many positions as a micro-batch of these batches has.
    num_positions = sum(batch["positions"] for batch in facts) // len(batches)
    num_rows = min(num_positions, config.machine.max_tokens_per_micro_batch)
    rate_before = matrix_product_rate(SIZES[config.size], num_rows, place)
    say(f"{', '.join(names)} on {len(batches)} batches, {config.num_rounds} rounds")
    costs = interleave(calls, config.num_rounds, place.device)
    rate = max(rate_before, matrix_product_rate(SIZES[config.size], num_rows, place))
    shares = breakdown(calls["ptune"][0])
    calls.clear()
    memory: dict[str, float | None] = {}
    for name in names if config.memory else ():
        say(f"memory of {name}")
        memory[name] = peak_memory_gib(first_step, name, config)
    return {
        "baseline": ARMS[config.part][-2],
        "batches": facts,
        "matrix_product_rate": rate,
        "breakdown": shares,  # of ptune's step on the first batch
        "arms": {
            name: {**columns, "peak_memory_gib": memory.get(name)}
            for name, columns in costs.items()
        },
    }


def first_step(name: str, config: BenchConfig) -> Call:
    """The first batch's step of an arm, for a process of its own."""
    first = draw_batches(config)[:1]
    return _warm_steps(name, config, Place.on(config.machine), first)[0]


def _warm_steps(
    name: str, config: BenchConfig, place: Place, batches: Sequence[Batch]
) -> list[Call]:
    """One call a batch; the arm's libraries have set themselves up in a pass over a few rows."""
    arm = make_arm(name, config, place)
    arm.backward(arm.prepare(batches[0].first(WARM_UP_ROWS)), dropout=True)
    for tensor in arm.trained.values():
        tensor.grad = None
    return make_steps(arm, config.part, batches)


def _facts(config: BenchConfig, batch: Batch) -> dict[str, int]:
    """A batch in the record: what it has, and what its step needs."""
    is_prompt_tuning = config.part == "training"
    prompt_length = config.prompt_length if is_prompt_tuning else 0
    inputs, targets = batch.lengths
    rows = [prompt_length + length for length in inputs]
    passes = PROMPT_TUNING if is_prompt_tuning else MODEL_TUNING
    return {
        "num_rows": len(rows),
        "longest_input": max(inputs),
        "positions": sum(rows),
        "target_tokens": sum(targets),
        "operations": useful_operations(SIZES[config.size], VOCAB_SIZE, rows, targets, passes),
    }


def breakdown(step: Call) -> dict[str, float]:
    """Shares of the time that a step's operators take by themselves; they sum to 1.

    Measured on one step, apart from those that are timed: the profiler costs time itself.
    """
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        step()
    seconds = dict.fromkeys(KINDS, 0.0)
    for event in profiled.key_averages():
        seconds[kind_of(event.key)] += event.self_cpu_time_total
    total = sum(seconds.values())
    return {kind: round(spent / total, 4) for kind, spent in seconds.items()}


def kind_of(operator: str) -> str:
    """What an operator, such as aten::mm, is for."""
    return next(kind for kind, own in KINDS.items() if any(fnmatch(operator, p) for p in own))
