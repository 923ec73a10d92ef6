"""`ptune inspect`: what trained prompts look like among the vocabulary."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from prompt_tuning.commands.train import trained_runs
from prompt_tuning.composition import planned_runs
from prompt_tuning.config import InspectConfig, config_hash, quoted, typed
from prompt_tuning.config_checks import experiment_problems, in_file, prompt_problems
from prompt_tuning.errors import UserError, raise_all
from prompt_tuning.files import file_facts
from prompt_tuning.inspection.inspection_text import closing_line
from prompt_tuning.made_from import changed_since
from prompt_tuning.prompt_files import PromptFile, load_prompt
from prompt_tuning.protocol import Record, do_once
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.task_data import content_now, is_at_hand, task_of, task_of_prompt
from prompt_tuning.tasks import Task

NAMED_BY = ("top_k", "control_tokens", "num_random_draws", "seed")  # in an inspection's name


def check(cfg: DictConfig) -> InspectConfig:
    """What to look at, or why not; loads no model."""
    config = typed(InspectConfig, cfg)
    if (config.prompt is None) == (config.experiment is None):
        raise UserError(
            "prompt= names one prompt and experiment= those of a sweep; one of them is needed",
            fix="give one of prompt=<file> and experiment=<name>",
        )
    if config.experiment is None:
        config = replace(config, prompt=in_file(str(config.prompt)))
        problems = [*prompt_problems(str(config.prompt), config)]
        if config.train:
            problems.append(UserError("train= belongs to experiment=", fix="leave it out"))
        raise_all(problems)
        if config.task is not None:
            task_of(config.task)
        return config
    raise_all(experiment_problems(config))
    name = config.experiment.name
    without = [run for run in planned_runs(name, config.train) if run.prompt.length is None]
    if without:
        raise UserError(
            f"experiment={name} has {len(without)} runs without a soft prompt "
            f"(method={without[0].method})",
            fix="choose an experiment of prompt tuning: ptune list what=experiment",
        )
    return config


def run(config: InspectConfig) -> None:
    """Looks at one prompt, or at every prompt of an experiment; trains those that are missing."""
    if config.experiment is None:
        _look_at_one(config)
        return
    machine = [f"output_dir={quoted(config.output_dir)}", f"tracking={config.tracking.name}"]
    common = replace(config, experiment=None, train=[])
    for run_config, folder in trained_runs(config.experiment.name, [*machine, *config.train]):
        of_run = {key: getattr(run_config, key) for key in ("model", "variant", "task", "data")}
        _look_at_one(replace(common, prompt=str(folder.prompt_path), **of_run))


def _look_at_one(config: InspectConfig) -> None:
    """Looks at a prompt, unless the same was done: then its record stands."""
    assert config.prompt is not None, config
    path = Path(config.prompt)
    prompt, sha256 = load_prompt(path), file_facts(path)["sha256"]
    task_config = config.task or task_of_prompt(prompt.metadata)
    task = task_of(task_config) if task_config else None
    folder = RunFolder(Path(config.output_dir) / _name(config, path, prompt, sha256, task))
    load = partial(_load, task=task, prompt=prompt, sha256=sha256)
    do_once(config, folder, load, partial(_changed, task=task), _describe, rerun=config.rerun)


def _load(
    config: InspectConfig, task: Task | None, prompt: PromptFile, sha256: str
) -> Callable[[InspectConfig, RunFolder], None]:
    from prompt_tuning.inspection.inspect_prompt import inspect

    return partial(inspect, task=task, prompt=prompt, sha256=sha256)


def _changed(record: Record, config: InspectConfig, task: Task | None) -> str | None:
    texts = ["train"] if task and is_at_hand(task, config.data) else []
    data = content_now(task, config.data, texts) if task else {}
    if data and not record["data"]:
        return "its task's texts were not there"
    return changed_since(record, data, config.model.path)


def _describe(record: Record, folder: RunFolder) -> str:
    return f"{closing_line(record['result'])}  {folder.record_path}"


def _name(
    config: InspectConfig, path: Path, prompt: PromptFile, sha256: str, task: Task | None
) -> str:
    """Named after what fixes the result: not where the file lies, nor how its model was named.

    A prompt that names its weights can be looked at on no others.
    """
    values = asdict(config)
    identity: dict[str, Any] = {"prompt": sha256, "task": task.name if task else None}
    identity |= {key: values[key] for key in NAMED_BY}
    if "fingerprint" not in prompt.metadata:
        identity |= {key: values[key] for key in ("model", "variant")}
    if task is None or not task.is_embedded:
        identity["data"] = config_hash(config.data)  # not where it lies: the record has its hashes
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    trained_by = path.resolve().parent.name.rpartition("-")[0]
    return f"inspect-{(path.stem == 'prompt' and trained_by) or path.stem}-{digest}"
