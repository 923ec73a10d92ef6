"""`ptune show`: what the model sees for raw rows, as JSON lines."""

import json

from omegaconf import DictConfig

from prompt_tuning.config import ShowConfig, typed
from prompt_tuning.errors import UserError
from prompt_tuning.rows import check_readable, read_rows
from prompt_tuning.task_data import task_of
from prompt_tuning.tasks import RowError, TextFormat, as_json


def check(cfg: DictConfig) -> ShowConfig:
    """What to show, or why not."""
    config = typed(ShowConfig, cfg)
    task_of(config.task)
    check_readable(config.rows)
    return config


def run(config: ShowConfig) -> None:
    """Prints inputs, targets, idx, label and answers of every example, and nothing else."""
    task = task_of(config.task)
    training = config.split == "train"
    text_format: TextFormat = "t5" if config.format == "t5" else "taskless"
    for place, record in read_rows(config.rows):
        try:
            examples = [
                example
                for row in task.flatten(record)
                for example in task.examples(row, training=training, text_format=text_format)
            ]
        except RowError as error:
            raise UserError(f"{place}: {error}") from error
        for example in examples:
            print(json.dumps(as_json(example), ensure_ascii=False))
