"""What a run of the paper needs of a GPU: memory and hours, from the model's shape alone.

Counted, not measured: no weights are loaded, and nothing here has been run on a GPU. Small models
wait for kernels to start rather than for their products: there the hours are too few.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from math import prod

import numpy as np

from prompt_tuning.bench.operations import MODEL_TUNING, PROMPT_TUNING, Passes, useful_operations
from prompt_tuning.bench.settings import IN_BENCH_MD
from prompt_tuning.bench.workload import MAX_INPUT_TOKENS, VOCAB_SIZE, load_profiles
from prompt_tuning.config import DoctorConfig, TrainConfig, choices, file_of
from prompt_tuning.errors import UserError
from prompt_tuning.models.memory import Footprint
from prompt_tuning.shapes import SHAPES, Shape, num_parameters

CARDS_GB = (24, 40, 80, 141)  # 10^9 bytes
PASSES = {
    "prompt_tuning": PROMPT_TUNING,
    "model_tuning": MODEL_TUNING,
    "multitask_model_tuning": MODEL_TUNING,
}
VALUE_BYTES = {"float32": 4, "bfloat16": 2}
# Training examples of the mixture superglue, as T5 counts them; those of DPR, 0.7 % of all, are
# left out. Source: the dataset tables in t5/data/glue_utils.py.
MIXED_EXAMPLES = {
    "boolq": 9_427,
    "cb": 250,
    "copa": 400,
    "multirc": 27_243,
    "record": 138_854,
    "rte": 2_490,
    "wic": 5_428,
    "wsc": 259,
}
GIB = 2**30


@dataclass(frozen=True)
class Needs:
    """What prompt tuning needs with `recipe=paper`, on rows as long as real training sets'."""

    shape: Shape
    prompt_length: int
    value_bytes: int

    @property
    def footprint(self) -> Footprint:
        """The memory of the frozen model."""
        return Footprint(self.shape, VOCAB_SIZE, self.value_bytes)

    @property
    def trained_bytes(self) -> int:
        """Bytes of the prompt, its gradient and Adafactor's second moment, all float32.

        The second moment has P * H numbers, or P + H where both are at least
        `optimizer.min_dim_size_to_factor` (`optim.py`).
        """
        sides = (self.prompt_length, self.shape.d_model)
        is_factored = min(sides) >= file_of("recipe", "paper").optimizer.min_dim_size_to_factor
        moment = sum(sides) if is_factored else prod(sides)
        return 4 * (2 * prod(sides) + moment)

    @cached_property
    def longest(self) -> tuple[int, int]:
        """Encoder positions and target tokens of the longest row."""
        profiles = [load_profiles()[name] for name in IN_BENCH_MD]
        longest_target = max(length for each in profiles for length, _ in each.targets)
        return self.prompt_length + MAX_INPUT_TOKENS, longest_target

    @property
    def row_bytes(self) -> int:
        """What autograd keeps of a micro-batch of that row."""
        length, target_length = self.longest
        return self.footprint.kept_bytes([length], [target_length])

    def tokens_on(self, card_gb: int) -> int:
        """Encoder positions of a micro-batch on a card; 0: not even the longest row fits."""
        free = card_gb * 10**9 - self.footprint.weight_bytes - self.trained_bytes
        length, target_length = self.longest
        tokens = self.footprint.tokens_that_fit(max(free, 0), [length], target_length)
        return tokens if tokens >= length else 0

    def operations(self, profile: str, batch_size: int, passes: Passes = PROMPT_TUNING) -> float:
        """The operations of a step, as a mean over a profile's lengths (`operations.py`)."""
        rows, total = 0, 0
        counts = load_profiles()[profile]
        for (length, times), (target, target_times) in product(counts.inputs, counts.targets):
            encoder = self.prompt_length + min(length, MAX_INPUT_TOKENS)
            of_row = useful_operations(self.shape, VOCAB_SIZE, [encoder], [target], passes)
            rows += times * target_times
            total += times * target_times * of_row
        return batch_size * total / rows


