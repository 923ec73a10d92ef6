"""Quick runs of the commands in this process: what several test files start."""

import json
import re
import shlex
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from prompt_tuning import cli
from prompt_tuning.composition import configs_of, points_of
from prompt_tuning.config import TrainConfig
from prompt_tuning.config_checks import train_config
from prompt_tuning.errors import UserError
from prompt_tuning.hydra_app import with_keys
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.training import multitask, prompt_design, tuning

EXAMPLE = Path(__file__).parents[1] / "scripts" / "example_task"  # files of a user's
TOLD = {  # what a prompt's file tells of the model that it was trained on
    "source": "google/t5-small-lm-adapt",
    "revision": None,
    "variant": "lm_adapted",
    "lm_adapt_steps": 100000,
    "target_sentinel": False,
}
QUICK = ["training.num_steps=2", "evaluation.every_steps=1", "evaluation.num_examples=8"]
WALKS = {"multitask_model_tuning": multitask.train, "prompt_design": prompt_design.train}


class Said(NamedTuple):
    """What a command line came to."""

    status: int
    out: str
    err: str


Run = Callable[..., Said]  # tests/unit/conftest.py: ptune(*arguments)


def ptune(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """The exit status of a command line, in `folder`."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["ptune", *arguments])
    return cli.main()


def problems_of(line: str) -> list[UserError]:
    """What is wrong with a command line of a text, in which <placeholders> count as any value."""
    command, *arguments = shlex.split(re.sub("<[^>]*>", "x", line).replace("...", ""))
    own_files = None
    if "--config-dir" in arguments:
        own_files, place = EXAMPLE, arguments.index("--config-dir")
        del arguments[place : place + 2]
    module = import_module(f"prompt_tuning.commands.{command}")
    given = with_keys(arguments, getattr(module, "POSITIONAL", None))
    overrides = [text for text in given if "=" in text]
    assert {*given} <= {*overrides, "-m", "--cfg", "job", "--help"}, line
    if "hydra/sweeper=optuna" in overrides:  # Hydra's own, and intervals have no points
        return []
    is_sweep = "-m" in given
    return points_of(command, overrides, multirun=is_sweep, only_first=True, own_files=own_files)[1]


def train_config_of(*overrides: str) -> TrainConfig:
    """What `ptune train` with these overrides would run."""
    (cfg,), problems = configs_of("train", overrides)
    assert not problems
    return train_config(cfg)


def config_of(model: Path, *overrides: str) -> TrainConfig:
    """A run on the model in a folder, of two steps unless the overrides say more."""
    given = [f"model.path={model}", "tracking=none", "data.cache_dir=null", *QUICK]
    return train_config_of(*given, *overrides)


def record_of(folder: Path, config: TrainConfig) -> dict[str, Any]:
    """The record of a run in `folder`, from the start or resumed."""
    WALKS.get(config.method, tuning.train)(config, RunFolder(folder))
    record: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return record


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The objects of a .jsonl file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
