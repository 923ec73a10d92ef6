"""From the config's task and data to a `Task` or `Mixture`.

Also what of its data is there, and what a run would be made from now.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from prompt_tuning.config import DataConfig, DecodingConfig, TaskConfig, TrainConfig
from prompt_tuning.data.sources import DataSpec, check_available, content_of
from prompt_tuning.errors import UserError, did_you_mean
from prompt_tuning.files import file_facts
from prompt_tuning.own_data import from_metadata, own_task_of, with_labels
from prompt_tuning.task_registry import MIXTURES, TASKS
from prompt_tuning.tasks import Mixture, Task, can_transfer, in_other_words
from prompt_tuning.tasks.flan import INSTRUCTIONS, as_instruction

MULTITASK = "multitask_model_tuning"


def task_of(config: TaskConfig) -> Task:
    """The task that the config names, or defines: then with its labels (`with_labels`)."""
    if config.is_own:
        return own_task_of(config)
    if config.name in MIXTURES:
        parts = ", ".join(task.name for task in MIXTURES[config.name].scored)
        raise UserError(
            f"task={config.name} is a mixture of tasks, which only method={MULTITASK} trains on",
            fix=f"choose one of its tasks ({parts}), or ptune train method={MULTITASK}",
        )
    return _task_named(config.name, "task.name")


def _task_named(name: str, key: str) -> Task:
    if name not in TASKS:
        fix = did_you_mean(name, TASKS) or "ptune list what=task"
        problem = f"{key}={name}: there is no such task"
        raise UserError(problem, allowed=", ".join(TASKS), fix=fix)
    return TASKS[name]


def task_of_prompt(metadata: Mapping[str, Any]) -> TaskConfig | None:
    """The task that a prompt was trained on, as far as its metadata tell.

    Raises:
        UserError: they define a task of a user's own, and wrongly.
    """
    if "own_task" in metadata:
        return from_metadata(metadata["own_task"])
    name = str(metadata.get("task"))
    return TaskConfig(name, TASKS[name].report_split) if name in TASKS else None


def taught_by(metadata: Mapping[str, Any], task: Task) -> Task | None:
    """The task in whose words a prompt answers `task`; None: in its own, as far as is known."""
    trained = task_of_prompt(metadata)
    return in_other_words(task_of(trained), task) if trained else None


def task_for_prompt(
    config: TaskConfig | None, metadata: Mapping[str, Any], data: DataConfig
) -> TaskConfig:
    """The task that a prompt is put to: as given, as trained; with the labels of its training.

    Raises:
        UserError: none is given, and the prompt does not say which it was trained on.
    """
    trained = task_of_prompt(metadata)
    if config is None:
        if trained is None:
            problem = "the prompt does not say which task it was trained on"
            raise UserError(problem, fix="add task=<name>: ptune list what=task")
        return trained
    if trained and trained.labels and (trained.name, trained.label) == (config.name, config.label):
        return config if config.labels else replace(config, labels=trained.labels)
    return with_labels(config, data_spec(data))


def transfer_targets(config: TrainConfig) -> list[Task]:
    """The tasks that a run answers at the end without training on them; never its own.

    Raises:
        UserError: there is no such task, or its answers are others than those of the run's task.
    """
    if not config.evaluation.transfer_tasks:  # of a mixture there are none
        return []
    source, key = task_of(config.task), "evaluation.transfer_tasks"
    names = [name for name in config.evaluation.transfer_tasks if name != source.name]
    targets = [_task_named(name, key) for name in names]
    for target in targets:
        if not can_transfer(source, target):
            says, asks = (", ".join(task.verbalizers) or "free text" for task in (source, target))
            raise UserError(
                f"{key}={target.name} is answered with {asks}, and {source.name} teaches {says}",
                fix=f"leave {target.name} out",
            )
    return targets


def mixture_of(config: TaskConfig) -> Mixture:
    """The mixture that the config names."""
    if config.name not in MIXTURES:
        raise UserError(
            f"task={config.name} is no mixture of tasks, and method={MULTITASK} trains on one",
            allowed=", ".join(MIXTURES),
            fix=f"choose task={next(iter(MIXTURES))}, or method=model_tuning for a single task",
        )
    return MIXTURES[config.name]


def check_data(task: Task, data: DataConfig, splits: Sequence[str]) -> None:
    """Raises a UserError if files of the task's splits are known to be missing."""
    check_available(task, splits, data_spec(data))


def task_of_run(config: TrainConfig) -> Task:
    """The task that a run on one task answers.

    It is in FLAN's words where the config of a prompt design asks for them.

    Raises:
        UserError: FLAN's text for the task names no fixed answers.
    """
    task = task_of(config.task)
    if config.prompt.template is None:
        return task
    if task.name not in INSTRUCTIONS:
        raise UserError(
            f"prompt.template={config.prompt.template} has no text for task={task.name}",
            allowed=f"task={', '.join(INSTRUCTIONS)}",
            fix="leave prompt.template out",
        )
    return as_instruction(task)


def is_at_hand(task: Task, data: DataConfig) -> bool:
    """Whether the task's rows can be read without fetching anything."""
    return task.is_embedded or data.dir is not None or data.train_file is not None


def content_now(task: Task, data: DataConfig, splits: Iterable[str | None]) -> dict[str, Any]:
    """What there is to read of each split now, by content, as a record's data has it.

    One that is not there any more is left out: a record that was made from it may stand.
    """
    found = {}
    for split in splits:
        with suppress(UserError):
            if split is not None:
                found[split] = content_of(task, split, data_spec(data))
    return found


def check_rank(task: Task, evaluation: DecodingConfig) -> None:
    """Raises a UserError if class labels are to be ranked of a task that has none."""
    if evaluation.rank and not task.verbalizers:
        raise UserError(
            f"evaluation.rank={evaluation.rank}, and task={task.name} is answered with free text",
            fix="leave it out",
        )


def official_names(data: DataConfig) -> DataConfig:
    """The same places, with the files of every task under their official names."""
    return replace(data, train_file=None, validation_file=None, test_file=None)


def data_spec(data: DataConfig) -> DataSpec:
    """Where `data/sources.py` looks for examples, as the config says."""
    return DataSpec(
        source=data.source,
        dir=Path(data.dir) if data.dir is not None else None,
        train_file=data.train_file,
        validation_file=data.validation_file,
        test_file=data.test_file,
        num_held_out=data.num_held_out,
    )


def data_now(config: TrainConfig) -> dict[str, Any]:
    """What a training run would be made from now, as its record has it."""
    names, data = config.evaluation, config.data
    splits = ["train", names.split, names.report_split]
    if config.method == MULTITASK:
        mixture = mixture_of(config.task)
        scored = {task.name: content_now(task, data, splits) for task in mixture.scored}
        unscored = {task.name: content_now(task, data, ["train"]) for task in mixture.unscored}
        return {"tasks": scored | unscored}
    found = content_now(task_of_run(config), data, splits)
    if config.init.path is not None:
        found["init"] = file_facts(Path(config.init.path))
    data, splits = official_names(data), [names.report_split or names.split]
    others: dict[str, Any] = {}
    for task in transfer_targets(config):
        for content in content_now(task, data, splits).values():
            others[task.name] = content
    return found | ({"transfer": others} if others else {})
