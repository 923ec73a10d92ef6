"""A finished run stands as long as the data and the weights are those that it was made from."""

import json
import shutil
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from quick_runs import QUICK, ptune
from safetensors.torch import load_file, save_file

from prompt_tuning.commands import train
from prompt_tuning.composition import configs_of
from prompt_tuning.interrupts import Interrupted, StopRequests
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.prompt_files import save_prompt
from prompt_tuning.run_folder import RunFolder

LABELS = ("entailment", "not_entailment")
SETTINGS = ["task=rte", "variant=lm_adapted", "data.dir=data", "tracking=none", "output_dir=out"]


def write_rows(folder: Path, split: str, *, first_label: int) -> None:
    """Six official-looking rows of RTE."""
    (folder / "RTE").mkdir(parents=True, exist_ok=True)
    rows = [
        {"premise": f"It is {i}.", "hypothesis": "so", "label": LABELS[(i + first_label) % 2]}
        for i in range(6)
    ]
    lines = "".join(json.dumps({**row, "idx": i}) + "\n" for i, row in enumerate(rows))
    (folder / "RTE" / f"{split}.jsonl").write_text(lines)


@pytest.fixture
def place(tmp_path: Path, tiny_folder: Path, tiny_checkpoint: Checkpoint) -> Path:
    """A folder with data, a model and two prompts of it."""
    for split in ("train", "val"):
        write_rows(tmp_path / "data", split, first_label=0)
    shutil.copytree(tiny_folder, tmp_path / "model")
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        weight = rng.standard_normal((2, tiny_checkpoint.model.hidden_size)).astype(np.float32)
        save_prompt(tmp_path / f"{name}.safetensors", weight, {"target_sentinel": False})
    return tmp_path


COMMANDS = {
    "train": ["method=model_tuning", "evaluation.report_split=null", *QUICK],
    "evaluate": ["prompt=a.safetensors"],
    "ensemble": ["prompts=[a.safetensors,b.safetensors]"],
    "inspect": ["prompt=a.safetensors"],
}


@pytest.fixture(params=COMMANDS)
def repeated(
    request: pytest.FixtureRequest,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Any:
    """Runs a command that has been run once again; returns what it said and its record."""
    command = request.param
    given = [*COMMANDS[command], "model.path=model", *SETTINGS]

    def repeat(*overrides: str, status: int = 0) -> tuple[str, dict[str, Any]]:
        last = {text.partition("=")[0]: text for text in (*given, *overrides)}
        assert ptune(monkeypatch, place, command, *last.values()) == status
        (path,) = place.glob("out/*/record.json")
        said = capsys.readouterr()
        return said.out + said.err, json.loads(path.read_text())

    repeat()
    return repeat


def test_the_same_again_returns_the_record(repeated: Any, place: Path) -> None:
    (path,) = place.glob("out/*/record.json")
    before = path.read_bytes()
    said, _ = repeated()
    assert "done before" in said and "again" not in said
    assert path.read_bytes() == before


def test_data_are_the_same_wherever_they_lie(repeated: Any, place: Path) -> None:
    """The folder is no part of an identity, the rows' own hash is in the record."""
    shutil.copytree(place / "data", place / "moved")
    said, _ = repeated("data.dir=moved")
    assert "done before" in said and "again" not in said
    for split in ("train", "val"):
        write_rows(place / "moved", split, first_label=1)
    said, _ = repeated("data.dir=moved")
    assert "its data have changed since" in said


def test_other_data_are_noticed_and_the_work_is_done_again(repeated: Any, place: Path) -> None:
    """A score of rows that are no longer there would be told as one of those that are."""
    _, first = repeated()
    for split in ("train", "val"):
        write_rows(place / "data", split, first_label=1)
    said, second = repeated()
    assert "done before, but its data have changed since" in said and "is done again" in said
    name = "train" if "train" in second["data"] else "validation"
    assert first["data"][name]["sha256"] != second["data"][name]["sha256"]
    said, _ = repeated()
    assert "done before" in said and "again" not in said


def test_other_weights_are_noticed(repeated: Any, place: Path) -> None:
    _, first = repeated()
    path = place / "model" / "model.safetensors"
    weights = load_file(path)
    weights["lm_head.weight"] += torch.ones(1)
    save_file(weights, path, metadata={"format": "pt"})
    said, second = repeated()
    assert "done before, but the weights in" in said
    assert first["model"]["fingerprint"] != second["model"]["fingerprint"]


def test_what_another_process_is_at_is_left_to_it(repeated: Any, place: Path) -> None:
    """Two of them at once would write the same files."""
    (path,) = place.glob("out/*/record.json")
    for split in ("train", "val"):
        write_rows(place / "data", split, first_label=1)
    with RunFolder(path.parent).claimed():
        said, _ = repeated(status=75)
    assert f"{path.parent.name} is in progress elsewhere: process" in said


def test_an_inspection_without_texts_is_made_again_when_they_are_there(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where they lie is not in its name."""
    given = [*COMMANDS["inspect"], "model.path=model", *SETTINGS]
    without = [text for text in given if not text.startswith("data.dir")]
    for arguments, said in ((without, ""), (given, "texts were not there"), (given, "done before")):
        assert ptune(monkeypatch, place, "inspect", *arguments) == 0
        assert said in capsys.readouterr().out
    (path,) = place.glob("out/*/record.json")
    assert json.loads(path.read_text())["data"]


def test_an_experiments_runs_are_trained_again_from_other_data(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before their prompts vote or are looked at."""
    monkeypatch.chdir(place)
    given = [*COMMANDS["train"], "model.path=model", *SETTINGS]
    configs, problems = configs_of("train", [*given, "seed=0,1"], multirun=True)
    assert not problems
    monkeypatch.setattr(train, "planned_runs", lambda *_: [train.check(cfg) for cfg in configs])

    def said() -> str:
        assert len(train.trained_runs("any")) == 2
        return capsys.readouterr().out

    said()
    assert said() == ""
    write_rows(place / "data", "val", first_label=1)
    assert said().count("its data have changed since (validation)") == 2
    assert said() == ""


def test_a_run_that_was_stopped_does_not_go_on_with_other_data(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*COMMANDS["train"], "model.path=model", *SETTINGS]
    asked = count()

    def stop_later(stop: StopRequests) -> None:
        if next(asked) == 2:
            raise Interrupted(15)

    with monkeypatch.context() as patch:
        patch.setattr(StopRequests, "check", stop_later)
        assert ptune(patch, place, "train", *given) == 128 + 15
    write_rows(place / "data", "val", first_label=1)
    assert ptune(monkeypatch, place, "train", *given) == 2
    assert "since then has changed: validation.sha256" in capsys.readouterr().err
    write_rows(place / "data", "val", first_label=0)
    assert ptune(monkeypatch, place, "train", *given) == 0
