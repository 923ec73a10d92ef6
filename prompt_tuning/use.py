"""Using saved prompts: one is scored on a split, or many answer rows of mixed tasks.

Source: Lester et al. (2021), section 2: many tasks in one batch, each row under its own prompt.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prompt_tuning.config import EvaluateConfig
from prompt_tuning.data.sources import load_split
from prompt_tuning.data.tokenization import decode_ids
from prompt_tuning.evaluation import (
    decode_tokens,
    evaluate_prompt,
    long_inputs_line,
    strip_sentinel,
    write_predictions,
)
from prompt_tuning.examples import scored_examples
from prompt_tuning.model_choice import load_model_of, variant_of
from prompt_tuning.models.frozen_t5 import EOS_ID, Rows
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.prompt_files import PromptFile
from prompt_tuning.protocol import started
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.task_data import data_spec, task_of
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import RowError
from prompt_tuning.terminal import scored_line
from prompt_tuning.train.outcome import model_facts, rank_text

Answer = dict[str, Any]  # {"prompt", "prediction"}, or {"error"}


def evaluate(config: EvaluateConfig, folder: RunFolder, prompt: PromptFile, sha256: str) -> None:
    """Answers a split under a saved prompt and scores it; one without labels has no score.

    Args:
        config: the evaluation.
        folder: where it leaves its files, the record last; claimed.
        prompt: what is in the file that the config names.
        sha256: of that file.

    Raises:
        UserError: the data or the model cannot be used, or do not belong to the prompt.
        Interrupted: Ctrl-C or SIGTERM.
    """
    path, task = Path(config.prompt), task_of(config.task)
    limit = config.evaluation.num_examples
    split = load_split(task, config.split, data_spec(config.data), limit=limit)
    variant = variant_of(config.variant, prompt)
    max_tokens = config.machine.max_tokens_per_micro_batch
    with started(folder, "evaluate", config) as run:
        prompts = {path: prompt}
        checkpoint = load_model_of(
            prompts, config.model, config.variant, config.machine, folder.cache
        )
        data = scored_examples(task, split.examples, checkpoint, config, variant)
        run.header(
            {
                "prompt": f"{path}: {prompt.length} x {prompt.hidden_size}, "
                f"trained on {prompt.metadata.get('task', 'an unknown task')}",
                "model": f"{checkpoint.source}: {checkpoint.num_parameters:,} parameters",
                "task": f"{task.name}: {split.size}" + rank_text(config.evaluation),
                **long_inputs_line(data),
            }
        )
        axes = [task.name, config.split, f"P{prompt.length}"]
        tracker = run.track(group=task.name, axes=axes)
        weight = torch.from_numpy(prompt.weight).to(checkpoint.model.device)
        with run.counted("evaluating", len(split.examples)) as on_batch:
            evaluation = evaluate_prompt(
                checkpoint, weight, data, max_tokens=max_tokens, on_batch=on_batch
            )
        write_predictions(folder.predictions_path(), data, evaluation)
        result = {"split": config.split, **asdict(evaluation.scores)}
        tracker.log(0, {f"eval/{name}": value for name, value in result["metrics"].items()})
        tracker.summarise({"eval/score": result["score"]})
        run.finish(
            {
                "result": result,
                "prompt": {"path": config.prompt, "sha256": sha256},
                "model": model_facts(checkpoint),
                "data": {config.split: split.provenance},
            }
        )
        run.say(f"{task.name}: {scored_line(result)}  {folder.record_path}")


@dataclass(frozen=True)
class Prompt:
    """A prompt among others."""

    weight: Tensor  # [P, H], on the model's device
    task: str | None  # that it was trained on, if it says so
    target_sentinel: bool  # its answers start with a sentinel


@dataclass(frozen=True)
class Predictor:
    """One frozen model under many prompts."""

    checkpoint: Checkpoint
    prompts: Mapping[str, Prompt]
    max_target_tokens: int
    max_tokens: int  # encoder positions per forward pass; changes memory, not results
    rows_in_memory: int

    def answers(self, lines: Iterable[bytes]) -> Iterator[Answer]:
        """One answer a line, in the order of the lines, of which so many are in memory at once.

        Args:
            lines: JSON objects in UTF-8; one that is broken gets an error, and the rest goes on.
        """
        remaining = iter(lines)
        while window := list(islice(remaining, self.rows_in_memory)):
            yield from self._answers(window)

    def _answers(self, lines: Sequence[bytes]) -> list[Answer]:
        """Those of one window."""
        answers: list[Answer] = []
        queries: list[tuple[int, str, Tensor]] = []  # place among the lines, prompt's name, ids
        for place, line in enumerate(lines):
            try:
                name, inputs = self._query(line)
                answers.append({"prompt": name})
                queries.append((place, name, self._encoded(inputs)))
            except (RowError, ValueError) as error:
                answers.append({"error": str(error)})
        names = [*self.prompts]
        said = decode_tokens(
            self.checkpoint.model,
            Rows(
                [prompt.weight for prompt in self.prompts.values()],
                [ids for _, _, ids in queries],
                [names.index(name) for _, name, _ in queries],
            ),
            max_target_tokens=self.max_target_tokens,
            max_tokens=self.max_tokens,
        )
        for (place, name, _), ids in zip(queries, said, strict=True):
            text = decode_ids(self.checkpoint.tokenizer, ids)
            sentinel = self.prompts[name].target_sentinel
            answers[place]["prediction"] = strip_sentinel(text) if sentinel else text
        return answers

    def _encoded(self, inputs: str) -> Tensor:
        ids = [*self.checkpoint.encode_text(inputs), EOS_ID]
        return torch.tensor(ids, device=self.checkpoint.model.device)

    def _query(self, line: bytes) -> tuple[str, str]:
        """A line's prompt and inputs.

        Raises:
            ValueError: it is no query; the message is the reason.
        """
        row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError(f"a {type(row).__name__} where an object belongs")
        name = self._prompt_of(row)
        match row:
            case {"inputs": str(inputs), **rest} if "row" not in rest:
                return name, inputs
            case {"row": dict(raw), **rest} if "inputs" not in rest:
                task = row.get("task", self.prompts[name].task)
                if task not in TASKS:
                    raise ValueError(f"task {task} of this row is not known")
                return name, _inputs_of(task, raw)
        raise ValueError('a row needs "inputs" (a text) or "row" (a raw row of its task)')

    def _prompt_of(self, row: Mapping[str, Any]) -> str:
        """By its own name, else by the task's: the prompt so called, or the one trained on it."""
        if "prompt" in row:
            if row["prompt"] not in self.prompts:
                raise ValueError(f"no prompt {row['prompt']}; there are {', '.join(self.prompts)}")
            return str(row["prompt"])
        task = row.get("task")
        if task in self.prompts:
            return str(task)
        trained = [name for name, prompt in self.prompts.items() if prompt.task == task]
        if task is None or len(trained) != 1:
            raise ValueError(
                f'{len(trained)} prompts for task {task}: name one with "prompt"'
                if task is not None
                else 'a row needs "prompt" or "task"'
            )
        return trained[0]


def _inputs_of(task: str, raw: Mapping[str, Any]) -> str:
    """The text of a raw row, which must be a single question of its task."""
    flat = TASKS[task].flatten(raw)
    texts = {example.inputs for row in flat for example in TASKS[task].examples(row)}
    if len(texts) != 1:
        raise ValueError(f"the row holds {len(texts)} questions: write a line for each")
    return texts.pop()
