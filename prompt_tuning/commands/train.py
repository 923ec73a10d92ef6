"""`ptune train`: trains a prompt."""

from pathlib import Path

from omegaconf import DictConfig

from prompt_tuning.config import TrainConfig, run_name, train_config
from prompt_tuning.errors import UserError
from prompt_tuning.records import RunFolder
from prompt_tuning.task_data import check_data, task_of
from prompt_tuning.tasks import Task


def check(cfg: DictConfig) -> TrainConfig:
    """The run, or everything that is wrong with it; loads no model and no data."""
    config = train_config(cfg)
    task = task_of(config.task)
    _check_words(config, task)
    splits = ("train", config.evaluation.split, config.evaluation.report_split)
    check_data(task, config.data, [split for split in splits if split])
    return config


def run(config: TrainConfig) -> None:
    """Trains, unless the same run is done: then its record stands, and torch is not imported."""
    folder = folder_of(config)
    if _is_done(config, folder):
        return
    from prompt_tuning.experiment import train

    with folder.claimed():
        if not _is_done(config, folder):  # by another process, since we looked
            train(config, folder)


def folder_of(config: TrainConfig) -> RunFolder:
    """Where the run leaves its files."""
    return RunFolder(Path(config.output_dir) / run_name(config))


def _is_done(config: TrainConfig, folder: RunFolder) -> bool:
    """Whether the record stands; says so."""
    done = folder.record()
    if not done or config.rerun:
        return False
    result, report = done["result"], done["result"]["report"]
    on = f" ({report['score']:.2f} on {report['split']})" if report else ""
    print(f"{folder.name}: done before, score {result['score']:.2f}{on}  {folder.record_path}")
    return True


def _check_words(config: TrainConfig, task: Task) -> None:
    words = config.init.words or task.init_words
    if config.init.strategy == "class_label" and not words:
        raise UserError(
            f"init=class_label has no words for task={task.name}: its answers are free text",
            fix="choose init=sampled_vocab, or give 'init.words=[...]'",
        )
