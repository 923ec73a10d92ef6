"""Every file of conf/ composes and validates, with its head's own commands, and fits the code."""

import re
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from typing import get_args, get_type_hints

import pytest
from quick_runs import problems_of

from prompt_tuning.commands import COMMANDS
from prompt_tuning.commands import train as train_command
from prompt_tuning.commands.list import GROUPS
from prompt_tuning.composition import composed, points_of
from prompt_tuning.config import INITS, METHODS, TaskConfig, choices, config_dir
from prompt_tuning.config_checks import train_config
from prompt_tuning.shapes import SHAPES
from prompt_tuning.task_registry import CHOICES as TASK_CHOICES

SCHEMAS = {
    command: get_type_hints(import_module(f"prompt_tuning.commands.{command}").check)["return"]
    for command in COMMANDS
}
FILES = sorted(path.relative_to(config_dir()) for path in config_dir().rglob("*.yaml"))
OURS = [path for path in FILES if path.parts[0] != "hydra" and not path.name.startswith("_")]
# These ask for a file, a text or a prompt, which a bare choice does not give.
INCOMPLETE = {"init=from_file", "init=from_text", "model=as_trained"}


def head_of(path):
    """The comment lines that open a file, without those that speak to Hydra."""
    lines = (config_dir() / path).read_text(encoding="utf-8").splitlines()
    count = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    return [line[2:] for line in lines[:count] if not line.startswith("# @")]


def keys_of(schema):
    """Every key and section of a schema and of its sections: class and name, type, `Key`."""
    for each in fields(schema):
        hint = get_type_hints(schema)[each.name]
        # What a task's node may lack is null: a user's file has few keys, ptune's tasks none.
        defaults = (None, MISSING) if schema is TaskConfig else (MISSING,)
        assert each.default in defaults and each.default_factory is MISSING, (schema, each.name)
        yield f"{schema.__name__}.{each.name}", hint, each.metadata["key"]
        for section in filter(is_dataclass, (hint, *get_args(hint))):
            assert isinstance(section, type)
            yield from keys_of(section)


@pytest.mark.parametrize("path", OURS, ids=str)
def test_a_files_head_says_what_it_is_and_its_commands_can_be_typed(path):
    """`ptune list` prints the first line; a command in a head that is wrong misleads.

    An experiment without overrides is composed in test_results.py, with all of its runs.
    """
    head = head_of(path)
    assert re.match(r"[\w(][^#]{20,}", head[0]), head
    commands = [found[1] for line in head if (found := re.search(r"^  .*?\bptune (.+)", line))]
    assert commands, head
    for command in {*commands} - {f"train -m experiment={path.stem}"}:
        assert problems_of(command) == [], command


@pytest.mark.parametrize(
    "choice", [f"{group}={name}" for group in GROUPS for name in choices(group)]
)
def test_every_file_of_a_group_makes_a_valid_run_and_names_what_it_is_called(choice):
    """Schema, ranges and cross-field checks pass with nothing else on the command line.

    Runs, records and W&B tags are named by the value inside, users choose by the file's name. conf/
    needs a model's width to refuse a prompt of another before the model is loaded.
    """
    (point,) = points_of("train", [choice], only_first=True)
    config = point.config
    group, _, name = choice.partition("=")
    if group != "init":
        assert getattr(config[group], "name", config[group]) == name
    if group == "task" and name != "own":
        report_split = "test" if name.startswith("mini") else None
        assert config.task == {"name": name, "report_split": report_split}
        assert TASK_CHOICES[name].report_split == report_split
    if group == "model" and name in SHAPES:
        assert config.model.hidden_size == SHAPES[name].d_model
    if choice not in INCOMPLETE:
        # Whether a method takes a task or a mixture is checked by the command, not by the schema.
        (train_command.check if group == "method" else train_config)(config)


def test_the_groups_are_all_listed():
    folders = {path.name for path in config_dir().iterdir() if path.is_dir()} - {"hydra"}
    assert set(GROUPS) == folders | {"task"}  # made of the tasks themselves


@pytest.mark.parametrize(("named", "group"), [(INITS, "init"), (METHODS, "method")])
def test_the_choices_of_a_key_are_the_files_of_its_group(named, group):
    assert tuple(sorted(named)) == choices(group)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_key_says_what_it_means_and_every_number_what_it_may_be(command):
    """And none has a default: one in two places is one that drifts; values are in conf/ alone."""
    cfg = composed(command, [])
    assert {*cfg} == {each.name for each in fields(SCHEMAS[command])}
    for name, hint, about in keys_of(SCHEMAS[command]):
        assert about.meaning, name
        is_number = hint in (int, float, int | None, float | None)
        assert is_number == bool(about.limits), name
