"""A user's own task: from what its file says to a `Task`, and what the data alone can tell."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from prompt_tuning.config import TaskConfig, TrainConfig, typed
from prompt_tuning.data.sources import DataSpec, has_split, rows_of
from prompt_tuning.errors import UserError, did_you_mean, raise_all
from prompt_tuning.task_registry import CHOICES
from prompt_tuning.tasks import SPLITS, Example, HubDataset, Origin, RowError, Task
from prompt_tuning.tasks.base import class_parser, keep_flat, parse_text
from prompt_tuning.tasks.own import (
    CLASS_METRICS,
    TEXT_METRICS,
    Template,
    class_examples,
    label_in,
    text_examples,
)

MOST_CLASSES = 100  # found in data: more of them, and it is no column of labels
HELD_OUT_ROWS = (20, 1000)  # at least and at most, of a training set without a validation file


def own_task_of(config: TaskConfig) -> Task:
    """The task that a user defines.

    Raises:
        UserError: everything that is wrong with the definition; or its labels are not known.
    """
    raise_all(_problems(config))
    if config.label is not None and config.labels is None:
        raise UserError(
            f"the labels of task {config.name} are not known without its training rows",
            fix="add data.train_file=<table>, or 'task.labels={<label>: <word>}'",
        )
    template, labels = Template(str(config.inputs)), config.labels or {}
    words = tuple(dict.fromkeys(labels.values()))
    to_examples, parse = (
        (class_examples(template, config.label, labels, words), class_parser(words))
        if config.label
        else (text_examples(template, str(config.target)), parse_text)
    )
    return Task(
        name=config.name,
        about=str(config.inputs),
        t5_prefix="",
        metrics=tuple(config.metrics or ["accuracy" if config.label else "squad"]),
        to_examples=to_examples,
        parse=parse,
        flatten=keep_flat,
        origin=_origin(config),
        report_split=config.report_split,
        verbalizers=words,
        init_words=words,
        columns=tuple(template.columns),
    )


def _problems(config: TaskConfig) -> Iterator[UserError]:
    """What is wrong with a definition, without its data."""
    name, task = config.name, f"task {config.name}"
    if name in CHOICES:
        own = [each.name for each in fields(config) if each.name not in ("name", "report_split")]
        given = ", ".join(f"task.{each}" for each in own if getattr(config, each) is not None)
        fix = "give yours another name: task.name=<name>"
        yield UserError(f"{name} is a task of ptune's, which has no {given}", fix=fix)
        return
    if config.inputs is None:
        fix = 'task.inputs="{<column>} ...", the text that the model reads'
        yield UserError("task.inputs is missing", fix=fix)
    else:
        try:
            if not Template(config.inputs).columns:
                raise ValueError("it names no column")
        except ValueError as error:
            allowed = "a text with {column}s; {{ and }} for braces themselves"
            yield UserError(f"{task}: inputs {config.inputs!r}: {error}", allowed=allowed)
    if (config.label is None) == (config.target is None):
        both = "both" if config.label else "neither"
        fix = "give one: task.label=<column of class labels>, task.target=<column of free text>"
        yield UserError(f"{task} has {both} of label and target", fix=fix)
    yield from _label_problems(task, config.label, config.labels)
    yield from _metric_problems(task, config)
    for key in ("files", "hub_splits"):
        for split in (each for each in getattr(config, key) or {} if each not in SPLITS):
            near = did_you_mean(split, SPLITS)
            yield UserError(f"{task}: {key} has {split}", allowed=", ".join(SPLITS), fix=near)
    if config.files and config.hub:
        yield UserError(f"{task} has both files and hub", fix="give one of them")
    for key in ("hub_config", "hub_splits"):
        if getattr(config, key) and not config.hub:
            yield UserError(f"{task} has {key} and no hub", fix="add task.hub=<owner/name>")


def _label_problems(
    task: str, label: str | None, labels: Mapping[str, str] | None
) -> Iterator[UserError]:
    if labels is None:
        return
    if label is None:
        yield UserError(f"{task} has labels and no label", fix="add task.label=<column>")
    if empty := [repr(label) for label, word in labels.items() if not word.strip()]:
        fix = "give it the word that the model is to say"
        yield UserError(f"{task}: label {', '.join(empty)} has no word", fix=fix)
    if len({*labels.values()}) < 2:
        problem = f"{task}: {len(labels)} labels, with one word for all"
        yield UserError(problem, allowed="two words or more")


def _metric_problems(task: str, config: TaskConfig) -> Iterator[UserError]:
    known = CLASS_METRICS if config.label else TEXT_METRICS
    if config.metrics == []:
        yield UserError(f"{task} has no metrics", allowed=", ".join(known))
    for metric in config.metrics or ():
        if metric not in known and not Path(metric).exists():
            kind = "class labels" if config.label else "free text"
            yield UserError(
                f"{task}: {metric} is no metric of {kind}",
                allowed=f"{', '.join(known)}, or the folder of one for `evaluate`",
                fix=did_you_mean(metric, known),
            )
    if config.labels and "f1" in (config.metrics or ()) and len({*config.labels.values()}) != 2:
        problem = f"{task}: f1 is that of the second of two labels"
        yield UserError(problem, fix="take macro_f1 for more of them")


def _origin(config: TaskConfig) -> Origin:
    hub = None
    if config.hub is not None:
        splits = config.hub_splits or {split: split for split in SPLITS}
        hub = HubDataset(config.hub, config.hub_config, None, splits)
    files = {split: (name,) for split, name in (config.files or {}).items()}
    return Origin(files=files, hub=hub, is_own=True)


def _with_any_labels(config: TaskConfig) -> Task:
    """The task with two labels made up, enough to read its rows before the real ones are known.

    Raises as `own_task_of`.
    """
    unknown = config.label is not None and config.labels is None
    return own_task_of(replace(config, labels={"-": "-", "+": "+"}) if unknown else config)


def with_labels(config: TaskConfig, spec: DataSpec) -> TaskConfig:
    """The task with the labels that its training rows have, where it does not give them.

    Raises:
        UserError: the definition or a row is wrong, or the column holds no labels.
    """
    if not config.is_own or config.label is None or config.labels is not None:
        return config
    bare = _with_any_labels(config)
    counts: Counter[str] = Counter()
    for place, row in rows_of(bare, "train", spec):
        if config.label not in row:
            there = ", ".join(map(str, row))
            problem = f"{place}: no column {config.label!r}, the label of task {config.name}"
            fix = did_you_mean(config.label, row)
            raise UserError(problem, allowed=there, fix=fix)
        try:
            if (label := label_in(row, config.label)) is not None:
                counts[label] += 1
        except RowError as error:
            raise UserError(f"{place}: {error}") from None
    if not 2 <= len(counts) <= MOST_CLASSES:
        found = f"{len(counts):,} different labels in {counts.total():,} rows"
        raise UserError(
            f"task {config.name}: column {config.label!r} has {found}",
            allowed=f"2 to {MOST_CLASSES}; any number with task.labels=",
            fix="name another column, or task.target= for free text",
        )
    return replace(config, labels={label: label for label in sorted(counts, key=_by_number)})


def has_training_rows(config: TaskConfig, spec: DataSpec) -> bool:
    """Whether labels could be found in the data of a user's own task."""
    return config.is_own and has_split(_with_any_labels(config), "train", spec)


