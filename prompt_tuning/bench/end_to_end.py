"""Time to a fixed dev score: `ptune train`'s loop against PEFT with transformers' Trainer.

Both have the same frozen model, first prompt, batches in the same order, Adafactor, dropout and
evaluations. Without dropout they compute the same, so that only their speed differs.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from transformers import (
    PrinterCallback,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    T5ForConditionalGeneration,
    set_seed,
)

from prompt_tuning.assembly import first_prompt, load_model
from prompt_tuning.bench.costs import Call, cost_of, interleave
from prompt_tuning.bench.hugging_face import padded, with_peft_prompt
from prompt_tuning.bench.settings import BenchConfig
from prompt_tuning.bench.workload import Batch
from prompt_tuning.config import TrainConfig
from prompt_tuning.data.batches import BatchOrder
from prompt_tuning.data.sources import load_split
from prompt_tuning.data.tokenization import EncodedSplit, decode_ids
from prompt_tuning.embedded import located
from prompt_tuning.evaluation import EvaluationSet, evaluate_prompt, evaluation_set, score_of
from prompt_tuning.interrupts import StopRequests
from prompt_tuning.metrics import score
from prompt_tuning.models.frozen_t5 import FrozenT5
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.models.methods import Method, PromptTuning
from prompt_tuning.optim import Adafactor
from prompt_tuning.records import RunFolder
from prompt_tuning.runs.parts import (
    encode_training_examples,
    load_training_split,
    training_run,
)
from prompt_tuning.task_data import data_spec, task_of


@dataclass(frozen=True)
class Race:
    """What both sides are given."""

    config: TrainConfig
    checkpoint: Checkpoint
    train: EncodedSplit
    dev: EvaluationSet
    prompt: Tensor  # [P, H], before the first update


@dataclass
class Course:
    """What a run has reached so far, and what its evaluations cost."""

    target_score: float
    scores: list[tuple[int, float]] = field(default_factory=list)  # step, dev score
    evaluation_s: float = 0.0

    def evaluate(self, step: int, device: torch.device, find: Callable[[], float]) -> float:
        """Scores a step, keeping score and cost."""
        cost = cost_of(lambda: self.scores.append((step, find())), device)
        self.evaluation_s += cost["seconds"]
        return self.scores[-1][1]

    @property
    def is_over(self) -> bool:
        """Whether the last score is high enough."""
        return self.scores[-1][1] >= self.target_score


def measure_end_to_end(
    config: BenchConfig, say: Callable[[str], None], *, train: TrainConfig
) -> dict[str, Any]:
    """Costs of both sides from their first step to the target score, models being loaded.

    Args:
        config: the target score and the machine.
        say: told what is being measured.
        train: the run; its z-loss is left out, as Hugging Face's loss has none. The score is that
            of its `evaluation.split`, decoded greedily.
    """
    training = replace(train.training, z_loss=0.0)
    race = _prepare(replace(train, machine=config.machine, training=training), config.output_dir)
    device = race.checkpoint.model.device
    say(f"{', '.join(TRAINERS)}: {train.task.name} until {config.target_score:g} on dev")
    courses = {
        name: [Course(config.target_score) for _ in range(config.num_rounds)] for name in TRAINERS
    }
    with TemporaryDirectory() as folder:
        calls = {}
        for name, trainer_of in TRAINERS.items():
            trainer_of(race, Course(0.0), Path(folder))()  # the first evaluation ends it: a warm-up
            calls[name] = [trainer_of(race, course, Path(folder)) for course in courses[name]]
        costs = interleave(calls, 1, device)
    return {
        "baseline": "peft_trainer",
        "target_score": config.target_score,
        "arms": {name: {**_facts(courses[name]), **costs[name]} for name in TRAINERS},
    }


def _facts(courses: Sequence[Course]) -> dict[str, Any]:
    """What the rounds of an arm reached: all the same, but for their seconds."""
    course = courses[-1]
    step, reached = course.scores[-1]
    return {
        "reached": course.is_over,
        "step": step,
        "score": reached,
        "scores": course.scores,
        "evaluation_seconds": [[round(each.evaluation_s, 6)] for each in courses],
    }


def _prepare(config: TrainConfig, output_dir: str) -> Race:
    task, evaluation, length = task_of(config.task), config.evaluation, config.prompt.length
    assert length is not None, config.prompt
    cache = Path(output_dir) / "cache"
    checkpoint = load_model(config.model, config.variant, config.machine, cache)
    examples = load_training_split(task, config, "taskless").examples
    spec = data_spec(config.data)
    dev = load_split(task, evaluation.split, spec, limit=evaluation.num_examples).examples
    return Race(
        config,
        checkpoint,
        encode_training_examples(examples, checkpoint, config),
        evaluation_set(task, dev, checkpoint),
        first_prompt(config.init, length, task, checkpoint, seed=config.seed),
    )


class _ReachedError(Exception):
    """Ends a run at its target score."""


@dataclass
class _Watch:
    """Evaluates as `ptune train` does."""

    race: Race
    course: Course

    def evaluate(self, method: Method, step: int) -> float:
        """The dev score of a step."""
        checkpoint, dev, machine = self.race.checkpoint, self.race.dev, self.race.config.machine
        max_tokens = machine.max_tokens_per_micro_batch

        def find() -> float:
            return score_of(evaluate_prompt(checkpoint, method.prompt, dev, max_tokens=max_tokens))

        found = self.course.evaluate(step, checkpoint.model.device, find)
        if self.course.is_over:
            raise _ReachedError
        return found

    def on_step(self, step: int, loss: float) -> None:
        """Nothing is logged."""


def _ptune(race: Race, course: Course, folder: Path) -> Call:
    """The run of `ptune train`."""
    model = race.checkpoint.model
    assert isinstance(model, FrozenT5)
    method = PromptTuning(model, race.prompt.to(model.device, copy=True).requires_grad_())
    training = training_run(race.config, method, race.train, RunFolder(folder))

    def train() -> None:
        with StopRequests() as stop, suppress(_ReachedError):
            training.run(_Watch(race, course), stop)

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

        self.course.evaluate(self.state.global_step, self.args.device, find)
        self.control.should_training_stop = self.course.is_over
        return found


def _peft_trainer(race: Race, course: Course, folder: Path) -> Call:
    """A run as PEFT's documentation does it, batches padded to their longest row."""
    config, checkpoint, dev = race.config, race.checkpoint, race.dev
    model = T5ForConditionalGeneration.from_pretrained(
        located(checkpoint.source),
        revision=checkpoint.revision or "main",
        dtype=checkpoint.model.dtype,
        dropout_rate=config.training.dropout,
    )
    peft_model, weight = with_peft_prompt(model, race.prompt)
    adafactor = asdict(config.optimizer)
    optimizer = Adafactor([weight], adafactor.pop("learning_rate"), **adafactor)
    inputs, targets = (
        [torch.tensor(ids) for ids in rows] for rows in (race.train.inputs, race.train.targets)
    )
    order = BatchOrder(len(inputs), config.training.batch_size, config.seed)
    in_order = [i for step in range(config.training.num_steps) for i in order[step]]

    def scores(prediction: Any) -> dict[str, float | None]:
        """The task's own score of the generated ids, the start token left out."""
        ids = [[i for i in row[1:].tolist() if i >= 0] for row in prediction.predictions]
        texts = [decode_ids(checkpoint.tokenizer, row) for row in ids]
        return {"score": score(dev.task, dev.examples, texts).score}

    rows: Any = [(inputs[i], targets[i]) for i in in_order]
    dev_rows: Any = [(ids.cpu(), targets[0]) for ids in dev.inputs]
    trainer = _Trainer(
        peft_model,
        _arguments(race, folder),
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


def _arguments(race: Race, folder: Path) -> Seq2SeqTrainingArguments:
    """The run's settings; everything else as the library has it, but nothing written."""
    training = race.config.training
    return Seq2SeqTrainingArguments(
        output_dir=str(folder),
        max_steps=training.num_steps,
        per_device_train_batch_size=training.batch_size,
        per_device_eval_batch_size=training.batch_size,
        eval_strategy="steps",
        eval_steps=race.config.evaluation.every_steps,
        predict_with_generate=True,
        generation_max_length=race.dev.max_target_tokens + 1,  # the start token counts there
        max_grad_norm=0.0,  # Adafactor has a clipping of its own
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        use_cpu=race.checkpoint.model.device.type == "cpu",
        dataloader_pin_memory=False,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        seed=race.config.seed,
    )


# Everything is made ready first; the call that is timed trains.
TRAINERS: dict[str, Callable[[Race, Course, Path], Call]] = {
    "peft_trainer": _peft_trainer,
    "ptune": _ptune,
}
