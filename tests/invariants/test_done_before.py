"""A finished run stands as long as the data and the weights are those that it was made from."""

import json
import os
import shutil

import numpy as np
import pytest
import torch
from quick_runs import QUICK, RTE_LABELS, record_in, stopped_in, write_official
from safetensors.torch import load_file, save_file

from prompt_tuning.commands import train
from prompt_tuning.composition import points_of
from prompt_tuning.interrupts import StopRequests
from prompt_tuning.prompt_files import save_prompt
from prompt_tuning.run_folder import RunFolder

INNER = "encoder.block.0.layer.0.SelfAttention.q.weight"  # not in a table that is inspected
SETTINGS = ["task=rte", "variant=lm_adapted", "tracking=none", "output_dir=out", "data.dir=data"]


@pytest.fixture
def place(tmp_path, tiny_folder, tiny_checkpoint):
    """A folder with data, a model and two prompts of it."""
    for split in ("train", "val"):
        write_official(tmp_path / "data" / "RTE", split)
    shutil.copytree(tiny_folder, tmp_path / "model")
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        weight = rng.standard_normal((2, tiny_checkpoint.model.hidden_size)).astype(np.float32)
        save_prompt(tmp_path / f"{name}.safetensors", weight, {"target_sentinel": False})
    return tmp_path


def move_weights(place, name="lm_head.weight"):
    """Trains the model of `place`, so to speak."""
    model = place / "model" / "model.safetensors"
    weights = load_file(model)
    weights[name] += torch.ones(1)
    save_file(weights, model, metadata={"format": "pt"})


