"""What must hold between the keys of a configuration, and between them and the disk.

Every check returns its problems instead of raising, so that one attempt shows them all. Only small
files and headers are read.
"""

import json
import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from prompt_tuning.config import (
    FROZEN,
    DataConfig,
    EnsembleConfig,
    EvaluateConfig,
    InspectConfig,
    ModelConfig,
    TrainConfig,
    VariantConfig,
    hidden_sizes,
    typed,
)
from prompt_tuning.errors import UserError, raise_all
from prompt_tuning.models.packaged import check_installed
from prompt_tuning.prompt_files import PromptFile, load_prompt

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")  # owner/name


def train_config(cfg: DictConfig) -> TrainConfig:
    """The run that `cfg` describes.

    Raises:
        UserError: everything that is wrong with it, found without loading a model or data.
    """
    config = typed(TrainConfig, cfg)
    model, evaluation = config.model, config.evaluation
    problems = [*_model_problems(model), *_data_problems(config.data)]
    if model.source == "prompt" and model.path is None:
        problem = f"model={model.name} is for evaluating a prompt"
        problems += [UserError(problem, fix="choose a model to train on: ptune list what=model")]
    problems += _variant_problems(model, config.variant)
    problems += [*_method_problems(config), *_init_problems(config)]
    if evaluation.report_split == evaluation.split:
        problems += [
            UserError(
                f"evaluation.report_split={evaluation.split} is the split that chooses the best "
                "step: its score is known already",
                fix="choose another split, or evaluation.report_split=null",
            )
        ]
    raise_all([*problems, *_held_out_problems(config)])
    return config


def evaluate_config(cfg: DictConfig) -> EvaluateConfig:
    """The evaluation that `cfg` describes; raises as `train_config`."""
    config = typed(EvaluateConfig, cfg)
    raise_all(prompt_problems(config.prompt, config))
    return config


def inspect_config(cfg: DictConfig) -> InspectConfig:
    """The inspection that `cfg` describes; raises as `train_config`."""
    config = typed(InspectConfig, cfg)
    if (config.prompt is None) == (config.experiment is None):
        raise UserError(
            "prompt= names one prompt and experiment= those of a sweep; one of them is needed",
            fix="add prompt=<file>, or experiment=<name>",
        )
    if config.prompt is None:
        raise_all(experiment_problems(config))
        return config
    problems = prompt_problems(config.prompt, config)
    if config.train:
        problems += [UserError("train= belongs to experiment=", fix="leave it out")]
    raise_all(problems)
    return config


def experiment_problems(config: InspectConfig | EnsembleConfig) -> list[UserError]:
    """What is given for prompt files, while the runs of an experiment have their own."""
    assert config.experiment is not None, config
    is_ensemble = isinstance(config, EnsembleConfig)
    given = {
        "task": config.task,
        "variant": config.variant,
        "model": config.model.source != "prompt" or config.model.path,
        "data.dir": is_ensemble and config.data.dir,
    }
    return [
        UserError(
            f"{key}= is for {'prompts=' if is_ensemble else 'prompt='}; "
            f"the runs of experiment={config.experiment.name} have their own",
            fix=f"narrow them down: 'train=[\"{key}=<name>\"]'",
        )
        for key, value in given.items()
        if value
    ]


def prompt_problems(
    path: str, config: EvaluateConfig | InspectConfig | EnsembleConfig
) -> list[UserError]:
    """What is wrong with a prompt file, or with model, variant and data that it is put to."""
    model, variant = config.model, config.variant
    problems = [*_model_problems(model), *_data_problems(config.data)]
    if variant is not None:
        problems += _variant_problems(model, variant)
    prompt, unreadable = _read_prompt(path)
    if prompt is None:
        return [*problems, *unreadable]
    is_as_trained = model.source == "prompt" and model.path is None
    # A folder needs no variant where only its embeddings are looked at, or the prompt tells it.
    is_told = bool(model.path and (prompt.metadata or isinstance(config, InspectConfig)))
    if is_as_trained and "source" not in prompt.metadata:
        fitting = [name for name, width in hidden_sizes().items() if width == prompt.hidden_size]
        problems += [
            UserError(
                f"prompt={path} does not say which model it belongs to; its width is "
                f"{prompt.hidden_size}",
                allowed=f"model=<name> variant=<name>, of this width: {', '.join(fitting) or '-'}; "
                "or model.path=<folder> variant=<name>",
                fix="choose the model that it was trained on",
            )
        ]
    elif variant is None and not is_as_trained and not is_told:
        problem = f"model={model.name} needs a variant for prompt={path}"
        problems += [UserError(problem, fix="add variant=<name>: ptune list what=variant")]
    return [*problems, *_width_problems("prompt", path, prompt, model)]


def _held_out_problems(config: TrainConfig) -> list[UserError]:
    """A part of the training set that is kept apart has to choose the step, and the other way."""
    split, num_held_out = config.evaluation.split, config.data.num_held_out
    if split == "held_out" and num_held_out is None:
        problem = "evaluation.split=held_out needs a part of the training set that is kept apart"
        return [UserError(problem, fix="add data.num_held_out=<rows>")]
    if num_held_out is not None and split != "held_out":
        problem = f"data.num_held_out={num_held_out} keeps rows apart, and evaluation.split={split}"
        return [UserError(problem, fix="add evaluation.split=held_out, or data.num_held_out=null")]
    return []


