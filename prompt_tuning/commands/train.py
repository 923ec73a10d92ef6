"""`ptune train`: trains a prompt or a model, or asks a model that is not trained at all."""

from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import DictConfig

from prompt_tuning.commands.hub_access import check_hub, hub_model
from prompt_tuning.composition import planned_runs
from prompt_tuning.config import ON_ONE_TASK, TrainConfig, run_name
from prompt_tuning.config_checks import train_config
from prompt_tuning.errors import UserError
from prompt_tuning.made_from import changed_since
from prompt_tuning.own_data import with_own_data
from prompt_tuning.prompt_files import load_prompt
from prompt_tuning.protocol import Record, do_once
from prompt_tuning.ranks import here, refuse_several
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.task_data import (
    MULTITASK,
    check_data,
    check_rank,
    data_now,
    data_spec,
    mixture_of,
    official_names,
    task_of_run,
    transfer_targets,
)
from prompt_tuning.tasks import Task


def check(cfg: DictConfig) -> TrainConfig:
    """The run, or everything that is wrong with it; of data it reads a user's own task's only."""
    config = train_config(cfg)
    if config.method not in ON_ONE_TASK:
        refuse_several(f"method={config.method}")
    _check_processes(config)
    config = with_own_data(config, data_spec(config.data))
    scored = ("train", config.evaluation.split, config.evaluation.report_split)
    splits = [split for split in scored if split]
    if config.method == MULTITASK:
        _check_mixture(config, splits)
        return config
    task = task_of_run(config)
    check_rank(task, config.evaluation)
    check_data(task, config.data, splits)
    _check_words(config, task)
    for target in transfer_targets(config):
        check_data(target, official_names(config.data), splits[-1:])
    return config


def _check_processes(config: TrainConfig) -> None:
    """What is for one process, or for several."""
    if here().size == 1 and config.machine.spread_weights:
        raise UserError(
            "machine.spread_weights=true is for several processes, and this is one",
            fix="torchrun --nproc-per-node=<GPUs> -m prompt_tuning train ...",
        )
    if here().size > 1 and ":" in config.machine.device:
        raise UserError(
            f"machine.device={config.machine.device} is one GPU for {here().size} processes",
            fix="machine.device=cuda: each takes the GPU of its number",
        )


def run(config: TrainConfig, *, quiet: bool = False) -> None:
    """Trains, unless the same run is done: then its record stands, and torch is not imported.

    `quiet` does not tell of a record that stands.
    """
    do_once(config, folder_of(config), _load, _changed, _describe, rerun=config.rerun, quiet=quiet)


def folder_of(config: TrainConfig) -> RunFolder:
    """Where the run leaves its files."""
    return RunFolder(Path(config.output_dir) / run_name(config))


def _load(config: TrainConfig) -> Callable[[TrainConfig, RunFolder], None]:
    check_hub(hub_model(config.model, config.variant), data_now(config))
    if config.method == MULTITASK:
        from prompt_tuning.training import multitask

        return multitask.train
    if config.method == "prompt_design":
        from prompt_tuning.training import prompt_design

        return prompt_design.train
    from prompt_tuning.training import tuning

    return tuning.train


def _changed(record: Record, config: TrainConfig) -> str | None:
    folder, problem = folder_of(config), None
    if not folder.name.endswith(record["config_hash"]):
        problem = "its record is of another run"
    elif config.method == "prompt_tuning":
        problem = _prompt_problem(folder)
    return problem or changed_since(record, data_now(config), config.model.path)


def _describe(record: Record, folder: RunFolder) -> str:
    result, report = record["result"], record["result"]["report"]
    reported = f" ({report['score']:.2f} on {report['split']})" if report else ""
    return f"score {result['score']:.2f}{reported}  {folder.record_path}"


def _prompt_problem(folder: RunFolder) -> str | None:
    """Why a finished run's prompt is not what the run has left there; None: it is."""
    try:
        prompt = load_prompt(folder.prompt_path)
    except UserError:
        return "its prompt is gone or damaged"
    is_own = folder.name.endswith(prompt.metadata.get("config_hash", ""))
    return None if is_own else "its prompt is of another run"


def trained_runs(experiment: str, overrides: Sequence[str]) -> list[tuple[TrainConfig, RunFolder]]:
    """The runs of an experiment, all finished and made from what is there now.

    Those that are not are trained, one by one.

    Raises:
        UserError: as `planned_runs`, or a run cannot be trained.
        InProgress: another process has claimed one of them.
    """
    runs = [(config, folder_of(config)) for config in planned_runs(experiment, overrides)]
    for config, _ in runs:
        run(config, quiet=True)
    return runs


def _check_mixture(config: TrainConfig, splits: list[str]) -> None:
    mixture, data = mixture_of(config.task), config.data
    for key in ("train_file", "validation_file", "test_file"):
        if getattr(data, key) is not None:
            raise UserError(
                f"data.{key}={getattr(data, key)} is one file, and task={mixture.name} has "
                f"{len(mixture.trained)} tasks",
                fix="leave it out and put the tasks' files below data.dir under official names",
            )
    for task in mixture.scored:
        check_rank(task, config.evaluation)
        check_data(task, data, splits)
    for task in mixture.unscored:
        check_data(task, data, ["train"])


def _check_words(config: TrainConfig, task: Task) -> None:
    words = config.init.words or task.init_words
    if config.init.strategy == "class_label" and not words:
        raise UserError(
            f"init=class_label has no words for task={task.name}: its answers are free text",
            fix="choose init=sampled_vocab, or give 'init.words=[...]'",
        )
