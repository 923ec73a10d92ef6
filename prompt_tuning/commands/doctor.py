"""`ptune doctor`: what this machine has, what is missing, and the command which fixes it."""

import netrc
import os
import platform
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from omegaconf import DictConfig, OmegaConf

from prompt_tuning.config import DoctorConfig, typed
from prompt_tuning.config_ranges import SPLITS
from prompt_tuning.config_reading import choices, config_dir
from prompt_tuning.data.sources import DataSpec, check_available
from prompt_tuning.errors import UserError
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import Task

WANDB_HOST = "api.wandb.ai"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is, and what to type if it is missing."""

    name: str
    state: str
    fix: str | None = None  # None: all is well

    def __str__(self) -> str:
        if self.fix is None:
            return f"ok       {self.name:<22} {self.state}"
        return f"missing  {self.name:<22} {self.state}\n{'':32}{self.fix}"


def check(cfg: DictConfig) -> DoctorConfig:
    """What to look through, or why not."""
    config = typed(DoctorConfig, cfg)
    if config.data.dir is not None and not Path(config.data.dir).is_dir():
        raise UserError(f"data.dir={config.data.dir} is not a folder", fix="check the path")
    return config


def run(config: DoctorConfig) -> None:
    """Prints every finding as soon as it is known."""
    for findings in (
        _packages(),
        _device(),
        _wandb(),
        _hub(config.timeout_s),
        _checkpoints(),
        _data(config.data.dir),
    ):
        for finding in findings:
            print(finding, flush=True)


def _packages() -> Iterator[Finding]:
    yield Finding("python", platform.python_version())
    for requirement in requires("ptune") or ():
        if "extra ==" in requirement:
            continue
        name = requirement.split(">")[0].strip()
        try:
            yield Finding(name, version(name))
        except PackageNotFoundError:
            yield Finding(name, "not installed", f"pip install '{requirement}'")


def _device() -> Iterator[Finding]:
    if find_spec("torch") is None:
        return
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            memory_gib = properties.total_memory / 2**30
            yield Finding(f"cuda:{index}", f"{properties.name}, {memory_gib:.0f} GiB")
    else:
        yield Finding("device", f"CPU only, {torch.get_num_threads()} threads, float32")


def _wandb() -> Iterator[Finding]:
    if os.environ.get("WANDB_MODE"):
        yield Finding("W&B", f"WANDB_MODE={os.environ['WANDB_MODE']}")
    elif os.environ.get("WANDB_API_KEY") or _in_netrc(WANDB_HOST):
        yield Finding("W&B", "online: a key is set")
    else:
        yield Finding("W&B key", "runs are kept offline", "wandb login")


def _in_netrc(host: str) -> bool:
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _hub(timeout_s: float) -> Iterator[Finding]:
    url = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        with urllib.request.urlopen(url, timeout=timeout_s):
            yield Finding("Hugging Face hub", f"{url} answers")
    except urllib.error.HTTPError:
        yield Finding("Hugging Face hub", f"{url} answers")
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "reason", error))
        fix = "use model.path=<folder> and data.dir=<folder>, or set HF_ENDPOINT to a mirror"
        yield Finding("Hugging Face hub", f"{url} does not answer: {reason}", fix)


def _checkpoints() -> Iterator[Finding]:
    from huggingface_hub import try_to_load_from_cache

    for name in choices("model"):
        model = cast(DictConfig, OmegaConf.load(config_dir() / "model" / f"{name}.yaml"))
        if model.source != "hub":
            continue
        for repository in model.checkpoints.values():
            cached = [isinstance(try_to_load_from_cache(repository, f), str) for f in WEIGHTS]
            if any(cached):
                yield Finding(f"model={name}", f"{repository} is in the cache")
            else:
                fix = f"hf download {repository}   (or it is fetched by the first run)"
                yield Finding(f"model={name}", f"{repository} is not in the cache", fix)


def _data(folder: str | None) -> Iterator[Finding]:
    if folder is None:
        yield Finding("data.dir", "not given", "ptune doctor data.dir=<folder of official files>")
        return
    spec = DataSpec(source="auto", dir=Path(folder))
    for name, task in TASKS.items():
        reasons = {split: _why_missing(task, spec, split) for split in SPLITS}
        found = ", ".join(split for split, reason in reasons.items() if reason is None)
        missing = [reason for reason in reasons.values() if reason is not None and reason.fix]
        if found or not missing:
            yield Finding(f"task={name}", found)
        else:
            yield Finding(f"task={name}", missing[0].problem, missing[0].fix)


def _why_missing(task: Task, spec: DataSpec, split: str) -> UserError | None:
    try:
        check_available(task, spec, (split,))
    except UserError as error:
        return error
    return None
