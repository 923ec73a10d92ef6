"""What the package ships: small, loadable, with every word of its world, and its own history."""

import json

import pytest
import torch
from quick_runs import load_exactly, train_config_of
from safetensors.torch import load_file

from prompt_tuning.config import choices
from prompt_tuning.data.sources import DataSpec, load_split
from prompt_tuning.errors import UserError
from prompt_tuning.ladder.mini_tasks import MINI
from prompt_tuning.ladder.shipped_models import EMBEDDED, EMBEDDED_MODELS
from prompt_tuning.ladder.world import LADDER_WORLD, World
from prompt_tuning.models.checkpoint_files import located

LADDER = [name for name in choices("model") if name.startswith("ladder_")]
MAX_BYTES = 40e6


def load(folder):
    return load_exactly(EMBEDDED + folder)


def test_every_model_that_is_shipped_can_be_chosen():
    assert LADDER
    assert sorted(path.name for path in EMBEDDED_MODELS.iterdir()) == sorted(LADDER)


def test_all_models_together_are_small():
    files = [path for path in EMBEDDED_MODELS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MAX_BYTES


@pytest.mark.parametrize("name", LADDER)
def test_a_model_has_all_its_checkpoints_in_bfloat16_and_its_history(name):
    model = train_config_of(f"model={name}").model
    loaded = {steps: load(folder) for steps, folder in model.checkpoints.items()}
    ends = {checkpoint.fingerprints["fingerprint"] for checkpoint in loaded.values()}
    assert len(ends) == len(loaded) == 4
    for steps, checkpoint in loaded.items():
        assert checkpoint.model.hidden_size == model.hidden_size
        stored = load_file(EMBEDDED_MODELS / model.checkpoints[steps] / "model.safetensors")
        assert {weight.dtype for weight in stored.values()} == {torch.bfloat16}
    history = json.loads((EMBEDDED_MODELS / name / "training.json").read_text())
    adapted = [run for run in history.values() if run["kind"] == "adapt"]
    assert sum(run["config"]["pretraining"]["num_steps"] for run in adapted) == model.lm_adapt_steps
    for run in history.values():
        assert run["num_parameters"] == loaded[0].num_parameters
        assert run["data"]["source"]["world"]["seed"] == LADDER_WORLD.seed
        assert run["result"].keys() >= {"held_out_loss", "probes", "num_tokens"}


@pytest.mark.parametrize("name", LADDER)
def test_every_word_of_the_world_and_every_verdict_is_a_piece(name):
    """An unknown word would make its items unanswerable, a verdict in pieces hard to learn."""
    checkpoint = load(f"{name}/0")
    for word in World(LADDER_WORLD).all_words():
        (token_id,) = checkpoint.encode_text(word)
        assert token_id != checkpoint.tokenizer.unk_token_id, word
    for task in MINI:
        for example in load_split(task, "test", DataSpec("embedded"), limit=50).examples:
            ids = checkpoint.encode_text(f"{example.inputs} {example.targets}")
            assert checkpoint.tokenizer.unk_token_id not in ids, example


def test_a_model_is_named_without_the_place_where_the_package_lies():
    """A prompt or record that named a path would be of no use in another environment."""
    checkpoint = load("ladder_100k/6000")
    assert checkpoint.source == "embedded:ladder_100k/6000"
    assert located("google/t5-small-lm-adapt") == "google/t5-small-lm-adapt"
    assert located(str(EMBEDDED_MODELS)) == str(EMBEDDED_MODELS)


def test_a_prompt_of_an_embedded_model_that_is_not_there_names_those_that_are():
    with pytest.raises(UserError, match="no model embedded:ladder_9m/6000") as error:
        load("ladder_9m/6000")
    assert "embedded:ladder_400k/6000" in str(error.value)
