"""From the config's model, variant and machine to a checkpoint that is loaded."""

import hashlib
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from prompt_tuning.config import FrozenMachineConfig, MachineConfig, ModelConfig, VariantConfig
from prompt_tuning.devices import resolved_device, resolved_dtype
from prompt_tuning.errors import UserError
from prompt_tuning.files import made_once, sha256_of
from prompt_tuning.ladder.shipped_models import EMBEDDED
from prompt_tuning.made_from import UNTRAINED_PREFIX
from prompt_tuning.models.checkpoint_files import check_folder
from prompt_tuning.models.loading import (
    DESCRIPTION_FILES,
    Checkpoint,
    load_checkpoint,
    write_untrained_checkpoint,
)
from prompt_tuning.models.packaged import PACKAGED
from prompt_tuning.prompt_files import PromptFile, check_fits

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

_PREFIXES = {"hub": "", "embedded": EMBEDDED, "packaged": PACKAGED}


def load_model(
    model: ModelConfig,
    variant: VariantConfig,
    machine: FrozenMachineConfig,
    cache: Path,
    group: "ProcessGroup | None" = None,
) -> Checkpoint:
    """Loads the model that the config names, on the machine that it names.

    Args:
        model: a folder or hub id (`path`), one of the hub's, an embedded or a packaged one.
        variant: picks one of the model's checkpoints by its steps of LM adaptation.
        machine: device, dtype, threads and compilation.
        cache: where a checkpoint that is made on demand (random_weights) is kept.
        group: its processes share the weights, and each loads them; None: all are here.
    """
    return load_source(*source_of(model, variant, cache), machine, group)


def load_model_of(
    prompts: dict[Path, PromptFile],
    model: ModelConfig,
    variant: VariantConfig | None,
    machine: FrozenMachineConfig,
    cache: Path,
) -> Checkpoint:
    """The one model that prompts are put in front of.

    Args:
        prompts: by their files, of one model.
        model: as `load_model`; where it names none, the prompts' own is loaded.
        variant: as `load_model`; None: the one that the first prompt was trained on.
        machine, cache: as `load_model`.

    Raises:
        UserError: a prompt was trained on another model.
    """
    first = next(iter(prompts.values()))
    if model.source == "prompt" and model.path is None:
        checkpoint = load_source(first.metadata["source"], first.metadata["revision"], machine)
    else:
        checkpoint = load_model(model, variant_of(variant, first), machine, cache)
    width = checkpoint.model.hidden_size
    for path, prompt in prompts.items():
        check_fits(prompt, path, hidden_size=width, fingerprints=checkpoint.fingerprints)
    return checkpoint


def source_of(
    model: ModelConfig, variant: VariantConfig | None, cache: Path
) -> tuple[str, str | None]:
    """Hub id or folder of the model that the config names, and its revision.

    The arguments are those of `load_model`; a model with a `path` needs no variant.
    """
    if model.path is not None:
        source = model.path
    else:
        assert variant is not None, model
        source = _PREFIXES[model.source] + model.checkpoint_of(variant)
    if variant is not None and variant.random_weights:
        return str(_untrained_folder(source, model.revision, cache)), None
    return source, model.revision


def load_source(
    source: str,
    revision: str | None,
    machine: FrozenMachineConfig,
    group: "ProcessGroup | None" = None,
) -> Checkpoint:
    """Loads a hub id or a folder on the machine that the config names; `group` as `load_model`."""
    device, dtype = machine_of(machine)
    checkpoint = load_checkpoint(source, revision=revision, dtype=dtype, device=device, group=group)
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


def machine_of(machine: MachineConfig) -> tuple[torch.device, torch.dtype]:
    """Device and dtype of a model; also sets the number of threads."""
    if machine.num_threads is not None:
        torch.set_num_threads(machine.num_threads)
    dtype = resolved_dtype(machine.dtype, machine.device)
    return torch.device(resolved_device(machine.device)), getattr(torch, dtype)


def _untrained_folder(source: str, revision: str | None, cache: Path) -> Path:
    """The folder of a checkpoint like `source` that was never trained, made on first use.

    One that is damaged is made again, and a line says so.

    A folder at `source` is told by what is copied of it: there may be another one later.
    """
    files = [path for name in DESCRIPTION_FILES if (path := Path(source) / name).is_file()]
    copied = [f"{path.name} {sha256_of(path)}" for path in files]
    digest = hashlib.sha256(f"{copied or source} {revision}".encode()).hexdigest()[:16]
    write = partial(write_untrained_checkpoint, source=source, revision=revision)
    folder = cache / f"{UNTRAINED_PREFIX}{digest}"
    if folder.exists():
        try:
            check_folder(str(folder))
        except UserError as damage:
            print(f"{damage.problem}: {folder} is made again", file=sys.stderr)
            shutil.rmtree(folder)
    return made_once(folder, write)
