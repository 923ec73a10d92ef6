"""Prompts that say little of themselves, such as the authors': used, or told what they lack."""

import numpy as np
import pytest

from prompt_tuning.prompt_files import save_prompt

VARIANT = {"variant": "lm_adapted", "lm_adapt_steps": 6000, "target_sentinel": False}
SAID = {
    "nothing": {},
    "task": {"task": "mini_sst2"},
    "name of a variant": {"task": "mini_sst2", "variant": "lm_adapted"},
    "variant": {"task": "mini_sst2", **VARIANT},
}
MODELS = {"none": [], "folder": ["model.path={model}"], "name": ["model=ladder_100k"]}
OTHERS = ["task=mini_sst2", "tracking=none"]
COMMANDS = {
    "evaluate": ["prompt=a.safetensors", "evaluation.num_examples=4", *OTHERS],
    "predict": ["prompt=a.safetensors", "input=rows.jsonl", "output=out.jsonl"],
    "ensemble": ["prompts=[a.safetensors,b.safetensors]", "evaluation.num_examples=4", *OTHERS],
    "inspect": ["prompt=a.safetensors", "num_random_draws=2", *OTHERS],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("said", SAID)
def test_a_prompt_that_says_little_of_itself_is_used_or_told_what_it_lacks(
    ptune, tmp_path, tiny_folder, command, said
):
    """A folder alone is enough where the prompt tells the variant, or its embeddings are asked."""
    for seed, name in enumerate("ab"):
        weight = np.random.default_rng(seed).random((2, 64), np.float32)
        save_prompt(tmp_path / f"{name}.safetensors", weight, SAID[said])
    (tmp_path / "rows.jsonl").write_text('{"inputs": "a joy to watch"}\n')
    for name, chosen in MODELS.items():
        arguments = [text.format(model=tiny_folder) for text in (*COMMANDS[command], *chosen)]
        is_enough = said == "variant" or (command == "inspect" and said in ("nothing", "task"))
        expected = 0 if name == "folder" and is_enough else 2
        said_of_it = ptune(command, *arguments, status=expected).err
        assert ("ptune: error: " in said_of_it) == (expected == 2), (command, said, name)
