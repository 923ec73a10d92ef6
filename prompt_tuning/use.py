"""Using saved prompts: one is scored on a split, or many answer rows of mixed tasks.

Source: Lester et al. (2021), section 2: many tasks in one batch, each row under its own prompt.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prompt_tuning.config import EvaluateConfig, PredictConfig
from prompt_tuning.data.sources import load_split
from prompt_tuning.data.tokenization import decode_ids
from prompt_tuning.errors import UserError
from prompt_tuning.evaluation import (
    PRETRAINED_TOKENS,
    Questions,
    answered,
    label_ids,
    long_inputs,
    rank_text,
    strip_sentinel,
    write_predictions,
)
from prompt_tuning.examples import scored_examples
from prompt_tuning.model_choice import load_model_of, variant_of
from prompt_tuning.models.frozen_t5 import EOS_ID, Rows
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.prompt_files import PromptFile
from prompt_tuning.protocol import started
from prompt_tuning.rows import Line, own_fields, prompt_named_in, row_in
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.task_data import data_spec, task_of, taught_by
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import Task, as_answer_of, in_other_words
from prompt_tuning.terminal import scored_line

Answer = dict[str, Any]  # the row and {"prompt", "prediction"}, or {"error"}


def evaluate(config: EvaluateConfig, folder: RunFolder, prompt: PromptFile, sha256: str) -> None:
    """Answers a split under a saved prompt and scores it; one without labels has no score.

    `prompt` and `sha256` are of the file that the config names. `folder`, which is claimed, gets
    the files, the record last.

    Raises:
        UserError: the data or the model cannot be used, or do not belong to the prompt.
        Interrupted: Ctrl-C or SIGTERM.
    """
    assert config.task is not None, config
    path, task = Path(config.prompt), task_of(config.task)
    limit = config.evaluation.num_examples
    split = load_split(task, config.split, data_spec(config.data), limit=limit)
    variant, machine = variant_of(config.variant, prompt), config.machine
    with started(folder, "evaluate", config) as run:
        prompts = {path: prompt}
        checkpoint = load_model_of(prompts, config.model, config.variant, machine, folder.cache)
        taught = taught_by(prompt.metadata, task)
        data = scored_examples(task, split.examples, checkpoint, config, variant, taught)
        num_long = sum(len(ids) > PRETRAINED_TOKENS for ids in data.inputs)
        run.header(
            {
                "prompt": f"{path}: {prompt.length} x {prompt.hidden_size}, "
                f"trained on {prompt.metadata.get('task', 'an unknown task')}",
                "model": f"{checkpoint.source}: {checkpoint.num_parameters:,} parameters",
                "task": f"{task.name}: {split.size}" + rank_text(config.evaluation),
                **({"long": long_inputs(num_long)} if num_long else {}),
            }
        )
        tracker = run.track(group=task.name, axes=[task.name, config.split, f"P{prompt.length}"])
        weight = torch.from_numpy(prompt.weight).to(checkpoint.model.device)
        evaluation = answered(run, checkpoint, weight, data, machine.max_tokens_per_micro_batch)
        write_predictions(folder.predictions_path(), data, evaluation)
        result = {"split": config.split, **asdict(evaluation.scores)}
        tracker.log(0, {f"eval/{name}": value for name, value in result["metrics"].items()})
        tracker.summarise({"eval/score": result["score"]})
        run.finish(
            {
                "result": result,
                "prompt": {"path": config.prompt, "sha256": sha256},
                "model": checkpoint.facts(),
                "data": {config.split: split.provenance},
            }
        )
        run.say(f"{task.name}: {scored_line(result)}  {folder.record_path}")


@dataclass(frozen=True)
class LoadedPrompt:
    """A prompt on the model's device, ready to answer."""

    weight: Tensor  # [P, H], on the model's device
    target_sentinel: bool  # its answers start with a sentinel
    task: Task | None  # that it was trained on; None: unknown


@dataclass(frozen=True)
class _Query:
    """A row that can be answered."""

    place: int  # among the lines of the window
    name: str  # of the prompt
    prompt: LoadedPrompt
    ids: Tensor  # [T], with EOS
    task: Task | None
    labels: tuple[str, ...]  # one of which is to answer; (): what is decoded
    taught: Task | None  # the task in whose words answers come; None: `task` itself


