"""Time to a fixed dev score: `ptune train`'s loop against PEFT with transformers' Trainer.

Both have the same frozen model, first prompt, batches in the same order, Adafactor, dropout and
evaluations. Without dropout they compute the same, so that only their speed differs.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoModelForSeq2SeqLM,
    PrinterCallback,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    set_seed,
)

from prompt_tuning.bench.costs import Call, cost_of, interleave
from prompt_tuning.bench.hugging_face import padded, with_peft_prompt
from prompt_tuning.bench.settings import BenchConfig
from prompt_tuning.bench.workload import Batch
from prompt_tuning.config import TrainConfig
from prompt_tuning.data.batches import batch_order
from prompt_tuning.data.tokenization import EncodedSplit, decode_ids
from prompt_tuning.evaluation import EvaluationSet, evaluate_prompt, score_of
from prompt_tuning.examples import encode_training_examples, load_splits, scored_examples
from prompt_tuning.interrupts import StopRequests
from prompt_tuning.metrics import score
from prompt_tuning.model_choice import load_model
from prompt_tuning.models.checkpoint_files import located
from prompt_tuning.models.frozen_t5 import FrozenT5
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.models.methods import Method, PromptTuning
from prompt_tuning.optim import Adafactor
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.task_data import data_now, task_of
from prompt_tuning.training.first_prompt import first_prompt
from prompt_tuning.training.walk import training_run


@dataclass
class Course:
    """A run on its way to the target score: what both sides are given, and what it has reached."""

    config: TrainConfig
    checkpoint: Checkpoint
    train: EncodedSplit
    dev: EvaluationSet
    prompt: Tensor  # [P, H], before the first update
    target_score: float
    scores: list[tuple[int, float]] = field(default_factory=list)  # step, dev score
    evaluation_s: float = 0.0

    def keep(self, step: int, find: Callable[[], float]) -> float:
        """The score of a step; its seconds are kept with it."""
        device = self.checkpoint.model.device
        cost = cost_of(lambda: self.scores.append((step, find())), device)
        self.evaluation_s += cost["seconds"]
        return self.scores[-1][1]

    @property
    def is_over(self) -> bool:
        """Whether the last score is high enough."""
        return self.scores[-1][1] >= self.target_score

    def evaluate(self, method: Method, step: int) -> float:
        """Evaluates as `ptune train` does between two steps; ends the run at its target score."""
        max_tokens = self.config.machine.max_tokens_per_micro_batch
        answer = partial(evaluate_prompt, self.checkpoint, method.prompt, self.dev)
        found = self.keep(step, lambda: score_of(answer(max_tokens=max_tokens)))
        if self.is_over:
            raise _ReachedError
        return found

    def on_step(self, step: int, loss: float) -> None:
        """Nothing is logged."""


class _ReachedError(Exception):
    """Ends a run of `ptune train`."""


def measure_end_to_end(
    config: BenchConfig, say: Callable[[str], None], *, train: TrainConfig
) -> dict[str, Any]:
    """Costs of both sides from their first step to the target score, models being loaded.

    The score is that of the run's `evaluation.split`, decoded greedily; its z-loss is left out, as
    Hugging Face's loss has none.
    """
    ready = _prepare(config, train)
    say(f"{', '.join(SIDES)}: {train.task.name} until {config.target_score:g} on dev")
    courses = {
        side: [replace(ready, scores=[]) for _ in range(config.num_rounds)] for side in SIDES
    }
    with TemporaryDirectory() as folder:
        calls = {}
        for side, run_of in SIDES.items():
            run_of(replace(ready, scores=[], target_score=0.0), Path(folder))()  # a warm-up
            calls[side] = [run_of(course, Path(folder)) for course in courses[side]]
        costs = interleave(calls, 1, ready.checkpoint.model.device)
    arms = {
        side: {  # all rounds reach the same, but for their seconds
            "reached": own[-1].is_over,
            "step": own[-1].scores[-1][0],
            "score": own[-1].scores[-1][1],
            "scores": own[-1].scores,
            "evaluation_seconds": [[round(course.evaluation_s, 6)] for course in own],
            **costs[side],
        }
        for side, own in courses.items()
    }
    return {
        "baseline": "peft_trainer",
        "target_score": config.target_score,
        "arms": arms,
        "made_from": {"data": data_now(train), "model": ready.checkpoint.facts()},
    }


def _prepare(config: BenchConfig, train: TrainConfig) -> Course:
    """A course before its first step."""
    training = replace(train.training, z_loss=0.0)
    machine = replace(train.machine, **asdict(config.machine))
    train = replace(train, machine=machine, training=training)
    task, length = task_of(train.task), train.prompt.length
    assert length is not None, train.prompt
    cache = Path(config.output_dir) / "cache"
    checkpoint = load_model(train.model, train.variant, train.machine, cache)
    splits = load_splits(task, train)
    return Course(
        train,
        checkpoint,
        encode_training_examples(splits.train.examples, checkpoint, train),
        scored_examples(task, splits.evaluation.examples, checkpoint, train, train.variant),
        first_prompt(train.init, length, task, checkpoint, seed=train.seed),
        config.target_score,
    )


def _ptune(course: Course, folder: Path) -> Call:
    """The run of `ptune train`."""
    model = course.checkpoint.model
    assert isinstance(model, FrozenT5)
    method = PromptTuning(model, course.prompt.to(model.device, copy=True).requires_grad_())
    training = training_run(course.config, method, course.train, RunFolder(folder))

    def train() -> None:
        with StopRequests() as stop, suppress(_ReachedError):
            training.run(course, stop)

    return train


class _Trainer(Seq2SeqTrainer):
    """The library's, which keeps what an evaluation costs and finds, and stops at the target."""

    course: Course

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The library's, timed."""
        found: dict[str, float] = {}

        def find() -> float:
            found.update(super(_Trainer, self).evaluate(*args, **kwargs))
            return found["eval_score"]

        self.course.keep(self.state.global_step, find)
        self.control.should_training_stop = self.course.is_over
        return found


