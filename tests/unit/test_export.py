"""`ptune export`: the JAX release's array, ptune's own file, the card, the hub's client."""

import ast
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import HfApi
from quick_runs import TOLD, load_exactly
from safetensors.torch import load_file, save_file

import prompt_tuning
from prompt_tuning.errors import UserError
from prompt_tuning.prompt_files import load_prompt, prompt_file, save_prompt

WEIGHT = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def run(tmp_path):
    """A run's folder: a prompt and its record."""
    folder = tmp_path / "run"
    folder.mkdir()
    save_prompt(folder / "prompt.safetensors", WEIGHT, TOLD | {"task": "rte"})
    result = {"split": "validation", "num_examples": 277, "metrics": {"accuracy": 61.25}}
    report = {"split": "test", "num_examples": 9, "metrics": {"accuracy": 50.0, "f1": 40.0}}
    (folder / "record.json").write_text(json.dumps({"result": {**result, "report": report}}))
    return folder


def test_the_model_behind_a_prompt_of_peft_is_the_one_that_ptune_has(ptune, tiny_family, tmp_path):
    """Of its own class and in float32, whatever the file holds; no other weights are taken."""
    folder = Path(shutil.copytree(tiny_family["umt5"], tmp_path / "model"))
    weights = {name: w.bfloat16() for name, w in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    told = TOLD | {"source": str(folder), **load_exactly(str(folder)).fingerprints}
    save_prompt(tmp_path / "p.safetensors", np.ones((2, 64), np.float32), told)
    ptune("export", "prompt=p.safetensors", "output=out", "format=peft")
    program = Path("out/README.md").read_text().split("```")[1].removeprefix("python")
    exec(program.replace("<this folder>", "out"), names := {})
    prompt = prompt_tuning.load("p.safetensors")
    for model in (names["model"], prompt.to_peft()):
        base = model.get_base_model()
        assert (type(base).__name__, base.dtype) == ("UMT5ForConditionalGeneration", torch.float32)
    weights["encoder.block.0.layer.0.SelfAttention.q.weight"] *= 2
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="these are other weights"):
        prompt.to_peft()


@pytest.mark.parametrize("form", ["npy", "safetensors", "peft"])
def test_what_is_written_is_read_again(ptune, run, form):
    output = run.parent / "out"
    output.mkdir()  # an empty one may be there
    ptune("export", "prompt=run", "output=out", f"format={form}")
    path = output / "prompt.npy" if form == "npy" else prompt_file(output)
    assert np.array_equal(load_prompt(path).weight, WEIGHT)
    card = (output / "README.md").read_text()
    assert "- on validation (277 examples): accuracy 61.25\n" in card
    assert "- on test (9 examples): accuracy 50.00, f1 40.00\n" in card
    assert 'base_model: "google/t5-small-lm-adapt"' in card


def test_the_cards_program_takes_the_prompts_revision_and_its_sentinel_away(ptune, run):
    """Another prompt that says a sentinel is wrong, and its card's program must not hide it."""
    ptune("export", "prompt=run", "output=plain", "format=peft")
    told = TOLD | {"task": "rte", "revision": "abc", "target_sentinel": True}
    save_prompt(run / "prompt.safetensors", WEIGHT, told)
    ptune("export", "prompt=run", "output=out", "format=peft")
    plain, card = (Path(folder, "README.md").read_text() for folder in ("plain", "out"))
    assert 'from_pretrained("google/t5-small-lm-adapt", revision="abc",' in card
    assert '.removeprefix("<extra_id_0>")' in card and "removeprefix" not in plain
    assert "skip_special_tokens" not in card and "revision=" not in plain


def test_the_cards_program_holds_any_template(ptune, run):
    own = {"name": "own", "inputs": 'say "{a}"\nnow \\', "target": "b"}
    save_prompt(run / "prompt.safetensors", WEIGHT, TOLD | {"own_task": own})
    ptune("export", "prompt=run", "output=out", "format=peft")
    program = Path("out/README.md").read_text().split("```")[1].removeprefix("python")
    texts = [node.value for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Constant)]
    assert own["inputs"] in texts


def test_a_push_makes_the_repository_and_uploads_the_folder(ptune, monkeypatch, run):
    """The client is a stand-in: the hub cannot be reached."""
    calls = []
    monkeypatch.setattr(HfApi, "create_repo", lambda self, *a, **k: calls.append(("make", a)))
    monkeypatch.setattr(HfApi, "upload_folder", lambda self, **k: calls.append(("upload", k)))
    said = ptune("export", "prompt=run", "output=out", "push=me/rte")
    assert "https://huggingface.co/me/rte" in said.out
    (make, repository), (upload, sent) = calls
    assert (make, upload, repository) == ("make", "upload", ("me/rte",))
    assert sent["repo_id"] == "me/rte" and Path(sent["folder_path"]) == Path("out")
    monkeypatch.setattr(HfApi, "create_repo", lambda *_, **__: int("no network"))
    said = ptune("export", "prompt=run", "output=second", "push=me/rte", status=2)
    assert "hf upload me/rte second" in said.err


def test_the_card_has_no_score_of_another_runs_prompt(ptune, run):
    """A wrong copy: the record beside it is not the prompt's."""
    save_prompt(run / "prompt.safetensors", WEIGHT, TOLD | {"config_hash": "0123abcd"})
    ptune("export", "prompt=run", "output=out")
    assert "accuracy" not in Path("out/README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["prompt=run", "output=run"], "is there and not an empty folder"),
        (["prompt=run", "output=."], "is there and not an empty folder"),
        (["prompt=run", "output=out", "push=me"], "push=me is no repository"),
        (["prompt=run", "output=out", "format=npy", "num_transformer_submodules=2"], "is PEFT's"),
        (["prompt=bare.npy", "output=out"], "does not say which model it belongs to"),
        (["prompt=nowhere", "output=out"], "does not exist"),
        (["prompt=run", "output=dangling"], "dangling\n  fix:     a file or a link stands"),
        (["prompt=run", "output=link"], "link\n  fix:     a file or a link stands"),
    ],
)
def test_what_cannot_be_exported_is_named(ptune, run, arguments, problem):
    np.save(run.parent / "bare.npy", WEIGHT)
    (run.parent / "empty").mkdir()
    for name, target in (("dangling", "out"), ("link", "empty")):
        (run.parent / name).symlink_to(target)
    assert problem in ptune("export", *arguments, status=2).err
    assert not (run.parent / "out").exists()