@cache
def shape_of(model: str) -> Shape:
    """The shape of a model of conf/model.

    Raises:
        UserError: it is not one of T5 v1.1's.
    """
    by_width = {shape.d_model: shape for shape in SHAPES.values()}
    shapes = {name: by_width.get(file_of("model", name).hidden_size) for name in choices("model")}
    if (shape := shapes[model]) is None:
        allowed = ", ".join(name for name, each in shapes.items() if each is not None)
        raise UserError(f"model={model} has no shape of T5 v1.1", allowed=allowed)
    return shape


def describe(config: DoctorConfig) -> Iterator[tuple[str, str]]:
    """What the model of the config needs: a thing and its amount, a line each."""
    assert config.model is not None, config
    name, shape = config.model.name, shape_of(config.model.name)
    needs = Needs(shape, config.prompt_length, VALUE_BYTES[config.dtype])
    length, target_length = needs.longest
    yield f"model={name}", f"{num_parameters(shape, VOCAB_SIZE):,} parameters, {config.dtype}"
    yield "weights", f"{needs.footprint.weight_bytes / GIB:.2f} GiB"
    yield (
        "trained",
        f"{needs.trained_bytes / GIB:.4f} GiB: a prompt of {config.prompt_length} x "
        f"{shape.d_model}, gradient, second moment, all float32",
    )
    yield (
        "kept for backward",
        f"{needs.row_bytes / GIB:.3f} GiB of a row of {length} positions "
        f"({config.prompt_length} + {MAX_INPUT_TOKENS}) and {target_length} target tokens",
    )
    for card_gb in CARDS_GB:
        tokens = needs.tokens_on(card_gb)
        fits = f"fits, with micro-batches of {tokens:,} positions" if tokens else "does not fit"
        yield f"card of {card_gb} GB", fits
    training = file_of("recipe", "paper").training
    for profile in IN_BENCH_MD:
        operations = needs.operations(profile, training.batch_size)
        yield (
            f"recipe=paper, {profile}",
            f"{_hours_text(_hours(training.num_steps * operations, config))}: "
            f"{training.num_steps:,} steps of {training.batch_size} rows, "
            f"{operations / 1e12:.2f} * 10^12 operations a step",
        )
    yield _assumed(config)


def describe_hours(runs: Sequence[TrainConfig], config: DoctorConfig) -> Iterator[tuple[str, str]]:
    """GPU hours of an experiment's runs, a line for each model and one for all.

    Raises:
        UserError: a run trains nothing, or a model or a task that is not the paper's.
    """
    hours: dict[str, list[float]] = {}
    for run in runs:
        hours.setdefault(run.model.name, []).append(_hours(_operations_of(run), config))
    for name, each in hours.items():
        yield f"model={name}", f"{_hours_text(sum(each))}: {len(each)} runs"
    yield "all", f"{_hours_text(sum(map(sum, hours.values())))}: {len(runs)} runs"
    yield _assumed(config)


def _operations_of(run: TrainConfig) -> float:
    """The operations of all steps of a run; a mixture's tasks count by their examples."""
    if run.method not in PASSES:
        raise UserError(f"method={run.method} trains nothing, and evaluations are not counted")
    tasks = MIXED_EXAMPLES if run.task.name == "superglue" else {run.task.name: 1}
    if missing := {*tasks} - {*load_profiles()}:
        raise UserError(f"the rows of task={missing.pop()} have not been counted")
    length, batch_size = run.prompt.length or 0, run.training.batch_size
    steps = [_step_of(run.model.name, length, task, batch_size, run.method) for task in tasks]
    return run.training.num_steps * float(np.average(steps, weights=[*tasks.values()]))


@cache
def _step_of(model: str, length: int, task: str, batch_size: int, method: str) -> float:
    needs = Needs(shape_of(model), length, VALUE_BYTES["bfloat16"])
    return needs.operations(task, batch_size, PASSES[method])


def _hours(operations: float, config: DoctorConfig) -> float:
    return operations / (config.peak_tflops * 1e12 * config.utilization) / 3600


def _hours_text(hours: float) -> str:
    return f"{hours:,.0f} GPU hours" if hours >= 10 else f"{hours:.3g} GPU hours"


def _assumed(config: DoctorConfig) -> tuple[str, str]:
    return (
        "assumed",
        f"{config.utilization:g} (utilization) of {config.peak_tflops:g} * 10^12 operations a "
        "second (peak_tflops); no evaluation; unmeasured on GPUs",
    )
