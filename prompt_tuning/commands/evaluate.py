"""`ptune evaluate`: a saved prompt on any task and split."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from prompt_tuning.commands.hub_access import check_hub, hub_model
from prompt_tuning.config import EvaluateConfig, config_hash, typed
from prompt_tuning.config_checks import in_file, prompt_problems
from prompt_tuning.errors import raise_all
from prompt_tuning.files import file_facts
from prompt_tuning.made_from import changed_since
from prompt_tuning.prompt_files import PromptFile, load_prompt
from prompt_tuning.protocol import Record, do_once
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.task_data import check_data, check_rank, content_now, task_for_prompt, task_of
from prompt_tuning.tasks import Task
from prompt_tuning.terminal import scored_line


def check(cfg: DictConfig) -> EvaluateConfig:
    """The evaluation, or everything that is wrong with it."""
    config = typed(EvaluateConfig, cfg)
    config = replace(config, prompt=in_file(config.prompt))
    raise_all(prompt_problems(config.prompt, config))
    metadata = load_prompt(Path(config.prompt)).metadata
    task_config = task_for_prompt(config.task, metadata, config.data)
    config, task = replace(config, task=task_config), task_of(task_config)
    check_rank(task, config.evaluation)
    check_data(task, config.data, (config.split,))
    return config


def run(config: EvaluateConfig) -> None:
    """Evaluates, unless the same was done: then its record stands."""
    assert config.task is not None, "check gives it one"
    path, task = Path(config.prompt), task_of(config.task)
    prompt, sha256 = load_prompt(path), file_facts(path)["sha256"]
    load = partial(_load, task=task, prompt=prompt, sha256=sha256)
    changed, folder = partial(_changed, task=task), _folder_of(config, task, sha256)
    do_once(config, folder, load, changed, _describe, rerun=config.rerun)


def _folder_of(config: EvaluateConfig, task: Task, sha256: str) -> RunFolder:
    """Named after the prompt's content too: another one at the same path is another evaluation."""
    digest = hashlib.sha256(f"{config_hash(config)} {sha256}".encode()).hexdigest()[:8]
    return RunFolder(Path(config.output_dir) / f"evaluate-{task.name}-{config.split}-{digest}")


def _load(
    config: EvaluateConfig, task: Task, prompt: PromptFile, sha256: str
) -> Callable[[EvaluateConfig, RunFolder], None]:
    data = content_now(task, config.data, [config.split])
    check_hub(hub_model(config.model, config.variant), data)
    from prompt_tuning.use import evaluate

    return partial(evaluate, prompt=prompt, sha256=sha256)


def _changed(record: Record, config: EvaluateConfig, task: Task) -> str | None:
    data = content_now(task, config.data, [config.split])
    return changed_since(record, data, config.model.path)


def _describe(record: Record, folder: RunFolder) -> str:
    return f"{scored_line(record['result'])}  {folder.record_path}"
