"""The keys of `ptune bench`, a line each; values are in conf/bench.yaml."""

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

from prompt_tuning.config import FrozenMachineConfig, key
from prompt_tuning.errors import UserError, did_you_mean

PEFT_ARMS = ("peft_512", "peft_tight", "peft_longest")
ARMS = {  # of what is measured step by step, the slowest first; the last two are the headline
    "training": (*PEFT_ARMS, "ptune"),
    "model_tuning": ("hf_longest", "ptune"),
    "pretraining": ("hf_longest", "ptune"),
}
PARTS = (*ARMS, "evaluation", "serving", "end_to_end", "growth")
PROFILES = ("wic", "rte", "boolq", "multirc", "span_corruption")
NEEDS = {  # packages of the extra `bench`
    "training": ("peft",),
    "evaluation": ("peft",),
    "end_to_end": ("peft", "accelerate"),
}


@dataclass(frozen=True)
class BenchConfig:
    """`ptune bench`: one measurement."""

    part: str = key("what is measured", one_of=PARTS)
    size: str = key("of a model with random weights", one_of=("nano", "tiny", "small"))
    profile: str = key("whose lengths the rows have", one_of=PROFILES)
    batch_size: int = key("rows a batch", at_least=1)
    num_batches: int = key("measured ones", at_least=1)
    num_rounds: int = key("measurements of each arm on each batch", at_least=1)
    prompt_length: int = key("P", at_least=1)
    dropout: float = key("rate, in every arm; off in the equality gate", at_least=0, below=1)
    arms: list[str] | None = key("training: which of its arms; null: all")
    memory: bool = key("true: peak memory of each arm too, each in a process of its own")
    num_prompts: int | None = key("serving: K prompts of one model, or K models", at_least=2)
    max_target_tokens: int = key("evaluation, serving: tokens that every row says", at_least=1)
    train: list[str] = key("end_to_end: the run, as overrides of ptune train")
    target_score: float = key("end_to_end: dev score that stops it", at_least=0, at_most=100)
    machine: FrozenMachineConfig = key("what the measurement may use")
    seed: int = key("of lengths, token ids and dropout", at_least=0)
    output_dir: str = key("one folder per measurement inside")
    rerun: bool = key("true: measure again what has a record")


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