@dataclass
class Predictor:
    """One frozen model under many prompts."""

    checkpoint: Checkpoint
    prompts: Mapping[str, LoadedPrompt | UserError]  # an error: why rows under it have no answer
    tasks: Mapping[str, str | None]  # of every prompt that a row may name, as `prompt_named_in`
    how: PredictConfig
    only: str | None = None  # the prompt of all rows, whatever they name
    num_long: int = field(default=0, init=False)  # inputs so far beyond the lengths of pre-training

    @property
    def labels(self) -> list[str]:
        """The labels of all tasks of the prompts, whose probabilities answers may have."""
        if not self.how.probabilities:
            return []
        tasks = [p.task for p in self.prompts.values() if isinstance(p, LoadedPrompt) and p.task]
        return list(dict.fromkeys(label for task in tasks for label in task.verbalizers))

    def answers(
        self, lines: Iterable[Line | str], on_batch: Callable[[int], None] = lambda num_rows: None
    ) -> Iterator[Answer]:
        """One answer a line, in the order of the lines, of which so many are in memory at once.

        It has every field of its row, but none of an older answer. A line that is broken gets an
        error, and the rest goes on.

        Args:
            lines: JSON objects in UTF-8, rows, or texts as the model reads them.
            on_batch: called with the number of rows after each forward pass.
        """
        remaining = iter(lines)
        while window := list(islice(remaining, self.how.rows_in_memory)):
            yield from self._answers(window, on_batch)

    def _answers(
        self, lines: Sequence[Line | str], on_batch: Callable[[int], None]
    ) -> list[Answer]:
        """The answers of one window of lines."""
        answers: list[Answer] = []
        groups: dict[tuple[tuple[str, ...], bool], list[_Query]] = {}  # answered alike
        for place, line in enumerate(lines):
            row: Answer = {}
            try:
                row = row_in({"inputs": line} if isinstance(line, str) else line)
                query = self._query(place, row, is_text=isinstance(line, str))
                answers.append(own_fields(row) | {"prompt": query.name})
                group = (query.labels, query.prompt.target_sentinel)
                groups.setdefault(group, []).append(query)
            except ValueError as error:
                reason = str(error).encode("utf-8", "backslashreplace").decode()
                answers.append(own_fields(row) | {"error": reason})
                on_batch(1)
        for queries in groups.values():
            predictions = self._predictions(queries, on_batch)
            for query, prediction in zip(queries, predictions, strict=True):
                text = as_answer_of(query.task, prediction["prediction"], query.taught)
                answers[query.place] |= prediction | {"prediction": text}
        return answers

    def _predictions(
        self, queries: Sequence[_Query], on_batch: Callable[[int], None]
    ) -> Iterator[Answer]:
        """Answers queries with the same labels; their prompts all have a sentinel, or none has."""
        how, model, labels = self.how, self.checkpoint.model, queries[0].labels
        sentinel = queries[0].prompt.target_sentinel
        questions = Questions(
            _rows_of(queries),
            how.max_target_tokens,
            how.machine.max_tokens_per_micro_batch,
            label_ids(self.checkpoint, labels, target_sentinel=sentinel),
            how.rank,
        )
        if not labels:
            for ids in questions.answers(model, on_batch):
                text = decode_ids(self.checkpoint.tokenizer, ids)
                yield {"prediction": strip_sentinel(text) if sentinel else text}
            return
        for scores in questions.scores(model, on_batch):
            answer: Answer = {"prediction": labels[int(scores.argmax())]}
            if how.probabilities:
                shares = scores.double().softmax(0).tolist()
                answer["probabilities"] = dict(zip(labels, shares, strict=True))
            yield answer

    def _query(self, place: int, row: Mapping[str, Any], *, is_text: bool) -> _Query:
        """What a row asks; `is_text`: its `inputs` are no column, whatever the task's are called.

        A row with every column of its prompt's template is read through it, even if a column is
        called task, inputs or row. Any other may name its task.

        Raises:
            ValueError: it is no query, or too long; the message is the reason.
        """
        name = self.only or prompt_named_in(row, self.tasks)
        prompt = self.prompts[name]
        if isinstance(prompt, UserError):
            raise ValueError(prompt.problem)
        task = prompt.task
        if not is_text and _has_every_column(row, task):
            inputs = _question_in(row, task)
        else:
            if self.only is None:
                task = TASKS.get(str(row.get("task"))) or task
            inputs = _inputs_for(row, task)
        taught = in_other_words(prompt.task, task)
        labels = self._labels_for(taught or task)
        return _Query(place, name, prompt, self._token_ids(inputs), task, labels, taught)

    def _labels_for(self, task: Task | None) -> tuple[str, ...]:
        """The class labels, in the words of `task`, of which one answers; (): what is decoded."""
        if self.how.rank is None:
            return ()
        if task is None or not task.verbalizers:
            raise ValueError(f"rank={self.how.rank}, and no class labels are known for this row")
        return task.verbalizers

    def _token_ids(self, inputs: str) -> Tensor:
        """The ids [T] of a text, with EOS; counts those beyond the lengths of pre-training."""
        ids = [*self.checkpoint.encode_text(inputs), EOS_ID]
        if len(ids) > self.how.max_input_tokens:
            raise ValueError(f"{len(ids):,} tokens; max_input_tokens={self.how.max_input_tokens}")
        self.num_long += len(ids) > PRETRAINED_TOKENS
        return torch.tensor(ids, device=self.checkpoint.model.device)


def _rows_of(queries: Sequence[_Query]) -> Rows:
    weights = {query.name: query.prompt.weight for query in queries}
    names = [*weights]
    return Rows(
        [*weights.values()],
        [query.ids for query in queries],
        [names.index(query.name) for query in queries],
    )


def _has_every_column(row: Mapping[str, Any], task: Task | None) -> bool:
    """Whether a row has a cell, which an object is not, for every column of the task's template."""
    columns = task.columns if task else ()
    cells = [row.get(column, {}) for column in columns]
    return bool(columns) and not any(isinstance(cell, dict) for cell in cells)


def _inputs_for(row: Mapping[str, Any], task: Task | None) -> str:
    """What the model reads of a row: its `inputs`; without them its `row`, or itself, as a text.

    Raises:
        ValueError: `inputs` are no text, or stand beside a `row`; or as `_question_in`.
    """
    has_raw_row = isinstance(row.get("row"), dict)
    if "inputs" not in row:
        return _question_in(row["row"] if has_raw_row else row, task)
    if has_raw_row or not isinstance(row["inputs"], str):
        raise ValueError('a row has "inputs" (a text) or "row" (an object), one of them')
    return row["inputs"]


def _question_in(raw: Mapping[str, Any], task: Task | None) -> str:
    """The text of a raw row of a task.

    Raises:
        ValueError: the task is unknown, the row is none of its rows, or holds several questions.
    """
    if task is None:
        raise ValueError('the task of this row is not known: give it "inputs", a text')
    texts = {example.inputs for row in task.flatten(raw) for example in task.examples(row)}
    if len(texts) != 1:
        raise ValueError(f"the row holds {len(texts)} questions: write a line for each")
    return texts.pop()
