"""The keys of `ptune bench`, a line each; values are in conf/bench.yaml."""

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

from prompt_tuning.config import (
    LARGEST_BATCH,
    LARGEST_PROMPT,
    LARGEST_SEED,
    FolderConfig,
    FrozenMachineConfig,
    NamedConfig,
    key,
)
from prompt_tuning.devices import has_cuda, resolved_device
from prompt_tuning.errors import UserError, did_you_mean

PEFT_ARMS = ("peft_512", "peft_tight", "peft_longest")
OPPONENTS = ("peft", "transformers", "accelerate")
ARMS = {  # of what is measured step by step, the slowest first; the last two are the headline
    "training": (*PEFT_ARMS, "ptune"),
    "model_tuning": ("hf_longest", "ptune"),
    "pretraining": ("hf_longest", "ptune"),
}
PARTS = (*ARMS, "evaluation", "serving", "end_to_end", "growth")
IN_BENCH_MD = ("wic", "rte", "boolq", "multirc")  # lengths that results/bench.md is of
COUNTED = (*IN_BENCH_MD, "cb", "copa", "record", "wsc", "squad", "mrpc", "qqp", "sst2")
PROFILES = (*COUNTED, "span_corruption")
NEEDS = {  # packages of the extra `bench`
    "training": ("peft",),
    "evaluation": ("peft",),
    "end_to_end": ("peft", "accelerate"),
}


@dataclass(frozen=True)
class BenchMachineConfig(FrozenMachineConfig):
    """A run's machine, but a measurement says how many positions are in one pass."""

    max_tokens_per_micro_batch: int = key("in one pass, prompt included", at_least=1)


@dataclass(frozen=True)
class BenchConfig:
    """`ptune bench`: one measurement."""

    part: str = key("what is measured", one_of=PARTS)
    size: str = key("of a model with random weights", one_of=("nano", "tiny", "small"))
    profile: str = key("whose lengths the rows have", one_of=PROFILES)
    batch_size: int = key("rows a batch", at_least=1, at_most=LARGEST_BATCH)
    num_batches: int = key("measured ones", at_least=1)
    num_rounds: int = key("measurements of each arm on each batch", at_least=1)
    prompt_length: int = key("P", at_least=1, at_most=LARGEST_PROMPT)
    dropout: float = key("rate, in every arm; off in the equality gate", at_least=0, below=1)
    arms: list[str] | None = key("training: which of its arms; null: all")
    memory: bool = key("true: peak memory of each arm too, each in a process of its own")
    num_prompts: int | None = key("serving: K prompts of one model, or K models", at_least=2)
    max_target_tokens: int = key("evaluation, serving: tokens that every row says", at_least=1)
    model: NamedConfig | None = key("end_to_end: of the run; null: that of train")
    task: NamedConfig | None = key("end_to_end: of the run; null: that of train")
    data: FolderConfig = key("end_to_end: where its examples come from")
    train: list[str] = key("end_to_end: the run, as overrides of ptune train")
    target_score: float = key("end_to_end: dev score that stops it", at_least=0, at_most=100)
    machine: BenchMachineConfig = key("what the measurement may use")
    seed: int = key("of lengths, token ids and dropout", at_least=0, at_most=LARGEST_SEED)
    output_dir: str = key("one folder per measurement inside")
    rerun: bool = key("true: measure again what has a record")


def bench_problems(config: BenchConfig) -> list[UserError]:
    """What is wrong with a measurement, found without importing torch."""
    part, arms, allowed = config.part, config.arms or [], ARMS.get(config.part, ())
    installs = "pip install 'ptune[bench]'"
    problems = [
        UserError(f"part={part} measures against {name}, which is not installed", fix=installs)
        for name in NEEDS.get(part, ())
        if find_spec(name) is None
    ]
    if part == "pretraining" and config.dropout:
        problem = f"dropout={config.dropout}: T5 v1.1 is pre-trained without, and so is ptune's"
        problems.append(UserError(problem, fix="dropout=0"))
    if (config.num_prompts is not None) != (part == "serving"):
        problem = f"num_prompts={config.num_prompts} with part={part}"
        problems.append(UserError(problem, fix="part=serving num_prompts=<number>, or neither"))
    problems += [
        UserError(f"{override} is for part=end_to_end", fix="leave it out")
        for override in _run_overrides(config)
        if part != "end_to_end"
    ]
    problems += [
        UserError(
            f"arms={arm} is not an arm of part={part}",
            allowed=", ".join(allowed) or "null",
            fix=did_you_mean(arm, allowed) or "leave arms out",
        )
        for arm in arms
        if arm not in allowed
    ]
    if config.arms is not None and not {*allowed[-2:]} <= {*arms}:
        fix = f"add both {' and '.join(allowed[-2:])}"
        problems.append(UserError(f"arms=[{','.join(arms)}] has no headline", fix=fix))
    return problems


def arms_of(config: BenchConfig) -> tuple[str, ...]:
    """The arms to measure, always in the same order."""
    every = ARMS[config.part]
    return every if config.arms is None else tuple(arm for arm in every if arm in config.arms)


def train_overrides(config: BenchConfig) -> list[str]:
    """The run of part=end_to_end as `ptune train` would be given it."""
    own = _run_overrides(config)
    given = [override.partition("=")[0] for override in own]
    return [*own, *(text for text in config.train if text.partition("=")[0] not in given)]


def _run_overrides(config: BenchConfig) -> list[str]:
    """The overrides of a run for which a measurement has keys of its own."""
    named = {"model": config.model, "task": config.task}
    own = [f"{group}={chosen.name}" for group, chosen in named.items() if chosen is not None]
    return own if config.data.dir is None else [*own, f"data.dir={config.data.dir}"]


def device_name(config: BenchConfig) -> str:
    """The device as a record names it; torch is imported only for a GPU."""
    device = resolved_device(config.machine.device)
    if device == "cpu" or not has_cuda():  # the measurement itself refuses a GPU that is not there
        return "cpu"
    import torch

    return torch.cuda.get_device_name(device)


def bench_name(config: BenchConfig) -> str:
    """The measurement's folder, such as bench-training-small-rte-B32-3f2a91c0.

    Unlike that of a training run, its hash has the machine's settings: they change a speed.
    """
    values: dict[str, Any] = asdict(config)
    del values["output_dir"], values["rerun"]
    for name in ("num_prompts", "model", "task"):  # that came later
        if values[name] is None:
            del values[name]
    if config.data.dir is None:
        del values["data"]
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:8]
    every = (config.size, config.profile, f"B{config.batch_size}")
    axes = {"end_to_end": (), "growth": every[:1]}.get(config.part, every)
    return "-".join(("bench", config.part, *axes, digest))