def _hidden_size(model: ModelConfig) -> int | None:
    """H of the model as far as the config or its folder's config.json says it."""
    if model.path is None:
        return model.hidden_size
    try:
        return int(_hub_config(Path(model.path))["d_model"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # _model_problems says why


def _model_problems(model: ModelConfig) -> list[UserError]:
    if model.path is None:
        return _package_problems(model)
    folder = Path(model.path)
    fix = "give a folder in the hub's layout: config.json, model.safetensors, spiece.model"
    if not folder.is_dir():
        if _HUB_ID.fullmatch(model.path) and not folder.parent.exists():
            return []  # found or not when it is loaded
        return [UserError(f"model.path={folder} is not a folder", fix=f"{fix}; or a hub id")]
    if not (folder / "config.json").is_file():
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        return [UserError(f"model.path={folder} has no config.json (found: {found})", fix=fix)]
    try:
        model_type = _hub_config(folder).get("model_type")
    except (OSError, ValueError) as error:
        return [UserError(f"{folder / 'config.json'} is unreadable: {error}", fix=fix)]
    if model_type != "t5":
        return [UserError(f"model.path={folder} holds a {model_type}", allowed="t5", fix=fix)]
    return []


def _package_problems(model: ModelConfig) -> list[UserError]:
    if model.source != "packaged":
        return []
    try:
        for name in model.checkpoints.values():
            check_installed(name)
    except UserError as error:
        return [error]
    return []


def _hub_config(folder: Path) -> dict[str, Any]:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if not isinstance(config, dict):
        raise ValueError("not a JSON object")
    return config


def _variant_problems(model: ModelConfig, variant: VariantConfig) -> list[UserError]:
    steps = variant.lm_adapt_steps
    if model.path is not None or model.source == "prompt" or steps in model.checkpoints:
        return []
    if variant.random_weights:
        return []  # any checkpoint has the model's shape
    if [*model.checkpoints] == [model.lm_adapt_steps]:
        problem = f"model={model.name} is there with LM adaptation only, not variant={variant.name}"
        return [UserError(problem, fix="add variant=lm_adapted")]
    released = ": only 0 and 100,000 steps were released" if model.source == "hub" else ""
    return [
        UserError(
            f"model={model.name} has no checkpoint of variant.lm_adapt_steps={steps}{released}",
            allowed=", ".join(map(str, model.checkpoints)),
            fix="give a checkpoint of your own with model.path=<folder>",
        )
    ]


def _method_problems(config: TrainConfig) -> list[UserError]:
    """Settings that the method lacks, and such of other methods: ignored, they would mislead."""
    method, prompt = config.method, config.prompt
    needed_by: dict[str, tuple[Any, str]] = {
        "init": (config.init.strategy, "prompt_tuning"),
        "prompt.length": (prompt.length, "prompt_tuning"),
        "prompt.num_shots": (prompt.num_shots, "prompt_design"),
    }
    missing = [
        UserError(f"method={method} needs {key}", fix=f"add {key}=<value>, or leave {key} out")
        for key, (value, its_method) in needed_by.items()
        if value is None and method == its_method
    ]
    refused = {key: value for key, (value, its_method) in needed_by.items() if method != its_method}
    if method not in ("prompt_tuning", "model_tuning"):
        refused["evaluation.transfer_tasks"] = config.evaluation.transfer_tasks
    if method != "prompt_design":
        refused["prompt.template"] = prompt.template
    if method not in FROZEN:
        refused["machine.compile"] = config.machine.compile
    return missing + [
        UserError(f"{key}={value} is not for method={method}", fix="leave it out")
        for key, value in refused.items()
        if value is not None
    ]


def _init_problems(config: TrainConfig) -> list[UserError]:
    init, length = config.init, config.prompt.length
    if init.strategy == "from_text" and not (init.text and init.text.strip()):
        return [UserError("init=from_text needs a text", fix="add 'init.text=\"...\"'")]
    if init.strategy != "from_file":
        return []
    if init.path is None:
        return [UserError("init=from_file needs a file", fix="add init.path=<prompt file>")]
    prompt, problems = _read_prompt(init.path)
    if prompt is None:
        return problems
    if prompt.length != length:
        problem = f"prompt.length={length}, but init.path={init.path} has {prompt.length} positions"
        problems += [UserError(problem, fix=f"set prompt.length={prompt.length}")]
    return [*problems, *_width_problems("init.path", init.path, prompt, config.model)]


def _read_prompt(path: str) -> tuple[PromptFile | None, list[UserError]]:
    try:
        return load_prompt(Path(path)), []
    except UserError as error:
        return None, [error]


def _width_problems(key: str, path: str, prompt: PromptFile, model: ModelConfig) -> list[UserError]:
    width = _hidden_size(model)
    if width is None or prompt.hidden_size == width:
        return []
    trained_on = prompt.metadata.get("source", "an unknown model")
    return [
        UserError(
            f"{key}={path} is {prompt.hidden_size} wide and the model's hidden size is {width}; "
            f"it was trained on {trained_on}",
            fix="choose the model that the prompt was trained on",
        )
    ]


def _data_problems(data: DataConfig) -> list[UserError]:
    if data.dir is None:
        needs = ["source=local"] if data.source == "local" else []
        files = ("train_file", "validation_file", "test_file")
        needs += [f"{key}={getattr(data, key)}" for key in files if getattr(data, key)]
        return [
            UserError(f"data.{setting} needs a folder", fix="add data.dir=<folder>")
            for setting in needs
        ]
    if Path(data.dir).is_dir():
        return []
    fix = "give the folder that holds the tasks' folders (BoolQ, CB, ..., GLUE, SQuAD)"
    return [UserError(f"data.dir={data.dir} is not a folder", fix=fix)]
