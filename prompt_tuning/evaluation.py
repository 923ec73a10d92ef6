"""Evaluation: decode or rank, parse, score; every prediction is kept."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from prompt_tuning.config import DecodingConfig
from prompt_tuning.data.batches import split_by_tokens
from prompt_tuning.data.tokenization import SENTINEL, decode_ids
from prompt_tuning.files import written_whole
from prompt_tuning.metrics import Scores, score
from prompt_tuning.models.decoding import greedy_decode, score_labels
from prompt_tuning.models.frozen_t5 import EOS_ID, EncodedRows, PackedT5, Rows
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.models.memory import tokens_per_micro_batch
from prompt_tuning.protocol import Run
from prompt_tuning.ranks import here
from prompt_tuning.tasks import Example, Task, as_answer_of

PER_TOKEN = "labels_per_token"  # of `config.RANKS`
# The longest input that T5 v1.1 was pre-trained on (Raffel et al., 2020, section 3.1.2).
PRETRAINED_TOKENS = 512
T = TypeVar("T")
OnBatch = Callable[[int], None]


@dataclass(frozen=True)
class EvaluationSet:
    """The examples of one split, ready to be decoded."""

    task: Task
    examples: Sequence[Example]
    inputs: Sequence[Tensor]  # token ids, one tensor an example
    max_target_tokens: int  # decoding stops there
    target_sentinel: bool  # span corruption + sentinel: predictions start with a sentinel
    ends_of_answer: str = ""  # prompt design: characters that end an answer as EOS does
    taught: Task | None = None  # the task in whose words answers come; None: `task` itself
    labels: Sequence[Tensor] = ()  # token ids of the class labels to rank, by class id; (): decode
    rank: str | None = None  # how they are compared


@dataclass(frozen=True)
class Evaluation:
    """Scores of a prompt, and the text that it made the model say for every example."""

    scores: Scores
    predictions: list[str]


def long_inputs(num_long: int) -> str:
    """How many inputs are longer than any of pre-training, in words."""
    counted = f"{num_long:,} inputs have more than the {PRETRAINED_TOKENS} tokens of pre-training"
    return f"{counted}; none is cut"


def rank_text(evaluation: DecodingConfig) -> str:
    """How a task is answered, where that is not the paper's way."""
    return ", the likeliest class label answers" if evaluation.rank else ""


def label_ids(
    checkpoint: Checkpoint, words: Sequence[str], *, target_sentinel: bool
) -> list[Tensor]:
    """Each label as the decoder would say it: token ids that end in EOS."""
    first = [checkpoint.sentinel_id] if target_sentinel else []
    labels = [[*first, *checkpoint.encode_text(word), EOS_ID] for word in words]
    return [torch.tensor(ids, device=checkpoint.model.device) for ids in labels]


@torch.no_grad()
def evaluate_prompt(
    checkpoint: Checkpoint,
    prompt: Tensor,
    data: EvaluationSet,
    *,
    max_tokens: int | None,
    on_batch: OnBatch = lambda num_rows: None,
) -> Evaluation:
    """Answers every example under `prompt` [P, H], as `answers_to`, and scores the text."""
    rows = Rows.under(prompt, data.inputs)
    predictions = answers_to(checkpoint, rows, data, max_tokens=max_tokens, on_batch=on_batch)
    return Evaluation(score(data.task, data.examples, predictions), predictions)


def answered(
    run: Run, checkpoint: Checkpoint, prompt: Tensor, data: EvaluationSet, max_tokens: int | None
) -> Evaluation:
    """What a model says to a split behind a prompt [P, H], with a progress bar.

    A model that is spread answers to the end: other processes answer along, and all stop together.
    """
    stops = not checkpoint.model.is_spread
    with run.counted("evaluating", len(data.examples), stops=stops) as on_batch:
        return evaluate_prompt(checkpoint, prompt, data, max_tokens=max_tokens, on_batch=on_batch)


def answers_to(
    checkpoint: Checkpoint,
    rows: Rows,
    data: EvaluationSet,
    *,
    max_tokens: int | None,
    on_batch: OnBatch,
) -> list[str]:
    """The answer to each row under its prompt: decoded greedily, or the likeliest of the labels.

    `rows` are inputs of `data`, as often as they are asked; `max_tokens` is as in `Questions`.
    """
    words = (data.taught or data.task).verbalizers
    questions = Questions(rows, data.max_target_tokens, max_tokens, data.labels, data.rank)
    if checkpoint.model.is_spread:
        here().broadcast(questions)
    answers = questions.answers(checkpoint.model, on_batch)
    if data.labels:
        return [answer_of(words[label], data) for (label,) in answers]
    return [answer_of(decode_ids(checkpoint.tokenizer, ids), data) for ids in answers]