def _by_number(label: str) -> tuple[bool, int, str]:
    """Sorts 2 before 10, and numbers before words."""
    return (not label.isdecimal(), int(label) if label.isdecimal() else 0, label)


def with_own_data(config: TrainConfig, spec: DataSpec) -> TrainConfig:
    """A run with what its own task leaves to the data.

    Labels are those of the training rows. Without validation rows the step is chosen on a part of
    the training rows that is not trained on: a tenth within `HELD_OUT_ROWS`, a fifth at most; by a
    hash of their text, the same ones for every seed.

    Raises:
        UserError: as `with_labels`.
    """
    if not config.task.is_own:
        return config
    task_config = with_labels(config.task, spec)
    task, evaluation, data = own_task_of(task_config), config.evaluation, config.data
    if not has_split(task, "validation", spec):
        if evaluation.report_split == "validation":
            evaluation = replace(evaluation, report_split=None)
        if evaluation.split == "validation":
            num_rows = sum(1 for _ in rows_of(task, "train", spec))
            least, most = HELD_OUT_ROWS
            data = replace(data, num_held_out=max(least, min(most, num_rows // 10)))
            evaluation = replace(evaluation, split="held_out")
    return replace(config, task=task_config, evaluation=evaluation, data=data)


def as_metadata(config: TaskConfig) -> dict[str, Any]:
    """A definition as a prompt file keeps it: what is set, without where its rows were."""
    places = ("files", "hub", "hub_config", "hub_splits")
    values = {each.name: getattr(config, each.name) for each in fields(config)}
    return {k: v for k, v in values.items() if v is not None and k not in places}


def from_metadata(values: Any) -> TaskConfig:
    """The definition in a prompt file, which may be a stranger's.

    Raises:
        UserError: it is none.
    """
    if not isinstance(values, dict):
        raise UserError(f"the prompt's own_task is a {type(values).__name__}, not a task")
    config = typed(TaskConfig, OmegaConf.create(values))
    raise_all(_problems(config))
    return config


def class_counts(task: Task, examples: Sequence[Example]) -> dict[str, int]:
    """How many examples each word of a classification task has; {} of free text."""
    counts = Counter(example.label for example in examples)
    return {word: counts[number] for number, word in enumerate(task.verbalizers)}


def label_lines(task: Task, train: Sequence[Example]) -> dict[str, str]:
    """The lines of a header on the labels of a user's own task; {} of ours."""
    if not task.origin.is_own or not task.verbalizers:
        return {}
    counts = class_counts(task, train)
    lines = {"labels": ", ".join(f"{word} {count:,}" for word, count in counts.items())}
    if few := [f"{word} ({count})" for word, count in counts.items() if count < 2]:
        lines["few"] = f"nothing can be learned from so few training examples: {', '.join(few)}"
    return lines


def check_sayable(task: Task, read_back: Callable[[str], str]) -> None:
    """Refuses words of a user's own task that the model's vocabulary has no tokens for.

    `read_back` gives what a text is after the tokenizer has encoded and decoded it.

    Raises:
        UserError: the model could never say such a word, and would be wrong with it always.
    """
    if not task.origin.is_own:
        return
    lost = {word: read_back(word) for word in task.verbalizers if read_back(word) != word}
    if lost:
        shown = ", ".join(f"{word!r} (it reads {read!r})" for word, read in lost.items())
        raise UserError(
            f"task {task.name}: the model's vocabulary cannot say {shown}",
            fix="give such a label another word: 'task.labels={<label>: <word>}'",
        )
