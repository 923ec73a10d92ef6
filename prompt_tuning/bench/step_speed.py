"""Training, model tuning and pre-training: one update on a batch, arm against arm."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from prompt_tuning.bench.arms import Arm, make_arm, make_optimizer, train_step
from prompt_tuning.bench.breakdown import breakdown
from prompt_tuning.bench.clock import as_columns, interleave
from prompt_tuning.bench.memory import peak_memory_gib
from prompt_tuning.bench.operations import (
    MODEL_TUNING,
    PROMPT_TUNING,
    matrix_product_rate,
    useful_operations,
)
from prompt_tuning.bench.profiles import Batch
from prompt_tuning.bench.settings import ARMS, BenchConfig, arms_of
from prompt_tuning.bench.workload import SIZES, VOCAB_SIZE, Place, draw_batches
from prompt_tuning.model_choice import machine_of

WARM_UP_ROWS = 2


def measure_steps(config: BenchConfig, say: Callable[[str], None]) -> dict[str, Any]:
    """Costs of every arm on every batch, update included, and what they are to be compared with.

    Args:
        config: `part` is one of `settings.ARMS`.
        say: told what is being measured.
    """
    place = Place(*machine_of(config.machine))
    batches = draw_batches(config)
    names = arms_of(config)
    calls = {name: _steps(name, config, place, batches) for name in names}
    rate = _rate(config, batches, place)
    say(f"{', '.join(names)} on {len(batches)} batches, {config.num_rounds} rounds")
    costs = interleave(calls, config.num_rounds, place.device)
    rate = max(rate, _rate(config, batches, place))
    shares = breakdown(calls["ptune"][0]) if "ptune" in calls else None
    calls.clear()
    memory: dict[str, float | None] = {}
    for name in names if config.memory else ():
        say(f"memory of {name}")
        memory[name] = peak_memory_gib(_one_step, name, config)
    return {
        "baseline": ARMS[config.part][-2],
        "batches": [_facts(config, batch) for batch in batches],
        "matrix_product_rate": rate,
        "breakdown": shares,  # of ptune's step on the first batch
        "arms": {
            name: {**as_columns(of_arm), "peak_memory_gib": memory.get(name)}
            for name, of_arm in costs.items()
        },
    }


def _steps(
    name: str, config: BenchConfig, place: Place, batches: Sequence[Batch]
) -> list[Callable[[], None]]:
    """One call a batch, the arm being warm."""
    arm = _warm_arm(name, config, place, batches[0])
    optimizer = make_optimizer(arm, config.part)
    return [partial(train_step, arm, optimizer, arm.prepare(batch)) for batch in batches]


def _one_step(name: str, config: BenchConfig) -> Callable[[], None]:
    """The first batch's step, for a process of its own."""
    place = Place(*machine_of(config.machine))
    batch = draw_batches(config)[0]
    arm = _warm_arm(name, config, place, batch)
    return partial(train_step, arm, make_optimizer(arm, config.part), arm.prepare(batch))


def _warm_arm(name: str, config: BenchConfig, place: Place, batch: Batch) -> Arm:
    """An arm whose libraries have set themselves up, by a pass over a few rows."""
    arm = make_arm(name, config, place)
    few = Batch(batch.inputs[:WARM_UP_ROWS], batch.targets[:WARM_UP_ROWS])
    arm.backward(arm.prepare(few), dropout=True)
    for tensor in arm.trained.values():
        tensor.grad = None
    return arm


def _rate(config: BenchConfig, batches: Sequence[Batch], place: Place) -> float:
    """Measured at the number of positions that a micro-batch of these batches has."""
    positions = sum(sum(_encoder_lengths(config, batch)) for batch in batches) // len(batches)
    rows = min(positions, config.machine.max_tokens_per_micro_batch)
    return matrix_product_rate(SIZES[config.size], rows, place)


def _facts(config: BenchConfig, batch: Batch) -> dict[str, int]:
    """A batch in the record: what it has, and what its step needs."""
    lengths = _encoder_lengths(config, batch)
    passes = PROMPT_TUNING if config.part == "training" else MODEL_TUNING
    return {
        "num_rows": len(lengths),
        "longest_input": max(batch.input_lengths),
        "positions": sum(lengths),
        "target_tokens": sum(batch.target_lengths),
        "operations": useful_operations(
            SIZES[config.size], VOCAB_SIZE, lengths, batch.target_lengths, passes
        ),
    }


def _encoder_lengths(config: BenchConfig, batch: Batch) -> list[int]:
    prompt_length = config.prompt_length if config.part == "training" else 0
    return [prompt_length + length for length in batch.input_lengths]
