"""`ptune score`: metrics of predictions that were made anywhere."""

import json
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig

from prompt_tuning.config import ScoreConfig, typed
from prompt_tuning.errors import UserError
from prompt_tuning.own_data import with_labels
from prompt_tuning.rows import check_readable, read_rows
from prompt_tuning.task_data import data_spec, task_of
from prompt_tuning.tasks import Example, RowError, Task


def check(cfg: DictConfig) -> ScoreConfig:
    config = typed(ScoreConfig, cfg)
    config = replace(config, task=with_labels(config.task, data_spec(config.data)))
    task_of(config.task)
    check_readable(config.rows)
    return config


def run(config: ScoreConfig) -> None:
    """Prints one JSON object: the metrics (0 to 100), score, num_examples, num_unparseable.

    Rows without a label have no score: they are counted apart, as num_unlabelled.
    """
    task = task_of(config.task)
    pairs = [_read(task, place, line) for place, line in read_rows(config.rows)]
    from prompt_tuning.metrics import score  # slow: after what may be wrong with the rows

    scores = score(task, [example for example, _ in pairs], [text for _, text in pairs])
    names = ("score", "num_examples", "num_unparseable")
    counted = {name: getattr(scores, name) for name in names}
    if num_unlabelled := len(pairs) - scores.num_examples:
        counted["num_unlabelled"] = num_unlabelled
    print(json.dumps(scores.metrics | counted))


def _read(task: Task, place: str, line: dict[str, Any]) -> tuple[Example, str]:
    row, prediction = line.get("row"), line.get("prediction")
    if not isinstance(row, dict) or not isinstance(prediction, str):
        raise UserError(f'{place}: not {{"row": {{...}}, "prediction": "text"}}')
    try:
        examples = [task.examples(flat) for flat in task.flatten(row)]
    except RowError as error:
        raise UserError(f"{place}: {error}") from error
    if len(examples) != 1:
        raise UserError(
            f"{place}: one prediction for a record that holds {len(examples)} rows",
            fix="give one line for each row, as the hub serves them",
        )
    if not examples[0]:
        raise UserError(f"{place}: a row that {task.name} does not use: {task.dropped_because}")
    return examples[0][0], prediction
