"""From the groups of the config to the parts they name: model, what is trained, tracking."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from prompt_tuning.config import (
    FrozenMachineConfig,
    InitConfig,
    MachineConfig,
    ModelConfig,
    TrackingConfig,
    TrainConfig,
    VariantConfig,
)
from prompt_tuning.errors import UserError
from prompt_tuning.files import made_once
from prompt_tuning.ladder.shipped_models import embedded_source
from prompt_tuning.models import initializers
from prompt_tuning.models.frozen_t5 import FrozenT5
from prompt_tuning.models.loading import (
    Checkpoint,
    load_checkpoint,
    load_weights,
    write_untrained_checkpoint,
)
from prompt_tuning.models.methods import Method, ModelTuning, PromptTuning
from prompt_tuning.models.packaged import packaged_source
from prompt_tuning.prompt_files import PromptFile, check_fits, load_prompt
from prompt_tuning.tasks import Task
from prompt_tuning.tracking import WandbSettings

_SOURCES: dict[str, Callable[[str], str]] = {
    "hub": str,
    "embedded": embedded_source,
    "packaged": packaged_source,
}


def load_model(
    model: ModelConfig, variant: VariantConfig, machine: FrozenMachineConfig, cache: Path
) -> Checkpoint:
    """Loads the model that the config names, on the machine that it names.

    Args:
        model: a folder or hub id (`path`), one of the hub's, an embedded or a packaged one.
        variant: picks one of the model's checkpoints by its steps of LM adaptation.
        machine: device, dtype, threads and compilation.
        cache: where a checkpoint that is made on demand (random_weights) is kept.
    """
    return load_source(*source_of(model, variant, cache), machine)


def source_of(
    model: ModelConfig, variant: VariantConfig | None, cache: Path
) -> tuple[str, str | None]:
    """Hub id or folder of the model that the config names, and its revision.

    Args:
        model: as `load_model`.
        variant: as `load_model`; None is possible with a `path`.
        cache: as `load_model`.
    """
    if model.path is not None:
        source = model.path
    else:
        assert variant is not None, model
        source = _SOURCES[model.source](checkpoint_of(model, variant))
    if variant is not None and variant.random_weights:
        return str(_untrained_folder(source, model.revision, cache)), None
    return source, model.revision


def checkpoint_of(model: ModelConfig, variant: VariantConfig) -> str:
    """The model's checkpoint that the variant means; random weights take any one's shape."""
    if variant.random_weights and variant.lm_adapt_steps not in model.checkpoints:
        return next(iter(model.checkpoints.values()))
    return model.checkpoints[variant.lm_adapt_steps]


def load_source(source: str, revision: str | None, machine: FrozenMachineConfig) -> Checkpoint:
    """Loads a hub id or a folder on the machine that the config names."""
    device, dtype = machine_of(machine)
    checkpoint = load_checkpoint(source, revision=revision, dtype=dtype, device=device)
    if machine.compile is not None:
        checkpoint.model.compile(machine.compile)
    return checkpoint


def variant_of(chosen: VariantConfig | None, prompt: PromptFile) -> VariantConfig:
    """The variant that was chosen, else the one that the prompt was trained on."""
    if chosen is not None:
        return chosen
    metadata = prompt.metadata
    return VariantConfig(
        name=metadata["variant"],
        lm_adapt_steps=metadata["lm_adapt_steps"],
        target_sentinel=metadata["target_sentinel"],
        random_weights=metadata.get("random_weights", False),
    )


def load_for_prompt(
    model: ModelConfig,
    variant: VariantConfig,
    prompt: PromptFile,
    machine: FrozenMachineConfig,
    cache: Path,
) -> Checkpoint:
    """The model that the config names; where it names none, the one the prompt was trained on."""
    if model.source != "prompt" or model.path is not None:
        return load_model(model, variant, machine, cache)
    return load_source(prompt.metadata["source"], prompt.metadata["revision"], machine)


def machine_of(machine: MachineConfig) -> tuple[torch.device, torch.dtype]:
    """Device and dtype of a model; also sets the number of threads."""
    if machine.num_threads is not None:
        torch.set_num_threads(machine.num_threads)
    device = _device(machine.device)
    return device, _dtype(machine.dtype, device)


def make_method(config: TrainConfig, task: Task, checkpoint: Checkpoint) -> Method:
    """What a run trains, before its first update.

    Raises:
        UserError: as `first_prompt`.
    """
    if config.method == "model_tuning":
        return make_model_tuning(checkpoint)
    model, length = checkpoint.model, config.prompt.length
    assert isinstance(model, FrozenT5) and length is not None, (model, length)
    init = first_prompt(config.init, length, task, checkpoint, seed=config.seed)
    return PromptTuning(model, init.to(model.device).requires_grad_())


def make_model_tuning(checkpoint: Checkpoint) -> ModelTuning:
    """All weights of the checkpoint, to be trained from where they are."""
    model = checkpoint.model
    weights, t5_config = load_weights(
        checkpoint.source, device=model.device, revision=checkpoint.revision
    )
    return ModelTuning(weights, t5_config, model.dtype)


def first_prompt(
    init: InitConfig, length: int, task: Task, checkpoint: Checkpoint, *, seed: int
) -> Tensor:
    """The prompt before its first update, float32 [length, H].

    Raises:
        UserError: the strategy lacks what it needs, or the file holds another shape or model.
    """
    embedding = checkpoint.model.embedding
    generator = torch.Generator().manual_seed(seed)
    if init.strategy == "random_uniform":
        return initializers.random_uniform(
            length,
            checkpoint.model.hidden_size,
            bound=init.uniform_range,
            signed=init.uniform_signed,
            generator=generator,
        )
    if init.strategy == "from_file":
        assert init.path is not None, init
        return _prompt_from_file(Path(init.path), length, checkpoint)
    sampled = initializers.sampled_vocab(
        length, embedding, sample_size=init.vocab_sample_size, generator=generator
    )
    encode = checkpoint.encode_text
    if init.strategy == "class_label":
        words = init.words or task.init_words
        assert words, task.name
        return initializers.class_label(sampled, embedding, words=words, encode=encode)
    if init.strategy == "from_text":
        assert init.text is not None, init
        return initializers.from_text(sampled, embedding, text=init.text, encode=encode)
    assert init.strategy == "sampled_vocab", init.strategy
    return sampled


def wandb_settings(
    tracking: TrackingConfig, *, run_name: str, job_type: str, group: str, axes: list[str]
) -> WandbSettings | None:
    """Where a run appears in W&B; None if it does not.

    Args:
        tracking: the config's group.
        run_name: ends in the config's hash, which makes the id.
        job_type: train or evaluate.
        group: unless the config names one.
        axes: the run's place on every axis, as tags.
    """
    if tracking.name == "none":
        return None
    return WandbSettings(
        project=tracking.project,
        entity=tracking.entity,
        group=tracking.group or group,
        job_type=job_type,
        tags=(*axes, *tracking.tags),
        run_id=f"{job_type}-{run_name.rsplit('-', 1)[-1]}",
        name=run_name,
    )


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        name = "bfloat16" if device.type == "cuda" else "float32"
    return {"bfloat16": torch.bfloat16, "float32": torch.float32}[name]


def _untrained_folder(source: str, revision: str | None, cache: Path) -> Path:
    """The folder of a checkpoint like `source` that was never trained, made on first use."""
    digest = hashlib.sha256(f"{source} {revision}".encode()).hexdigest()[:16]
    write = partial(write_untrained_checkpoint, source=source, revision=revision)
    return made_once(cache / f"untrained-{digest}", write)


def _prompt_from_file(path: Path, length: int, checkpoint: Checkpoint) -> Tensor:
    prompt = load_prompt(path)
    hidden_size, fingerprint = checkpoint.model.hidden_size, checkpoint.fingerprint
    check_fits(prompt, path, hidden_size=hidden_size, fingerprint=fingerprint)
    if prompt.length != length:
        raise UserError(
            f"prompt.length={length}, but the prompt {path} has length {prompt.length}",
            fix=f"prompt.length={prompt.length}",
        )
    return torch.from_numpy(prompt.weight)
