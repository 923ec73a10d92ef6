"""Prompt files: what is saved comes back, and what does not fit is refused by name."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.numpy import save_file

from prompt_tuning.errors import UserError
from prompt_tuning.inspection.measures import norm_measures
from prompt_tuning.prompt_files import (
    PromptFile,
    check_fits,
    load_prompt,
    prompt_file,
    save_prompt,
)

WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize("init", [None, WEIGHT + 1])
def test_a_saved_prompt_comes_back_with_its_metadata_and_what_it_was_before_training(
    tmp_path, init
):
    """Drift can be measured from the file alone; a file from before has no init."""
    path = tmp_path / "prompt.safetensors"
    save_prompt(path, WEIGHT, {"task": "rte", "score": 68.6, "revision": None}, init=init)
    prompt = load_prompt(path)
    np.testing.assert_array_equal(prompt.weight, WEIGHT)
    assert (prompt.length, prompt.hidden_size) == (3, 4)
    assert prompt.metadata == {"format": 1, "task": "rte", "score": 68.6, "revision": None}
    assert [p.name for p in tmp_path.iterdir()] == ["prompt.safetensors"]
    (tmp_path / "other").touch()  # others may read the one as the other
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode
    assert (prompt.init is None) == (init is None)
    np.testing.assert_array_equal(prompt.init, init)
    (tmp_path / "npy").mkdir()
    np.save(tmp_path / "npy" / "prompt.npy", WEIGHT)
    assert load_prompt(tmp_path / "npy" / "prompt.npy").init is None
    with pytest.raises(UserError, match=r"or an \.npy file itself"):
        prompt_file(tmp_path / "npy")


def test_the_labels_of_a_prompts_task_keep_their_order(tmp_path):
    """The first one's class is 0, and F1 is of the second."""
    path, labels = tmp_path / "prompt.safetensors", {"spam": "spam", "ham": "ham"}
    save_prompt(path, WEIGHT, {"own_task": {"labels": labels}})
    assert [*load_prompt(path).metadata["own_task"]["labels"]] == ["spam", "ham"]


PUBLISHED = {  # RMS of a number; mean, smallest and largest norm of a row
    "sst2": (51.8, 1385, 344, 2177),
    "mrpc": (32.3, 868, 316, 1473),
    "rte": (34.5, 903, 235, 2004),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_authors_prompts_have_the_norms_that_were_read_from_them(shared_data, name):
    """Released .npy files. Source: google-research/prompt-tuning's pretrained_prompts."""
    folder = shared_data / "pretrained_prompts" / "t5_1_1_lm100k_base"
    prompt = load_prompt(folder / f"{name}.npy")
    assert (prompt.length, prompt.hidden_size) == (100, 768)
    assert (prompt.metadata, prompt.init) == ({}, None)
    measured, (rms, *norms) = norm_measures(prompt.weight), PUBLISHED[name]
    assert measured["rms"] == pytest.approx(rms, abs=0.05)
    assert [measured[key] for key in ("mean", "min", "max")] == pytest.approx(norms, abs=1)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing.npy", None, "does not exist"),
        ("broken.npy", b"not an array", "cannot be read"),
        ("broken.safetensors", b"not a tensor", "cannot be read"),
        ("flat.npy", np.ones(3, np.float32), "shape (3,)"),
        ("empty.npy", np.ones((0, 4), np.float32), "shape (0, 4)"),
        ("whole.npy", np.ones((3, 4), np.int64), "int64"),
        ("nan.npy", np.full((3, 4), np.nan, np.float32), "not finite"),
    ],
)
def test_what_is_no_prompt_is_refused_with_the_reason(tmp_path, name, content, reason):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    with pytest.raises(UserError) as error:
        load_prompt(path)
    assert reason in str(error.value)
    assert str(path) in str(error.value)


def test_a_prompt_of_another_width_or_of_other_weights_is_refused():
    """An older prompt knows its model by the ends alone, an array of numbers not at all."""
    source, path = {"source": "google/t5-base-lm-adapt"}, Path("p.safetensors")
    older, prompt = {"fingerprint": "aa"}, {"fingerprint": "aa", "inner_fingerprint": "cc"}
    for known, found in ((prompt, prompt), (prompt, older), (older, prompt), ({}, prompt)):
        check_fits(PromptFile(WEIGHT, source | known), path, hidden_size=4, fingerprints=found)
    with pytest.raises(UserError, match="width 4 and the model 8") as error:
        check_fits(PromptFile(WEIGHT, source), path, hidden_size=8, fingerprints=prompt)
    assert "google/t5-base-lm-adapt" in str(error.value)
    for other in ({"fingerprint": "bb"}, {"inner_fingerprint": "dd"}):
        with pytest.raises(UserError, match=r"weights (aa|cc).*other weights \((bb|dd)\)"):
            check_fits(PromptFile(WEIGHT, prompt), path, hidden_size=4, fingerprints=prompt | other)


@pytest.mark.parametrize("num_submodules", [1, 2])
def test_a_prompt_of_peft_is_read_as_the_rows_before_the_encoders_input(tmp_path, num_submodules):
    """PEFT's default for T5 stores 2P rows, of which it uses the first P."""
    stored = np.arange(5 * num_submodules * 4, dtype=np.float32).reshape(-1, 4)
    save_file({"prompt_embeddings": stored}, tmp_path / "adapter_model.safetensors")
    config = {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 5}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    prompt = load_prompt(tmp_path / "adapter_model.safetensors")
    np.testing.assert_array_equal(prompt.weight, stored[:5])
    for number in (4, 7, 20, -5, 0, None, True, "5"):
        config["num_virtual_tokens"] = number
        (tmp_path / "adapter_config.json").write_text(json.dumps(config))
        with pytest.raises(UserError, match=f"_tokens={number} beside {len(stored)} rows"):
            load_prompt(tmp_path / "adapter_model.safetensors")


def test_bfloat16_is_read_as_the_same_numbers(tmp_path):
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    safetensors.torch.save_file({"prompt": weight}, tmp_path / "prompt.safetensors")
    prompt = load_prompt(tmp_path / "prompt.safetensors")
    np.testing.assert_array_equal(prompt.weight, weight.float().numpy())
