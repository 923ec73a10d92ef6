"""Quick runs of the commands in this process: what several test files start."""

import json
import re
import shlex
from contextlib import contextmanager
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from prompt_tuning import cli
from prompt_tuning.composition import composed, points_of
from prompt_tuning.config import TrainConfig, typed
from prompt_tuning.config_checks import train_config
from prompt_tuning.errors import UserError
from prompt_tuning.evaluation import evaluate_prompt
from prompt_tuning.examples import scored_examples
from prompt_tuning.hydra_app import with_keys
from prompt_tuning.interrupts import Interrupted
from prompt_tuning.models.loading import load_checkpoint
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
LADDER = {"source": "embedded:ladder_100k/6000", "lm_adapt_steps": 6000}
ON_LADDER = TOLD | LADDER | {"task": "mini_sst2"}
SMALLEST = [  # a T5 to pretrain
    *("shape.d_model=16", "shape.num_layers=1", "shape.num_heads=2", "shape.d_kv=8"),
    "shape.d_ff=32",
]
RTE_LABELS = ("entailment", "not_entailment")
QUICK = ["training.num_steps=2", "evaluation.every_steps=1", "evaluation.num_examples=8"]
WALKS = {"multitask_model_tuning": multitask.train, "prompt_design": prompt_design.train}


def write_official(folder, split, labels=RTE_LABELS):
    """Six official-looking rows of RTE or CB."""
    rows = [
        {"premise": f"It is {i}.", "hypothesis": "so", "label": labels[i % 2], "idx": i}
        for i in range(6)
    ]
    write_lines(folder / f"{split}.jsonl", *rows)


class Said(NamedTuple):
    """What a command line wrote on standard output and standard error."""

    out: str
    err: str


def status_of(monkeypatch, folder, *arguments):
    """The exit status of a command line, in `folder`."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["ptune", *arguments])
    return cli.main()


def problems_of(line):
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
    try:
        points_of(command, overrides, multirun=is_sweep, only_first=True, own_files=own_files)
    except UserError as error:
        return [*error.parts]
    return []


def run_in(folder, *arguments):
    """The folder, in which a command has run and ended well: for fixtures of a wider scope."""
    with pytest.MonkeyPatch.context() as patch:
        assert status_of(patch, folder, *arguments) == 0
    return folder


def train_config_of(*overrides, check=train_config):
    """What `ptune train` with these overrides would run; `train.check` looks for its files too."""
    return check(composed("train", overrides))


def config_of(model, *overrides):
    """A run on the model in a folder, of two steps unless the overrides say more."""
    given = [f"model.path={model}", "recipe=mini", "tracking=none", "data.cache_dir=null", *QUICK]
    return train_config_of(*given, *overrides)


def load_exactly(source):
    """A model in float32 on the CPU."""
    cpu = torch.device("cpu")
    return load_checkpoint(source, revision=None, dtype=torch.float32, device=cpu)


def evaluation_set(checkpoint, task, examples, *overrides, taught=None):
    """Examples ready to be answered as by a run with these overrides."""
    config = typed(TrainConfig, composed("train", ["data.cache_dir=null", *overrides]))
    return scored_examples(task, examples, checkpoint, config, config.variant, taught)


def said_again(checkpoint, task, examples, prompt=None):
    """What a model answers behind a prompt [P, H], if there is one: decoded here once more."""
    weight = torch.zeros(0, checkpoint.model.hidden_size) if prompt is None else prompt
    data = evaluation_set(checkpoint, task, examples)
    return evaluate_prompt(checkpoint, weight, data, max_tokens=8192)


def record_of(folder, config):
    """The record of a run in `folder`, from the start or resumed."""
    WALKS.get(config.method, tuning.train)(config, RunFolder(folder))
    return record_in(folder)


def record_in(folder, name=""):
    """The only record of a folder, itself or in folders of it whose names begin so."""
    paths = [path for path in folder.rglob("record.json") if path.parent.name.startswith(name)]
    assert len(paths) == 1, paths
    return json.loads(paths[0].read_text(encoding="utf-8"))


@contextmanager
def stopped_in(owner, name, call):
    """Asks the run to stop when a method has been called so many times."""
    method, calls = getattr(owner, name), count(1)

    def stopping(*given):
        result = method(*given)
        if next(calls) == call:
            raise Interrupted(15)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, stopping)
        yield


def logged(run):
    """What a run logged, without its clock."""
    lines = lines_of(run / "metrics.jsonl")
    return [{k: v for k, v in line.items() if k != "time/duration_s"} for line in lines]


def once(overrides):
    """Overrides of which the last one of a key counts."""
    return [*{text.partition("=")[0]: text for text in overrides}.values()]


def write_lines(path, *objects):
    """The file, in a folder that need not be there, with one JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(each) + "\n" for each in objects))
    return path


def lines_of(path):
    """The objects of a .jsonl file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
