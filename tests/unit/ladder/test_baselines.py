"""What stands beside a score on a mini task: exactly its items' floor, a control, commands."""

import json
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
from quick_runs import train_config_of

from prompt_tuning.composition import points_of
from prompt_tuning.config_checks import train_config
from prompt_tuning.data.sources import DataSpec, load_split
from prompt_tuning.ladder import baselines
from prompt_tuning.ladder.baselines import floor_line, floor_of, next_commands, random_control
from prompt_tuning.ladder.items import Item
from prompt_tuning.ladder.mini_tasks import MINI, mini_items
from prompt_tuning.task_registry import TASKS
from prompt_tuning.training.outcome import reported_lines

AUTO = DataSpec("auto")
NAMES = [task.name for task in MINI]


@pytest.fixture
def floor(monkeypatch):
    """What measures a floor, of scripts/ladder_floors.py."""
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "scripts")
    return import_module("ladder_floors").floor


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_floor_is_that_of_the_items_that_are_scored(name, split, floor):
    """A floor of other items, even of one more, is not what the score has to beat."""
    scored, items = load_split(TASKS[name], split, AUTO), mini_items(name, split)
    found = floor_of(TASKS[name], scored)
    assert found == floor(mini_items(name, "train"), items)
    assert [item.target for item in items] == [e.targets for e in scored.examples]
    read = [[re.findall(r"\w+", each.inputs) for each in some] for some in (items, scored.examples)]
    assert read[0] == read[1]
    # A score above the floor shows that the model knows the world: no shortcut is far above chance.
    if TASKS[name].verbalizers:
        assert found["majority"] == 50.0 <= found["shortcut"] <= 60.0
    else:  # the values of a whole world
        assert found["majority"] < 15 and found["majority"] <= found["shortcut"] < 25


def test_a_planted_shortcut_is_found(floor):
    """A floor that sees nothing would call every task hard."""
    items = [
        Item((("passage", text), ("question", "is it?")), target)
        for text, target in [("mostly so.", "True"), ("never so.", "False")] * 10
    ]
    assert floor(items, items) == {"majority": 50, "shortcut": 100, "shortcut_name": "bag"}


@pytest.mark.parametrize(("split", "limit"), [("train", None), ("test", 10)])
def test_where_a_floor_is_not_measured_there_is_none(split, limit):
    rte = TASKS["mini_rte"]
    assert floor_of(rte, load_split(rte, split, AUTO, limit)) is None


def test_a_control_is_read_from_the_package_and_unknown_without_it(tmp_path, monkeypatch):
    monkeypatch.setattr(baselines, "EMBEDDED_MODELS", tmp_path)
    assert random_control("rung", "mini_rte") is None
    (tmp_path / "rung").mkdir()
    (tmp_path / "rung" / "controls.json").write_text(json.dumps({"mini_rte": 49.25}))
    assert random_control("rung", "mini_rte") == 49.25
    assert random_control("rung", "mini_wic") is None
    assert random_control("other", "mini_rte") is None


def test_the_line_says_a_control_only_if_there_is_one():
    found = {"majority": 50.0, "shortcut": 51.25, "shortcut_name": "bag"}
    line = "floor: majority 50.00, best shortcut 51.25 (bag)"
    assert floor_line(found, None) == line
    assert floor_line(found, 49.0) == f"{line}, a random frozen model 49.00"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_suggested_can_be_typed(name):
    commands = next_commands(TASKS[name], "ladder_100k")
    assert len(commands) == 3
    for line in commands:
        _, command, *arguments = shlex.split(line)
        overrides = [word for word in arguments if word != "-m"]
        for point in points_of(command, overrides, multirun="-m" in arguments):
            valid = train_config(point.config)
            assert valid.init.strategy != "class_label" or TASKS[valid.task.name].init_words


def test_no_control_is_told_of_a_model_in_a_folder(tiny_folder):
    """`model.name` is still the default then."""
    scores = {"metrics": {}, "score": 60.0, "num_examples": 9, "num_unparseable": 0}
    result = {
        "report": {"split": "test", **scores},
        "floor": {"majority": 50.0, "shortcut": 51.25, "shortcut_name": "bag"},
    }
    for given, is_told in ([], True), ([f"model.path={tiny_folder}", "recipe=mini"], False):
        config = train_config_of("task=mini_rte", *given)
        *_, line = reported_lines(config, "mini_rte", result)
        assert ("a random frozen model" in line) == is_told
