"""`ptune doctor`: what this machine has, what is missing, and the command which fixes it.

With model=, what its prompt tuning needs of a GPU; with experiment=, the GPU hours of its runs.
"""

import netrc
import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from omegaconf import DictConfig

from prompt_tuning.composition import planned_runs
from prompt_tuning.config import DoctorConfig, choices, file_of, typed
from prompt_tuning.data.sources import DataSpec, check_available
from prompt_tuning.errors import UserError
from prompt_tuning.network import problem_with
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import Task

WANDB_HOST = "api.wandb.ai"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")


# What was looked at, how it is, and what to type if it is missing; None: all is well.
Finding = tuple[str, str, str | None]


def check(cfg: DictConfig) -> DoctorConfig:
    """What to look through, or why not."""
    config = typed(DoctorConfig, cfg)
    if config.data.dir is not None and not Path(config.data.dir).is_dir():
        raise UserError(f"data.dir={config.data.dir} is not a folder", fix="check the path")
    return config


def run(config: DoctorConfig) -> None:
    """Prints every finding as soon as it is known."""
    if config.model is not None or config.experiment is not None:
        for thing, amount in _needs(config):
            print(f"{thing:<24}{amount}", flush=True)
        return
    local = chain(_packages(), _device(), _wandb())
    remote = chain(_hub(config.timeout_s), _checkpoints(), _data(config.data.dir))
    for name, state, fix in chain(local, remote):
        print(f"{'missing' if fix else 'ok':<8} {name:<22} {state}", flush=True)
        if fix:
            print(f"{'':32}{fix}", flush=True)


def _needs(config: DoctorConfig) -> Iterator[tuple[str, str]]:
    """What a model or an experiment needs of a GPU."""
    from prompt_tuning.bench.needs import describe, describe_hours  # imports torch

    if config.model is not None:
        yield from describe(config)
    if config.experiment is not None:
        yield from describe_hours(planned_runs(config.experiment.name), config)


def _packages() -> Iterator[Finding]:
    yield "python", platform.python_version(), None
    for requirement in requires("ptune") or ():
        if "extra ==" in requirement:
            continue
        name = requirement.split(">")[0].strip()
        try:
            yield name, version(name), None
        except PackageNotFoundError:
            yield name, "not installed", f"pip install '{requirement}'"


def _device() -> Iterator[Finding]:
    if find_spec("torch") is None:
        return
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            memory_gib = properties.total_memory / 2**30
            yield f"cuda:{index}", f"{properties.name}, {memory_gib:.0f} GiB", None
    else:
        yield "device", f"CPU only, {torch.get_num_threads()} threads, float32", None


def _wandb() -> Iterator[Finding]:
    if os.environ.get("WANDB_MODE"):
        yield "W&B", f"WANDB_MODE={os.environ['WANDB_MODE']}", None
    elif os.environ.get("WANDB_API_KEY") or _in_netrc(WANDB_HOST):
        yield "W&B", "online: a key is set", None
    else:
        yield "W&B key", "runs are kept offline", "wandb login"


def _in_netrc(host: str) -> bool:
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _hub(timeout_s: float) -> Iterator[Finding]:
    name, url = "Hugging Face hub", os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if reason := problem_with(url, timeout_s):
        fix = "use model.path=<folder> and data.dir=<folder>, or set HF_ENDPOINT to a mirror"
        yield name, f"{url} does not answer: {reason}", fix
    else:
        yield name, f"{url} answers", None


def _checkpoints() -> Iterator[Finding]:
    from huggingface_hub import try_to_load_from_cache

    models = {name: file_of("model", name) for name in choices("model")}
    for name, model in models.items():
        for repository in model.checkpoints.values() if model.source == "hub" else ():
            cached = [isinstance(try_to_load_from_cache(repository, f), str) for f in WEIGHTS]
            fix = f"hf download {repository}   (or it is fetched by the first run)"
            state = "is in the cache" if any(cached) else "is not in the cache"
            yield f"model={name}", f"{repository} {state}", None if any(cached) else fix


def _data(folder: str | None) -> Iterator[Finding]:
    if folder is None:
        yield "data.dir", "not given", "ptune doctor data.dir=<folder of official files>"
        return
    spec = DataSpec(source="auto", dir=Path(folder))
    for name, task in TASKS.items():
        splits = task.origin.splits("embedded" if task.is_embedded else "local")
        reasons = {split: _why_missing(task, spec, split) for split in splits}
        found = ", ".join(split for split, reason in reasons.items() if reason is None)
        missing = [reason for reason in reasons.values() if reason is not None]
        if found:
            yield f"task={name}", found, None
        else:
            yield f"task={name}", missing[0].problem, missing[0].fix


def _why_missing(task: Task, spec: DataSpec, split: str) -> UserError | None:
    try:
        check_available(task, (split,), spec)
    except UserError as error:
        return error
    return None