@dataclass(frozen=True)
class Questions:
    """What a model is asked, in numbers: rows under prompts, and what an answer to each may be."""

    rows: Rows
    max_target_tokens: int  # decoding stops there
    # Encoder positions per forward pass, which change memory, not results; None: as many as
    # training would have.
    max_tokens: int | None
    labels: Sequence[Tensor] = ()  # token ids of each, the likeliest answers; (): decoded greedily
    rank: str | None = None  # how they are compared

    def answers(
        self, model: PackedT5, on_batch: OnBatch = lambda num_rows: None
    ) -> list[list[int]]:
        """One answer a row: the place of the likeliest label, or token ids without EOS.

        `on_batch` gets the number of rows after each forward pass.
        """
        if self.labels:
            scores = self.scores(model, on_batch)
            return torch.stack(scores).argmax(1, True).tolist() if scores else []
        decode = partial(greedy_decode, model, max_target_tokens=self.max_target_tokens)
        return self._in_batches(decode, model, on_batch)

    def scores(self, model: PackedT5, on_batch: OnBatch) -> list[Tensor]:
        """Log-probabilities of the labels, a tensor [K] a row; `on_batch` as in `answers`."""
        per_token = self.rank == PER_TOKEN
        score_rows = partial(score_labels, model, labels=self.labels, per_token=per_token)
        return self._in_batches(score_rows, model, on_batch)

    @torch.no_grad()
    def _in_batches(
        self, answer: Callable[[EncodedRows], Iterable[T]], model: PackedT5, on_batch: OnBatch
    ) -> list[T]:
        """What `answer` makes of each row, in order; rows of like length are encoded together."""
        rows, answers = self.rows, dict[int, T]()
        budget = tokens_per_micro_batch(self.max_tokens, model, rows.lengths, longest_target=1)
        for indices in split_by_tokens(rows.lengths, budget):
            inputs = [rows.inputs[i] for i in indices]
            prompt_of_row = [rows.prompt_of_row[i] for i in indices]
            encoded = model.encode(Rows(rows.prompts, inputs, prompt_of_row))
            answers |= zip(indices, answer(encoded), strict=True)
            on_batch(len(indices))
        return [answers[i] for i in range(len(rows.inputs))]

    def on(self, device: torch.device) -> Self:
        """The same, its tensors on a device."""
        rows = replace(
            self.rows,
            prompts=[prompt.to(device) for prompt in self.rows.prompts],
            inputs=[ids.to(device) for ids in self.rows.inputs],
        )
        return replace(self, rows=rows, labels=[ids.to(device) for ids in self.labels])


def answer_along(model: PackedT5) -> None:
    """Runs what the first process asks a model of which this one has a share, until `let_go`.

    Every process answers every row: with its share of the rows alone each would decode for another
    number of steps, and wait for the others' weights.

    Raises:
        LostProcess: another process of the run has ended.
    """
    while (questions := here().broadcast()) is not None:
        with here().lost():
            questions.on(model.device).answers(model)


def let_go(model: PackedT5) -> None:
    """Ends `answer_along` in the other processes of a spread model: they go on to train, or end."""
    if model.is_spread:
        here().broadcast(None)


def answer_of(text: str, data: EvaluationSet) -> str:
    """The answer in a decoded text: no sentinel, up to where it ends, in the task's own words."""
    if data.target_sentinel:
        text = strip_sentinel(text)
    words = data.task.verbalizers  # a user's may have marks that end an answer
    begin = max((len(word) for word in words if text.startswith(word)), default=0)
    marks = (at for at in range(begin, len(text)) if text[at] in data.ends_of_answer)
    end = next(marks, None)
    answer = text if end is None else text[:end].rstrip()
    return as_answer_of(data.task, answer, data.taught)


def strip_sentinel(text: str) -> str:
    """The prediction behind a leading `<extra_id_0>`, with the space after it.

    Only the span corruption + sentinel arm does this: elsewhere a sentinel makes an answer wrong.
    Source: google-research/prompt-tuning data/postprocessors.py.
    """
    return text.removeprefix(SENTINEL).lstrip()


def score_of(evaluation: Evaluation) -> float:
    """The score that chooses a step, of a split with labels."""
    score = evaluation.scores.score
    assert score is not None, "the split has no labels"
    return score


def constant_answer(task: Task, examples: Sequence[Example]) -> dict[str, Any]:
    """The best score of one answer to everything: the majority class, as the task's metrics see it.

    Of free text it is not the best but the score of "-", which is hardly ever right (WSC scores
    it: "not the referent").
    """
    answers = task.verbalizers or ("-",)
    scores = {answer: score(task, examples, [answer] * len(examples)) for answer in answers}
    best = max(answers, key=lambda answer: scores[answer].score or 0.0)
    return {"answer": best, "metrics": scores[best].metrics, "score": scores[best].score}


def write_predictions(path: Path, data: EvaluationSet, evaluation: Evaluation) -> None:
    """One JSON line an example: idx, targets, class id (null: none), prediction."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        for example, prediction in zip(data.examples, evaluation.predictions, strict=True):
            line = {"idx": example.idx, "targets": example.targets, "label": example.label}
            file.write(json.dumps(line | {"prediction": prediction}, ensure_ascii=False) + "\n")
