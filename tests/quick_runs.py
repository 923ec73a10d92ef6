"""Quick runs of the commands in this process: what several test files start."""

import json
from pathlib import Path
from typing import Any

import pytest

from prompt_tuning import cli
from prompt_tuning.composition import configs_of
from prompt_tuning.config import TrainConfig
from prompt_tuning.config_checks import train_config
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.training import multitask, prompt_design, tuning

QUICK = ["training.num_steps=2", "evaluation.every_steps=1", "evaluation.num_examples=8"]
WALKS = {"multitask_model_tuning": multitask.train, "prompt_design": prompt_design.train}


def ptune(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """The exit status of a command line, in `folder`."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["ptune", *arguments])
    return cli.main()


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
