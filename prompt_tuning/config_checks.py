"""What must hold between the keys of a configuration, and between them and the disk.

Every check yields its problems instead of raising, so that one attempt shows them all. Only small
files and headers are read.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from prompt_tuning.config import (
    FROZEN,
    ON_ONE_TASK,
    DataConfig,
    EnsembleConfig,
    EvaluateConfig,
    InspectConfig,
    ModelConfig,
    TrainConfig,
    VariantConfig,
    models_of_width,
    run_name,
    typed,
)
from prompt_tuning.errors import UserError, raise_all
from prompt_tuning.models.checkpoint_files import architecture_problem
from prompt_tuning.models.packaged import check_installed
from prompt_tuning.prompt_files import PromptFile, load_prompt, prompt_file
from prompt_tuning.tasks import SPLITS

Problems = Iterator[UserError]

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")  # owner/name
_NAME = re.compile(r"\w[\w.+-]*")
# What a method may not leave out if it is its own.
NEEDED = ("init", "prompt.length", "prompt.num_shots")
LONGEST_NAME = 255  # bytes of a file's or folder's name, on the usual file systems


def train_config(cfg: DictConfig) -> TrainConfig:
    """The run that `cfg` describes.

    Raises:
        UserError: everything that is wrong with it, found without loading a model or data.
    """
    config = typed(TrainConfig, cfg)
    if config.init.path is not None:
        config = replace(config, init=replace(config.init, path=in_file(config.init.path)))
    raise_all(_train_problems(config))
    return config


def in_file(prompt: str) -> str:
    """The prompt file that is meant by itself or by its folder; raises as `prompt_file`."""
    return str(prompt_file(Path(prompt)))


def experiment_problems(config: InspectConfig | EnsembleConfig) -> Problems:
    """What is given for prompt files, while the runs of an experiment have their own."""
    assert config.experiment is not None, config
    is_ensemble = isinstance(config, EnsembleConfig)
    given = {
        "task": config.task,
        "variant": config.variant,
        "model": config.model.source != "prompt" or config.model.path,
        "data.dir": config.data.dir,
        **{f"data.{split}_file": getattr(config.data, f"{split}_file") for split in SPLITS},
    }
    for key in filter(given.get, given):
        yield UserError(
            f"{key}= is for {'prompts=' if is_ensemble else 'prompt='}; "
            f"the runs of experiment={config.experiment.name} have their own",
            fix=f"narrow them down: 'train=[\"{key}=<name>\"]'",
        )


def prompt_problems(path: str, config: EvaluateConfig | InspectConfig | EnsembleConfig) -> Problems:
    """What is wrong with a prompt file, or with model, variant and data that it is put to."""
    model, variant = config.model, config.variant
    yield from _model_problems(model)
    yield from _data_problems(config.data)
    if variant is not None:
        yield from _variant_problems(model, variant)
    try:
        prompt = load_prompt(Path(path))
    except UserError as error:
        yield error
        return
    # A folder needs no variant where only its embeddings are looked at, or the prompt tells it.
    tells = isinstance(config, InspectConfig) or "variant" in prompt.metadata
    has_variant = variant is not None or (model.path is not None and tells)
    yield from untold_problems(path, prompt, model, has_variant=has_variant)
    yield from _width_problems("prompt", path, prompt, model)


def untold_problems(
    path: str, prompt: PromptFile, model: ModelConfig, *, has_variant: bool
) -> Problems:
    """What neither a prompt file nor the config tells of the model that the prompt belongs to."""
    is_as_trained = model.source == "prompt" and model.path is None
    if is_as_trained and "source" not in prompt.metadata:
        width = prompt.hidden_size
        fitting = ", ".join(models_of_width(width)) or "-"
        yield UserError(
            f"prompt={path} does not say which model it belongs to; its width is {width}",
            allowed=f"model=<name> variant=<name>, of this width: {fitting}; "
            "or model.path=<folder> variant=<name>",
            fix="choose the model that it was trained on",
        )
    elif not is_as_trained and not has_variant:
        problem = f"model={model.name} needs a variant for prompt={path}"
        yield UserError(problem, fix="add variant=<name>: ptune list what=variant")


def _train_problems(config: TrainConfig) -> Problems:
    model, evaluation, num_held_out = config.model, config.evaluation, config.data.num_held_out
    yield from _model_problems(model)
    yield from _data_problems(config.data)
    if model.source == "prompt" and model.path is None:
        problem = f"model={model.name} is for evaluating a prompt"
        yield UserError(problem, fix="choose a model to train on: ptune list what=model")
    yield from _variant_problems(model, config.variant)
    yield from _method_problems(config)
    yield from _init_problems(config)
    yield from _name_problems(config)
    if config.machine.spread_weights and config.method not in ON_ONE_TASK:
        problem = f"machine.spread_weights=true does not go with method={config.method}"
        yield UserError(problem, fix=f"method={' or '.join(ON_ONE_TASK)}")
    if config.machine.spread_weights and config.machine.compile is not None:
        problem = "machine.spread_weights=true with machine.compile has not been tried"
        yield UserError(problem, fix="machine.compile=null")
    optimizer = config.optimizer
    if optimizer.step_offset > optimizer.initial_step:
        yield UserError(
            f"optimizer.step_offset={optimizer.step_offset} is behind the clock's first step",
            allowed=f"at most optimizer.initial_step={optimizer.initial_step}",
            fix="lower it, or start the clock later",
        )
    if evaluation.report_split == evaluation.split:
        yield UserError(
            f"evaluation.report_split={evaluation.split} is the split that chooses the best "
            "step: its score is known already",
            fix="choose another split, or evaluation.report_split=null",
        )
    if evaluation.split == "held_out" and num_held_out is None:
        problem = "evaluation.split=held_out needs a part of the training set that is kept apart"
        yield UserError(problem, fix="add data.num_held_out=<rows>")
    if evaluation.split != "held_out" and num_held_out is not None:
        kept = f"data.num_held_out={num_held_out} keeps rows apart"
        fix = "add evaluation.split=held_out, or data.num_held_out=null"
        yield UserError(f"{kept}, and evaluation.split={evaluation.split}", fix=fix)


def _name_problems(config: TrainConfig) -> Problems:
    """What would make the run's folder another one than a folder of that name in output_dir."""
    for section in ("model", "variant", "task"):
        key, name = f"{section}.name", getattr(config, section).name
        if not _NAME.fullmatch(name):
            fix = f"leave it out: {key} is part of the run's name, not a place"
            yield UserError(f"{key}={name} is no name", allowed="letters, digits, _ . + -", fix=fix)
    if (num_bytes := len(run_name(config).encode())) > LONGEST_NAME:
        yield UserError(
            f"the run's name would have {num_bytes} bytes",
            allowed=f"at most {LONGEST_NAME}",
            fix="give the folder of model.path a shorter name",
        )


