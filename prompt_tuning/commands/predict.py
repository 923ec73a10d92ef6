"""`ptune predict`: rows of mixed tasks in, answers out, each under its own prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from prompt_tuning.commands.rows import check_readable, opened
from prompt_tuning.config import PredictConfig, typed
from prompt_tuning.errors import UserError
from prompt_tuning.prompt_files import PromptFile, library_paths, load_prompts

if TYPE_CHECKING:
    from prompt_tuning.use import Predictor


def check(cfg: DictConfig) -> PredictConfig:
    """What to predict, or why not; reads the prompts, loads no model."""
    config = typed(PredictConfig, cfg)
    check_readable(config.input, key="input")
    if config.input == config.output:
        raise UserError("input and output are the same file", fix="name another output")
    read_prompts(config)
    return config


def run(config: PredictConfig) -> None:
    """Answers the lines of input that the output has no line for."""
    prompts = read_prompts(config)
    output = Path(config.output)
    num_done = whole_lines(output)
    predictor = _predictor(config, prompts)
    num_errors, num_lines = 0, 0
    with opened(config.input) as lines, output.open("a", encoding="utf-8") as answers:
        for answer in predictor.answers(islice(lines, num_done, None)):
            answers.write(json.dumps(answer, ensure_ascii=False) + "\n")
            num_lines, num_errors = num_lines + 1, num_errors + ("error" in answer)
    resumed = f", after {num_done:,} that were there" if num_done else ""
    print(f"{output}: {num_lines:,} lines{resumed}, {num_errors:,} of them errors")


def whole_lines(path: Path) -> int:
    """Lines of an earlier, perhaps stopped, run; an unfinished last one is cut off."""
    if not path.exists():
        return 0
    count = end = 0
    with path.open("rb+") as file:
        for line in file:
            if line.endswith(b"\n"):
                count, end = count + 1, end + len(line)
        file.truncate(end)
    return count


def _predictor(config: PredictConfig, prompts: Mapping[str, PromptFile]) -> Predictor:
    """Loads the model and puts the prompts in front of it."""
    import torch

    from prompt_tuning.model_choice import load_model_of, variant_of
    from prompt_tuning.use import Predictor, Prompt

    by_path = {Path(name): prompt for name, prompt in prompts.items()}
    cache = Path(config.cache_dir)
    checkpoint = load_model_of(by_path, config.model, config.variant, config.machine, cache)
    loaded = {
        name: Prompt(
            torch.from_numpy(prompt.weight).to(checkpoint.model.device),
            prompt.metadata.get("task"),
            variant_of(config.variant, prompt).target_sentinel,
        )
        for name, prompt in prompts.items()
    }
    return Predictor(
        checkpoint,
        loaded,
        config.max_target_tokens,
        config.machine.max_tokens_per_micro_batch,
        config.rows_in_memory,
    )


def read_prompts(config: PredictConfig) -> dict[str, PromptFile]:
    """Every prompt by its name.

    Raises:
        UserError: there is none, or one cannot be read; all of them are told at once.
    """
    paths = {name: Path(path) for name, path in (config.prompts or {}).items()}
    if config.library is not None:
        paths = library_paths(Path(config.library)) | paths
    if not paths:
        where = f" in library={config.library}" if config.library else ""
        raise UserError(
            f"there is no prompt{where}",
            fix="give 'prompts={name: file.safetensors}', or library=<folder of files or runs>",
        )
    return load_prompts(paths)
