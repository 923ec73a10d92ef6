"""Damaged copies of the files that a run reads: made again with a line, or named in an error."""

import json
import shutil

import numpy as np
import pytest
import torch
from faults.damages import DAMAGES, RUN
from quick_runs import TOLD

from prompt_tuning.commands.list import list_prompts, list_runs
from prompt_tuning.data.tokenization import encode_split
from prompt_tuning.errors import UserError
from prompt_tuning.files import json_lines
from prompt_tuning.ladder.shipped_models import embedded_folder
from prompt_tuning.made_from import fingerprints_of
from prompt_tuning.prompt_files import load_prompt, save_prompt
from prompt_tuning.resume_points import load_state, save_state
from prompt_tuning.tasks import Example
from prompt_tuning.tracking import Tracker

EVERY_DAMAGE = pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))


@pytest.mark.faults
@EVERY_DAMAGE
def test_a_run_with_every_file_damaged_is_made_again_and_scores_the_same(
    ptune, damage, finished, tmp_path
):
    """Its record, what stands beside it, and the token cache that it shares with others."""
    shutil.copytree(finished / "runs", tmp_path / "runs")
    (record,) = tmp_path.glob("runs/*/record.json")
    expected = json.loads(record.read_text())["result"]
    for name in ("config.json", "metrics.jsonl", "failure.json", "lock", "resume.pt"):
        record.with_name(name).touch()
        damage(record.with_name(name))
    for path in tmp_path.glob("runs/cache/*.npz"):
        damage(path)
    damage(record)
    ptune("list", "what=runs", "output_dir=runs")
    ptune(*RUN)
    assert json.loads(record.read_text())["result"] == expected


@EVERY_DAMAGE
def test_a_damaged_file_of_a_run_hides_no_other_run(damage, tmp_path, capsys):
    for name in ("config.json", "failure.json", "lock", "record.json", "resume.pt"):
        folder = tmp_path / f"with-{name}"
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / name).write_text('{"result": {}}')
        damage(folder / name)
    list_runs(tmp_path, None, [])
    shown = capsys.readouterr().out
    for name in ("config.json", "failure.json", "lock", "resume.pt"):
        assert f"with-{name}" in shown


@EVERY_DAMAGE
def test_a_damaged_prompt_is_named_and_hides_no_other(damage, tmp_path, capsys):
    for name in ("whole", "broken"):
        save_prompt(tmp_path / f"{name}.safetensors", np.ones((2, 4), np.float32), {"task": "rte"})
    damage(tmp_path / "broken.safetensors")
    list_prompts(tmp_path)
    shown = capsys.readouterr().out
    assert "whole" in shown and "broken" in shown
    assert "cannot be read" in shown


@EVERY_DAMAGE
def test_damaged_curves_lose_only_what_is_damaged(damage, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f'{{"step": {step}, "x": 1.0}}\n' for step in range(9)))
    damage(path)
    with Tracker(tmp_path, None, {}, step=8) as tracker:
        tracker.log(9, {"x": 1.0})
    objects, num_damaged = json_lines(path)
    assert objects[-1] == {"step": 9, "x": 1.0} and not num_damaged


@EVERY_DAMAGE
def test_a_damaged_token_cache_is_made_again(damage, tiny_checkpoint, tmp_path):
    examples = [Example(f"a joy {i}", "positive", idx=i) for i in range(20)]
    limits = {"max_input_tokens": 9, "max_target_tokens": None, "target_sentinel_id": None}
    tokenizer = tiny_checkpoint.tokenizer
    whole = encode_split(examples, tokenizer, **limits, cache_dir=tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    damage(path)
    assert encode_split(examples, tokenizer, **limits, cache_dir=tmp_path) == whole
    assert len(path.read_bytes()) == len(content)


@EVERY_DAMAGE
def test_a_finished_run_whose_weights_are_damaged_keeps_its_record(damage, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes((embedded_folder("embedded:ladder_100k/6000") / path.name).read_bytes())
    assert fingerprints_of(tmp_path)
    damage(path)
    if damage is DAMAGES["flipped"]:
        assert fingerprints_of(tmp_path)  # of the same header: other weights, or not
        return
    with pytest.raises(UserError, match=r"weights in .* are damaged"):
        fingerprints_of(tmp_path)


@EVERY_DAMAGE
def test_a_damaged_resume_point_is_never_loaded(damage, tmp_path):
    path = tmp_path / "resume.pt"
    save_state(path, {"progress": {"step": 3}, "trained": torch.ones(20, 32)})
    damage(path)
    assert load_state(path) is None


@pytest.mark.parametrize(
    "described",
    [
        {"source": "embedded:../../../../etc"},
        {"source": "../somewhere/else"},
        {"source": "google/.."},
        {"revision": "../../refs"},
        {"score": "high"},
        {"seed": True},
        {"task": ["rte"]},
        {"format": 2},
        {"lm_adapt_steps": "100000"},
        {"variant": None},
    ],
    ids=str,
)
def test_metadata_of_a_wrong_kind_or_that_leave_their_place_are_refused(described, tmp_path):
    whole = TOLD | {"task": "rte"}
    path = tmp_path / "prompt.safetensors"
    save_prompt(path, np.ones((2, 4), np.float32), whole)
    assert load_prompt(path).metadata["task"] == "rte"
    save_prompt(path, np.ones((2, 4), np.float32), whole | described)
    with pytest.raises(UserError, match=r"prompt\.safetensors cannot be read"):
        load_prompt(path)


def test_metadata_are_shown_without_terminal_escapes(tmp_path):
    path = tmp_path / "prompt.safetensors"
    save_prompt(path, np.ones((2, 4), np.float32), {"task": "rte\x1b]0;owned\x07"})
    assert load_prompt(path).metadata["task"] == "rte?]0;owned?"


def test_a_prompt_that_overflows_in_float32_is_refused(tmp_path):
    path = tmp_path / "prompt.npy"
    np.save(path, np.full((2, 4), 1e300))
    with pytest.raises(UserError, match="not finite in float32"):
        load_prompt(path)
