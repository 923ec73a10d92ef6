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
from prompt_tuning.tasks import RowError, Task, as_answer_of, in_other_words
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


@dataclass(frozen=True)
class _Query:
    """A row that can be answered."""

    place: int  # among the lines of the window
    prompt: str
    ids: Tensor  # [T], with EOS
    task: Task | None
    labels: tuple[str, ...]  # one of which is to answer; (): what is decoded
    taught: Task | None  # the task in whose words answers come; None: `task` itself


@dataclass
class Predictor:
    """One frozen model under many prompts."""

    checkpoint: Checkpoint
    prompts: Mapping[str, LoadedPrompt]
    unreadable: Mapping[str, str]  # prompts that a row may name all the same: what is wrong
    tasks: Mapping[str, str | None]  # of every prompt that a row may name, also of those not here
    trained_on: Mapping[str, Task | None]  # of the prompts that are here
    how: PredictConfig
    only: str | None = None  # the prompt of all rows, whatever they name
    num_long: int = field(default=0, init=False)  # inputs so far beyond the lengths of pre-training

    @property
    def labels(self) -> list[str]:
        """The labels of all tasks of the prompts, whose probabilities answers may have."""
        tasks = self.trained_on.values() if self.how.probabilities else ()
        return list(dict.fromkeys(word for task in tasks if task for word in task.verbalizers))

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
        queries: dict[tuple[tuple[str, ...], bool], list[_Query]] = {}  # answered alike
        for place, line in enumerate(lines):
            row: Answer = {}
            try:
                row = row_in({"inputs": line} if isinstance(line, str) else line)
                query = self._query(place, row, is_text=isinstance(line, str))
                answers.append(own_fields(row) | {"prompt": query.prompt})
                alike = (query.labels, self.prompts[query.prompt].target_sentinel)
                queries.setdefault(alike, []).append(query)
            except (RowError, ValueError) as error:
                reason = str(error).encode("utf-8", "backslashreplace").decode()
                answers.append(own_fields(row) | {"error": reason})
                on_batch(1)
        for asked in queries.values():
            for query, said in zip(asked, self._said(asked, on_batch), strict=True):
                text = as_answer_of(query.task, said["prediction"], query.taught)
                answers[query.place] |= said | {"prediction": text}
        return answers

    def _said(self, queries: Sequence[_Query], on_batch: Callable[[int], None]) -> Iterator[Answer]:
        """Answers queries with the same labels; their prompts all have a sentinel, or none has."""
        how, model, labels = self.how, self.checkpoint.model, queries[0].labels
        sentinel = self.prompts[queries[0].prompt].target_sentinel
        label_rows = label_ids(self.checkpoint, labels, target_sentinel=sentinel)
        max_tokens = how.machine.max_tokens_per_micro_batch
        rows = self._rows(queries)
        questions = Questions(rows, how.max_target_tokens, max_tokens, label_rows, how.rank)
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

    def _rows(self, queries: Sequence[_Query]) -> Rows:
        names = [*self.prompts]
        return Rows(
            [prompt.weight for prompt in self.prompts.values()],
            [query.ids for query in queries],
            [names.index(query.prompt) for query in queries],
        )

    def _query(self, place: int, row: Mapping[str, Any], *, is_text: bool) -> _Query:
        """What a row asks; `is_text`: its `inputs` are no column, whatever the task's are called.

        Raises:
            ValueError: it is no query, or too long; the message is the reason.
        """
        name = self.only or prompt_named_in(row, self.tasks)
        if name in self.unreadable:
            raise ValueError(self.unreadable[name])
        task = trained = self.trained_on[name]
        # A row with every column of its template is read through the template, even if a column is
        # called task, inputs or row.
        columns = task.columns if task and not is_text else ()
        is_of_columns = bool(columns) and not any(
            isinstance(row.get(column, {}), dict) for column in columns
        )
        if self.only is None and not is_of_columns:
            task = TASKS.get(str(row.get("task"))) or task
        taught = in_other_words(trained, task)
        match row:
            case _ if is_of_columns:
                inputs = _inputs_of(task, row)
            case {"inputs": str(inputs)} if not isinstance(row.get("row"), dict):
                pass
            case {"row": dict(raw)} if "inputs" not in row:
                inputs = _inputs_of(task, raw)
            case {"inputs": _}:
                raise ValueError('a row has "inputs" (a text) or "row" (an object), one of them')
            case _:
                inputs = _inputs_of(task, row)
        in_words_of = taught or task
        labels = in_words_of.verbalizers if in_words_of and self.how.rank else ()
        if self.how.rank and not labels:
            raise ValueError(f"rank={self.how.rank}, and no class labels are known for this row")
        ids = [*self.checkpoint.encode_text(inputs), EOS_ID]
        if len(ids) > self.how.max_input_tokens:
            raise ValueError(f"{len(ids):,} tokens; max_input_tokens={self.how.max_input_tokens}")
        self.num_long += len(ids) > PRETRAINED_TOKENS
        tensor = torch.tensor(ids, device=self.checkpoint.model.device)
        return _Query(place, name, tensor, task, labels, taught)


def _inputs_of(task: Task | None, raw: Mapping[str, Any]) -> str:
    """The text of a raw row, which must be a single question of its task."""
    if task is None:
        raise ValueError('the task of this row is not known: give it "inputs", a text')
    texts = {example.inputs for row in task.flatten(raw) for example in task.examples(row)}
    if len(texts) != 1:
        raise ValueError(f"the row holds {len(texts)} questions: write a line for each")
    return texts.pop()