def _peft_trainer(course: Course, folder: Path) -> Call:
    """A run as PEFT's documentation does it, batches padded to their longest row."""
    config, checkpoint, dev = course.config, course.checkpoint, course.dev
    model = AutoModelForSeq2SeqLM.from_pretrained(
        located(checkpoint.source),
        revision=checkpoint.revision or "main",
        dtype=checkpoint.model.dtype,
        dropout_rate=config.training.dropout,
    )
    peft_model, weight = with_peft_prompt(model, course.prompt)
    adafactor = asdict(config.optimizer)
    optimizer = Adafactor([weight], adafactor.pop("learning_rate"), **adafactor)
    inputs, targets = (
        [torch.tensor(ids) for ids in rows] for rows in (course.train.inputs, course.train.targets)
    )
    order = batch_order(len(inputs), config.training.batch_size, config.seed)
    in_order = [i for step in range(config.training.num_steps) for i in order(step)]
    rows: Any = [(inputs[i], targets[i]) for i in in_order]
    dev_rows: Any = [(ids.cpu(), targets[0]) for ids in dev.inputs]

    def scores(prediction: Any) -> dict[str, float | None]:
        """The task's own score of the generated ids, the start token left out."""
        ids = [[i for i in row[1:].tolist() if i >= 0] for row in prediction.predictions]
        texts = [decode_ids(checkpoint.tokenizer, row) for row in ids]
        return {"score": score(dev.task, dev.examples, texts).score}

    trainer = _Trainer(
        peft_model,
        _arguments(course, folder),
        data_collator=lambda rows: padded(Batch(*zip(*rows, strict=True))),
        train_dataset=rows,
        eval_dataset=dev_rows,
        compute_metrics=scores,
        optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)),
    )
    trainer.course = course
    trainer.remove_callback(PrinterCallback)

    def train() -> None:
        set_seed(config.seed)
        trainer.train()

    return train


def _arguments(course: Course, folder: Path) -> Seq2SeqTrainingArguments:
    """The run's settings; everything else as the library has it, but nothing written."""
    training = course.config.training
    return Seq2SeqTrainingArguments(
        output_dir=str(folder),
        max_steps=training.num_steps,
        per_device_train_batch_size=training.batch_size,
        per_device_eval_batch_size=training.batch_size,
        eval_strategy="steps",
        eval_steps=course.config.evaluation.every_steps,
        predict_with_generate=True,
        generation_max_length=course.dev.max_target_tokens + 1,  # the start token counts there
        max_grad_norm=0.0,  # Adafactor has a clipping of its own
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        use_cpu=course.checkpoint.model.device.type == "cpu",
        dataloader_pin_memory=False,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        seed=course.config.seed,
    )


# Everything is made ready first; the call that is timed trains.
SIDES: dict[str, Callable[[Course, Path], Call]] = {"peft_trainer": _peft_trainer, "ptune": _ptune}