COMMANDS = {
    "train": ["recipe=mini", "method=model_tuning", "evaluation.report_split=null", *QUICK],
    "evaluate": ["prompt=a.safetensors"],
    "ensemble": ["prompts=[a.safetensors,b.safetensors]"],
    "inspect": ["prompt=a.safetensors"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_record_stands_until_its_rows_or_its_weights_are_others(ptune, place, command):
    """The folder of the data is no part of an identity, the rows' own hash is in the record.

    A score of rows that are no longer there would be told as one of those that are; two processes
    at once would write the same files.
    """

    def repeat(data, status=0):
        given = [*COMMANDS[command], "model.path=model", *SETTINGS[:-1], f"data.dir={data}"]
        return "".join(ptune(command, *given, status=status))

    def assert_stands(data):
        before = path.read_bytes()
        said = repeat(data)
        assert "done before" in said and "again" not in said
        assert path.read_bytes() == before

    repeat("data")
    (path,) = place.glob("out/*/record.json")
    first = record_in(place)
    assert_stands("data")
    shutil.copytree(place / "data", place / "moved")
    assert_stands("moved")

    for split in ("train", "val"):
        write_official(place / "moved" / "RTE", split, RTE_LABELS[::-1])
    with RunFolder(path.parent).claimed():
        said = repeat("moved", status=75)
    assert f"{path.parent.name} is in progress elsewhere: process" in said
    said = repeat("moved")
    assert "done before, but its data have changed since" in said and "is done again" in said
    second = record_in(place)
    name = "train" if "train" in second["data"] else "validation"
    assert first["data"][name]["sha256"] != second["data"][name]["sha256"]
    assert_stands("moved")

    moved = ["lm_head.weight", INNER] if command != "inspect" else ["lm_head.weight"]
    for name, digest in zip(moved, ("fingerprint", "inner_fingerprint"), strict=False):
        move_weights(place, name)
        assert "done before, but the weights in" in repeat("moved")
        third = record_in(place)
        assert second["model"][digest] != third["model"][digest]
    assert_stands("moved")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_record_of_random_weights_stands_beside_the_trained_ones_in_model_path(
    ptune, place, command
):
    """They take that folder's shape and vocabulary alone."""
    move_weights(place)
    given = ["model.path=model", "variant=random_weights", *SETTINGS[2:], SETTINGS[0]]
    ptune(command, *COMMANDS[command], *given)
    said = ptune(command, *COMMANDS[command], *given).out
    assert "done before" in said and "again" not in said


def test_random_weights_take_the_shape_that_is_in_model_path_now(ptune, place):
    """The cache of them is the output folder's, and a path may be relative."""
    given = [*COMMANDS["train"], "model.path=model", "task=rte", "variant=random_weights"]
    given += [*SETTINGS[2:], "rerun=true"]
    ptune("train", *given)
    first = record_in(place)
    described = place / "model" / "config.json"
    smaller = json.loads(described.read_text()) | {"num_layers": 1, "num_decoder_layers": 1}
    described.write_text(json.dumps(smaller))
    ptune("train", *given)
    second = record_in(place)
    assert second["model"]["num_parameters"] < first["model"]["num_parameters"]


def test_random_weights_that_are_damaged_or_gone_are_drawn_again(ptune, place):
    """They lie in a cache, and nobody else has a copy."""
    model = ["model.path=model", "variant=random_weights"]
    given = ["train", "recipe=mini", *QUICK, *model, "task=rte", *SETTINGS[2:], "seed=3"]
    given += ["evaluation.report_split=null"]
    ptune(*given)
    (path,), first = place.glob("out/*-s3-*"), record_in(place)
    (weights,) = place.glob("out/cache/untrained-*/model.safetensors")
    os.truncate(weights, 1000)
    assert "again" not in ptune(*given).out
    assert f"{weights.parent.name} is made again" in ptune(*given, "rerun=true").err
    assert record_in(place)["model"] == first["model"]

    shutil.rmtree(weights.parent)
    use = ["evaluate", f"prompt={path}", "task=rte", *SETTINGS[2:]]
    assert "variant=random_weights" in ptune(*use, status=2).err
    ptune(*use, *model)


def test_a_run_from_a_prompts_file_stands_until_that_is_another(ptune, place):
    init = ["init=from_file", "init.path=a.safetensors", "prompt.length=2"]
    given = ["recipe=mini", "evaluation.report_split=null", *QUICK, "model.path=model", *SETTINGS]
    for said in ("next:", "done before"):
        assert said in ptune("train", *given, *init).out
    shutil.copy(place / "b.safetensors", place / "a.safetensors")
    assert "its data have changed since (init)" in ptune("train", *given, *init).out


def test_an_inspection_without_texts_is_made_again_when_they_are_there(ptune, place):
    """Where they lie is not in its name."""
    given = [*COMMANDS["inspect"], "model.path=model", *SETTINGS]
    for arguments, said in (
        (given[:-1], ""),
        (given, "texts were not there"),
        (given, "done before"),
    ):
        assert said in ptune("inspect", *arguments).out
    assert record_in(place)["data"]


def test_an_experiments_runs_are_trained_again_from_other_data(place, monkeypatch, capsys):
    """Before their prompts vote or are looked at."""
    monkeypatch.chdir(place)
    given = [*COMMANDS["train"], "model.path=model", *SETTINGS]
    points = points_of("train", [*given, "seed=0,1"], multirun=True)
    monkeypatch.setattr(train, "planned_runs", lambda *_: [train.check(p.config) for p in points])

    def said():
        assert len(train.trained_runs("any", [])) == 2
        return capsys.readouterr().out

    said()
    assert said() == ""
    write_official(place / "data" / "RTE", "val", RTE_LABELS[::-1])
    assert said().count("its data have changed since (validation)") == 2
    assert said() == ""


def test_a_run_whose_record_or_prompt_is_not_its_own_or_gone_is_done_again(ptune, place):
    """A wrong copy told the score of another seed, and what stands on a lost prompt stood still."""
    given = ["train", "-m", "recipe=mini", *QUICK, "model.path=model", *SETTINGS, "seed=0,1"]
    given += ["evaluation.report_split=null"]
    ptune(*given)
    folders = [RunFolder(path.parent) for path in sorted(place.glob("out/*/record.json"))]

    def made():
        return [(f.prompt_path.read_bytes(), record_in(f.path)["result"]) for f in folders]

    def swap(name):
        one, other = (folder.path / name for folder in folders)
        kept = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(kept)

    first = made()

    for damage, reason, times in (
        (lambda: swap("record.json"), "its record is of another run", 2),
        (lambda: swap("prompt.safetensors"), "its prompt is of another run", 2),
        (folders[0].prompt_path.unlink, "its prompt is gone or damaged", 1),
        (lambda: os.truncate(folders[0].prompt_path, 99), "its prompt is gone or damaged", 1),
    ):
        damage()
        assert ptune(*given).out.count(f"done before, but {reason}: it is done again") == times
        assert made() == first


def test_a_run_that_was_stopped_does_not_go_on_with_other_data(ptune, place):
    given = [*COMMANDS["train"], "model.path=model", *SETTINGS]
    with stopped_in(StopRequests, "check", 3):
        ptune("train", *given, status=128 + 15)
    write_official(place / "data" / "RTE", "val", RTE_LABELS[::-1])
    assert "since then has changed: validation.sha256" in ptune("train", *given, status=2).err
    write_official(place / "data" / "RTE", "val")
    whole = (place / "model" / "model.safetensors").read_bytes()
    move_weights(place, INNER)
    assert "changed: model.inner_fingerprint" in ptune("train", *given, status=2).err
    (place / "model" / "model.safetensors").write_bytes(whole)
    ptune("train", *given)