def _model_problems(model: ModelConfig) -> Problems:
    if model.path is None:
        try:
            for name in model.checkpoints.values() if model.source == "packaged" else ():
                check_installed(name)
        except UserError as error:
            yield error
        return
    folder = Path(model.path)
    fix = "give a folder in the hub's layout: config.json, model.safetensors, spiece.model"
    if not folder.is_dir():
        # A hub id is found or not when it is loaded.
        if not HUB_ID.fullmatch(model.path) or folder.parent.exists():
            yield UserError(f"model.path={folder} is not a folder", fix=f"{fix}; or a hub id")
        return
    if not (folder / "config.json").is_file():
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        yield UserError(f"model.path={folder} has no config.json (found: {found})", fix=fix)
        return
    try:
        problem = architecture_problem(f"model.path={folder}", _hub_config(folder))
    except (OSError, ValueError, RecursionError) as error:
        problem = UserError(f"{folder / 'config.json'} is unreadable: {error}", fix=fix)
    if problem is not None:
        yield problem


def _hidden_size(model: ModelConfig) -> int | None:
    """H of the model as far as the config or its folder's config.json says it."""
    if model.path is None:
        return model.hidden_size
    try:
        return int(_hub_config(Path(model.path))["d_model"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None  # _model_problems says why


def _hub_config(folder: Path) -> dict[str, Any]:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if not isinstance(config, dict):
        raise ValueError("not a JSON object")
    return config


def _variant_problems(model: ModelConfig, variant: VariantConfig) -> Problems:
    steps = variant.lm_adapt_steps
    is_any = variant.random_weights  # any checkpoint has the model's shape
    if model.path or model.source == "prompt" or steps in model.checkpoints or is_any:
        return
    if [*model.checkpoints] == [model.lm_adapt_steps]:
        problem = f"model={model.name} is there with LM adaptation only, not variant={variant.name}"
        yield UserError(problem, fix="add variant=lm_adapted")
        return
    released = ": only 0 and 100,000 steps were released" if model.source == "hub" else ""
    yield UserError(
        f"model={model.name} has no checkpoint of variant.lm_adapt_steps={steps}{released}",
        allowed=", ".join(map(str, model.checkpoints)),
        fix="give a checkpoint of your own with model.path=<folder>",
    )


def _method_problems(config: TrainConfig) -> Problems:
    """Settings that the method lacks, and such of other methods: ignored, they would mislead."""
    prompt, evaluation, loop = config.prompt, config.evaluation, config.training
    settings: dict[str, tuple[Any, Sequence[str]]] = {  # of which methods each is
        "init": (config.init.strategy, ["prompt_tuning"]),
        "prompt.length": (prompt.length, ["prompt_tuning"]),
        "prompt.num_shots": (prompt.num_shots, ["prompt_design"]),
        "evaluation.transfer_tasks": (evaluation.transfer_tasks, ON_ONE_TASK),
        "training.patience": (loop.patience, ON_ONE_TASK),
        "prompt.template": (prompt.template, ["prompt_design"]),
        "machine.compile": (config.machine.compile, FROZEN),
    }
    for key, (value, methods) in settings.items():
        if config.method in methods and value is None and key in NEEDED:
            fix = f"add {key}=<value>, or leave {key} out"
            yield UserError(f"method={config.method} needs {key}", fix=fix)
        elif config.method not in methods and value is not None:
            yield UserError(f"{key}={value} is not for method={config.method}", fix="leave it out")


def _init_problems(config: TrainConfig) -> Problems:
    init, length = config.init, config.prompt.length
    if init.strategy == "from_text" and not (init.text and init.text.strip()):
        yield UserError("init=from_text needs a text", fix="add 'init.text=\"...\"'")
    if init.strategy != "from_file":
        return
    if init.path is None:
        yield UserError("init=from_file needs a file", fix="add init.path=<prompt file>")
        return
    try:
        prompt = load_prompt(Path(init.path))
    except UserError as error:
        yield error
        return
    if prompt.length != length:
        problem = f"prompt.length={length}, but init.path={init.path} has {prompt.length} positions"
        yield UserError(problem, fix=f"set prompt.length={prompt.length}")
    yield from _width_problems("init.path", init.path, prompt, config.model)


def _width_problems(key: str, path: str, prompt: PromptFile, model: ModelConfig) -> Problems:
    width = _hidden_size(model)
    if width is not None and prompt.hidden_size != width:
        trained_on = prompt.metadata.get("source", "an unknown model")
        yield UserError(
            f"{key}={path} is {prompt.hidden_size} wide and the model's hidden size is {width}; "
            f"it was trained on {trained_on}",
            fix="choose the model that the prompt was trained on",
        )


def _data_problems(data: DataConfig) -> Problems:
    if data.dir is not None and not Path(data.dir).is_dir():
        fix = "give the folder that holds the tasks' folders (BoolQ, CB, ..., GLUE, SQuAD)"
        yield UserError(f"data.dir={data.dir} is not a folder", fix=fix)
