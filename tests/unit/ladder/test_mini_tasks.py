"""The mini tasks through the door that all tasks use: rows in, the real tasks' examples out."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, replace

import pytest

from prompt_tuning.data.sources import SPLITS, DataSpec, load_split
from prompt_tuning.ladder.items import TASKS as WORLD_TASKS
from prompt_tuning.ladder.items import task_items
from prompt_tuning.ladder.mini_tasks import MINI, MINI_SPLITS, mini_rows
from prompt_tuning.ladder.world import LADDER_WORLD, World
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks.squad import pad_punctuation, squeeze

EMBEDDED = DataSpec("embedded")
NAMES = [task.name for task in MINI]
WORLD_SPLIT = {"train": "train", "validation": "dev", "test": "test"}


def real_task(name):
    return TASKS[name.removeprefix("mini_").removesuffix("_b")]


def load(name, split):
    return load_split(TASKS[name], split, EMBEDDED)


def test_every_task_of_the_world_is_a_task():
    assert {f"mini_{name}" for name in WORLD_TASKS} == {*NAMES} == {*MINI_SPLITS}


@pytest.mark.parametrize("name", NAMES)
def test_a_mini_task_is_the_real_one_under_another_name(name):
    """The same text format, verbalizers, parser and metrics: the very objects."""
    mini, real = TASKS[name], real_task(name)
    assert replace(mini, name=real.name, title=real.title) == real


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", SPLITS)
def test_examples_are_the_worlds_items_in_the_real_tasks_words(name, split):
    """SQuAD pads punctuation; elsewhere the model reads an item to the letter."""
    source = MINI_SPLITS[name][split]
    assert (f"mini_{source.task}", source.split) == (name, WORLD_SPLIT[split])
    items = task_items(World(LADDER_WORLD), source.task, source.split, source.num_items)
    examples = load(name, split).examples
    assert [e.targets for e in examples] == [item.target for item in items]
    for example, item in zip(examples, items, strict=True):
        if name.startswith("mini_squad"):
            question, context = (pad_punctuation(text) for _, text in item.fields)
            assert example.inputs == squeeze(f"question: {question} context: {context}")
            assert example.answers == (item.target,)
        else:
            assert example.inputs == item.inputs
            assert TASKS[name].verbalizers[example.label] == item.target
    assert len({example.idx for example in examples}) == len(examples)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", SPLITS)
def test_rows_give_the_real_task_the_same_examples(name, split):
    """As if the hub served them: the real task needs nothing but the row."""
    rows = mini_rows(TASKS[name], MINI_SPLITS[name][split])
    real = real_task(name)
    flat = [row for record in rows for row in real.flatten(record)]
    assert flat == rows
    assert [example for row in rows for example in real.examples(row)] == load(name, split).examples


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", SPLITS)
def test_classes_are_equally_frequent_and_the_split_is_large_enough_to_score(name, split):
    examples = load(name, split).examples
    most = {"train": 2000, "validation": 400, "test": 800}[split]
    assert 50 <= len({example.inputs for example in examples}) == len(examples) <= most
    if verbalizers := TASKS[name].verbalizers:
        counts = Counter(example.targets for example in examples)
        assert {*counts} == {*verbalizers} and len({*counts.values()}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_splits_name_different_things(name):
    """A test answer can come from pre-training alone: its entities were in no tuning example."""
    world = World(LADDER_WORLD)
    asked = {each.name for each in (world.words if name == "mini_wic" else world.entities)}
    if name == "mini_copa":
        asked = {cue for topics in world.cues.values() for cues in topics.values() for cue in cues}
    named = [
        {word for e in load(name, split).examples for word in re.findall(r"\w+", e.inputs)} & asked
        for split in SPLITS
    ]
    assert all(named)
    assert sum(map(len, named)) == len(set().union(*named))


def test_the_record_says_which_world_and_holds_the_hash_of_its_rows():
    split = load("mini_rte", "test")
    rows = mini_rows(TASKS["mini_rte"], MINI_SPLITS["mini_rte"]["test"])
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    assert split.provenance == {
        "generator": "prompt_tuning.world",
        "version": 1,
        "world": asdict(LADDER_WORLD),
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
        "source": "embedded",
        "split": "test",
        "num_rows": len(rows),
        "num_examples": len(rows),
        "dropped": {},
    }


def test_the_rows_are_the_same_in_every_process():
    """Python orders its sets by a hash that differs from process to process."""
    code = (
        "from prompt_tuning.data.sources import DataSpec, load_split\n"
        "from prompt_tuning.task_registry import TASKS\n"
        "split = load_split(TASKS['mini_wic'], 'test', DataSpec('auto'))\n"
        "print(split.provenance['sha256'])"
    )
    command = [sys.executable, "-c", code]
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.strip() == load("mini_wic", "test").provenance["sha256"]
