"""The schema of `ptune bench`: names, types, units; values are in conf/bench.yaml."""

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

from prompt_tuning.config import FolderConfig, FrozenMachineConfig
from prompt_tuning.errors import UserError, did_you_mean

PEFT_ARMS = ("peft_512", "peft_tight", "peft_longest")
ARMS = {  # of what is measured step by step, the slowest first; the last two are the headline
    "training": (*PEFT_ARMS, "ptune"),
    "model_tuning": ("hf_longest", "ptune"),
    "pretraining": ("hf_longest", "ptune"),
}
NEEDS = {  # packages of the extra `bench`
    "training": ("peft",),
    "evaluation": ("peft",),
    "serving": ("peft",),  # with num_rows
    "end_to_end": ("peft", "accelerate"),
}


@dataclass(frozen=True)
class BenchConfig:
    """`ptune bench`: one measurement."""

    # training | evaluation | serving | end_to_end | growth | model_tuning | pretraining
    part: str
    size: str  # nano | tiny | small, random weights
    profile: str  # whose lengths the rows have: wic | rte | boolq | multirc | span_corruption
    batch_size: int  # rows a batch
    num_batches: int  # measured ones
    num_rounds: int  # measurements of each arm on each batch
    prompt_length: int  # P
    dropout: float  # rate, in every arm; the equality gate switches it off
    arms: list[str] | None  # training: which of its arms; None: all
    memory: bool  # peak memory of each arm too, each in a process of its own
    num_prompts: int | None  # serving: K prompts of one model, or K models
    num_rows: int | None  # serving: so many rows under one prompt, instead of `num_prompts`
    max_target_tokens: int  # evaluation, serving: tokens that every row says, unless it ends before
    trained_model: str | None  # end_to_end: given as model=<name>; None: that of `train`
    trained_task: str | None  # end_to_end: given as task=<name>; None: that of `train`
    data: FolderConfig  # end_to_end: the official files of its task
    train: list[str]  # end_to_end: the run, as overrides of `ptune train`
    target_score: float  # end_to_end: the dev score, 0 to 100, that stops the clock
    machine: FrozenMachineConfig
    seed: int  # of lengths, token ids and dropout
    output_dir: str
    rerun: bool  # True: measure again what has a record


def bench_problems(config: BenchConfig) -> list[UserError]:
    """What is wrong with a measurement, found without importing torch."""
    part, arms, allowed = config.part, config.arms or [], ARMS.get(config.part, ())
    needed = () if config.num_prompts else NEEDS.get(part, ())
    installs = "pip install 'ptune[bench]'"
    problems = [
        UserError(f"part={part} measures against {name}, which is not installed", fix=installs)
        for name in needed
        if find_spec(name) is None
    ]
    if part == "pretraining" and config.dropout:
        problem = f"dropout={config.dropout}: T5 v1.1 is pre-trained without, and so is ptune's"
        problems.append(UserError(problem, fix="dropout=0"))
    counts = [f"{key}={getattr(config, key)}" for key in ("num_prompts", "num_rows")]
    if sum(not count.endswith("None") for count in counts) != (part == "serving"):
        fix = "part=serving num_prompts=<number> or num_rows=<number>, or neither"
        problems.append(UserError(f"{', '.join(counts)} with part={part}", fix=fix))
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
    keys = [override.partition("=")[0] for override in own]
    return [*own, *(text for text in config.train if text.partition("=")[0] not in keys)]


def _run_overrides(config: BenchConfig) -> list[str]:
    """Those that have a key of their own here."""
    run = {"model": config.trained_model, "task": config.trained_task, "data.dir": config.data.dir}
    return [f"{key}={value}" for key, value in run.items() if value is not None]


def bench_name(config: BenchConfig) -> str:
    """The measurement's folder, such as bench-training-small-rte-B32-3f2a91c0.

    Unlike that of a training run, its hash has the machine's settings: they change a speed.
    """
    values: dict[str, Any] = asdict(config)
    del values["output_dir"], values["rerun"]
    for key in ("num_prompts", "num_rows", "trained_model", "trained_task"):  # that came later
        if values[key] is None:
            del values[key]
    if config.data.dir is None:
        del values["data"]
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:8]
    axes = {
        "end_to_end": (),
        "growth": (config.size,),
    }.get(config.part, (config.size, config.profile, f"B{config.batch_size}"))
    return "-".join(("bench", config.part, *axes, digest))
