"""The schema of `ptune bench`: names, types, units; values are in conf/bench.yaml."""

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

from prompt_tuning.config import FrozenMachineConfig
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
    max_target_tokens: int  # evaluation, serving: tokens that every row says, unless it ends before
    train: list[str]  # end_to_end: the run, as overrides of `ptune train`
    target_score: float  # end_to_end: the dev score, 0 to 100, that stops the clock
    machine: FrozenMachineConfig
    seed: int  # of lengths, token ids and dropout
    output_dir: str
    rerun: bool  # True: measure again what has a record


def bench_problems(config: BenchConfig) -> list[UserError]:
    """What is wrong with a measurement, found without importing torch."""
    missing = [name for name in NEEDS.get(config.part, ()) if find_spec(name) is None]
    problems = [
        UserError(
            f"part={config.part} measures against {name}, which is not installed",
            fix="pip install 'ptune[bench]'",
        )
        for name in missing
    ]
    if config.part == "pretraining" and config.dropout:
        problems.append(
            UserError(
                f"dropout={config.dropout}: T5 v1.1 is pre-trained without, and so is ptune's",
                fix="dropout=0",
            )
        )
    if (config.part == "serving") != (config.num_prompts is not None):
        problems.append(
            UserError(
                f"num_prompts={config.num_prompts} with part={config.part}",
                allowed="a number for part=serving, null for the others",
                fix="give part=serving num_prompts=<number>, or leave num_prompts out",
            )
        )
    allowed = ARMS.get(config.part, ())
    problems += [
        UserError(
            f"arms={arm} is not an arm of part={config.part}",
            allowed=", ".join(allowed) or "null",
            fix=did_you_mean(arm, allowed) or "leave arms out",
        )
        for arm in config.arms or ()
        if arm not in allowed
    ]
    if config.arms is not None and {*allowed[-2:]} - {*config.arms}:
        problems.append(
            UserError(
                f"arms=[{','.join(config.arms)}] has no headline",
                fix=f"add both {' and '.join(allowed[-2:])}",
            )
        )
    return problems


def arms_of(config: BenchConfig) -> tuple[str, ...]:
    """The arms to measure, always in the same order."""
    every = ARMS[config.part]
    return every if config.arms is None else tuple(arm for arm in every if arm in config.arms)


def bench_name(config: BenchConfig) -> str:
    """The measurement's folder, such as bench-training-small-rte-B32-3f2a91c0.

    Unlike that of a training run, its hash has the machine's settings: they change a speed.
    """
    values: dict[str, Any] = asdict(config)
    del values["output_dir"], values["rerun"]
    if config.num_prompts is None:  # a key that came later
        del values["num_prompts"]
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:8]
    axes = {
        "end_to_end": (),
        "growth": (config.size,),
    }.get(config.part, (config.size, config.profile, f"B{config.batch_size}"))
    return "-".join(("bench", config.part, *axes, digest))
