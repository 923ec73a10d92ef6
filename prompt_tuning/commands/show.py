"""`ptune show`: what the model sees of raw rows, or what a task's data have in them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import cast

from omegaconf import DictConfig

from prompt_tuning.config import ShowConfig, typed
from prompt_tuning.data.sources import HELD_OUT, Split, has_split, load_split
from prompt_tuning.errors import UserError
from prompt_tuning.own_data import class_counts, has_training_rows, with_labels
from prompt_tuning.rows import check_readable, read_rows
from prompt_tuning.task_data import check_data, data_spec, task_of
from prompt_tuning.tasks import SPLITS, Example, RowError, Task, TextFormat


def check(cfg: DictConfig) -> ShowConfig:
    config = typed(ShowConfig, cfg)
    spec = data_spec(config.data)
    if config.rows is None or has_training_rows(config.task, spec):
        config = replace(config, task=with_labels(config.task, spec))
    task = task_of(config.task)
    if config.rows is None:
        check_data(task, config.data, ())
    else:
        check_readable(config.rows)
    return config


def run(config: ShowConfig) -> None:
    """Prints inputs, targets, idx, label and answers of every example; or the task's data."""
    task = task_of(config.task)
    if config.rows is not None:
        for example in _examples(task, config.rows, config):
            print(json.dumps(asdict(example), ensure_ascii=False))
    else:
        for line in _overview(task, config):
            print(line)


def _examples(task: Task, rows: str, config: ShowConfig) -> Iterator[Example]:
    training, text_format = config.split == "train", cast(TextFormat, config.format)
    for place, record in read_rows(rows):
        try:
            for row in task.flatten(record):
                yield from task.examples(row, training=training, text_format=text_format)
        except RowError as error:
            raise UserError(f"{place}: {error}") from error


def _overview(task: Task, config: ShowConfig) -> Iterator[str]:
    """A block for each split that is there."""
    spec = data_spec(config.data)
    splits: dict[str, Split] = {}
    parts = (*SPLITS, HELD_OUT) if spec.num_held_out else SPLITS
    for name in (name for name in parts if has_split(task, name, spec)):
        try:
            check_data(task, config.data, [name])
        except UserError:  # one of ours, whose file is not in the folder
            continue
        splits[name] = load_split(task, name, spec, text_format=cast(TextFormat, config.format))
    yield f"{task.name}: {task.about.splitlines()[0]}"
    for name, split in splits.items():
        yield f"\n{name:<12}{split.size.removesuffix(f' of {name}')}"
        if task.verbalizers and split.is_labelled:
            counts = class_counts(task, split.examples)
            yield "  labels    " + ", ".join(f"{word} {n:,}" for word, n in counts.items())
        yield f"  tokens    {_lengths(config, split.examples, cut=name == 'train')}"
        first = split.examples[0]
        yield f"  inputs    {first.inputs}"
        if first.is_labelled:
            yield f"  targets   {first.targets}"


def _lengths(config: ShowConfig, examples: Sequence[Example], *, cut: bool) -> str:
    """How long inputs and targets are in the model's tokens, EOS included."""
    from prompt_tuning.data.tokenization import encode_split  # imports torch
    from prompt_tuning.model_choice import source_of
    from prompt_tuning.models.loading import load_description

    source, revision = source_of(config.model, config.variant, Path())
    _, tokenizer = load_description(source, revision=revision)
    encoded = encode_split(examples, tokenizer)
    inputs, pairs = [*map(len, encoded.inputs)], zip(examples, encoded.targets, strict=True)
    targets = [len(ids) for example, ids in pairs if example.is_labelled]
    line = f"inputs {median(inputs):,.0f}, at most {max(inputs):,}"
    if targets:
        line += f"; targets at most {max(targets)}"
    limit = config.max_input_tokens
    if limit is not None and (longer := sum(length > limit for length in inputs)):
        line += f"; {longer:,} inputs have more than {limit}" + (" and are cut" if cut else "")
    return line
