"""Time to a fixed dev score: `ptune train`'s loop against PEFT with transformers' Trainer.

Both have the same frozen model, first prompt, batches in the same order, Adafactor, dropout and
evaluations. Without dropout they compute the same, so that only their speed differs.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from prompt_tuning.bench.clock import Cost, as_columns, cost_of, interleave
from prompt_tuning.bench.settings import BenchConfig
from prompt_tuning.bench.trainer import train_with_peft
from prompt_tuning.config import TrainConfig
from prompt_tuning.data.sources import load_split
from prompt_tuning.data.tokenization import encode_split
from prompt_tuning.evaluation import EvaluationSet, evaluate_prompt, evaluation_set
from prompt_tuning.interrupts import StopRequests
from prompt_tuning.loop import EncodedExamples, TrainingRun, TrainingSettings, shuffled
from prompt_tuning.model_choice import load_model
from prompt_tuning.models.frozen_t5 import FrozenT5
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.models.methods import Method, PromptTuning
from prompt_tuning.optim import Adafactor
from prompt_tuning.task_data import data_spec, task_of
from prompt_tuning.train.first_prompt import first_prompt


@dataclass
class Course:
    """What a run has reached so far, and what its evaluations cost."""

    target_score: float
    scores: list[tuple[int, float]] = field(default_factory=list)  # step, dev score
    evaluation: list[Cost] = field(default_factory=list)

    def evaluate(self, step: int, device: torch.device, score: Callable[[], float]) -> float:
        """Scores a step, keeping score and cost."""
        found: list[float] = []
        self.evaluation.append(cost_of(lambda: found.append(score()), device))
        self.scores.append((step, found[0]))
        return found[0]

    @property
    def is_over(self) -> bool:
        """Whether the last score is high enough."""
        return bool(self.scores) and self.scores[-1][1] >= self.target_score


@dataclass(frozen=True)
class Run:
    """What both sides are given."""

    config: TrainConfig
    checkpoint: Checkpoint
    examples: EncodedExamples
    dev: EvaluationSet
    settings: TrainingSettings
    prompt: Tensor  # [P, H], before the first update

    def make_optimizer(self, trained: Tensor) -> Adafactor:
        """The run's Adafactor."""
        settings = asdict(self.config.optimizer)
        return Adafactor([trained], settings.pop("learning_rate"), **settings)


def measure_end_to_end(
    config: BenchConfig, train: TrainConfig, say: Callable[[str], None]
) -> dict[str, Any]:
    """Costs of both sides from their first step to the target score, models being loaded.

    Args:
        config: the target score and the machine.
        train: the run; its z-loss is left out, as Hugging Face's loss has none.
        say: told what is being measured.
    """
    run = _prepare(config, train)
    device = run.checkpoint.model.device
    courses: dict[str, list[Course]] = {name: [] for name in TRAINERS}
    for train_arm in TRAINERS.values():
        train_arm(run, Course(target_score=0.0))  # the first evaluation ends it: a warm-up

    def train_once(name: str) -> None:
        course = Course(config.target_score)
        courses[name].append(course)
        TRAINERS[name](run, course)

    say(f"{', '.join(TRAINERS)}: {train.task.name} until {config.target_score:g} on dev")
    calls = {name: [partial(train_once, name)] * config.num_rounds for name in TRAINERS}
    costs = interleave(calls, 1, device)
    return {
        "baseline": "peft_trainer",
        "target_score": config.target_score,
        "arms": {
            name: {**_facts(courses[name]), **as_columns(of_arm)} for name, of_arm in costs.items()
        },
    }


def _facts(courses: Sequence[Course]) -> dict[str, Any]:
    """What the rounds of an arm reached: all the same, but for their seconds."""
    course = courses[-1]
    step, score = course.scores[-1]
    return {
        "reached": course.is_over,
        "step": step,
        "score": score,
        "scores": course.scores,
        "evaluation_seconds": [[sum(c.seconds for c in of.evaluation)] for of in courses],
    }


def _prepare(config: BenchConfig, train: TrainConfig) -> Run:
    task = task_of(train.task)
    cache = Path(config.output_dir) / "cache"
    checkpoint = load_model(train.model, train.variant, config.machine, cache)
    spec, device = data_spec(train.data), checkpoint.model.device
    examples = load_split(task, "train", spec, limit=train.training.num_train_examples).examples
    encoded = encode_split(
        examples,
        checkpoint.tokenizer,
        max_input_tokens=train.training.max_input_tokens,
        max_target_tokens=train.training.max_target_tokens,
        target_sentinel_id=None,
        cache_dir=None,
    )
    dev = load_split(task, train.evaluation.split, spec, limit=train.evaluation.num_examples)
    assert train.prompt.length is not None
    return Run(
        train,
        checkpoint,
        EncodedExamples(
            [torch.tensor(ids, device=device) for ids in encoded.inputs],
            [torch.tensor(ids, device=device) for ids in encoded.targets],
        ),
        evaluation_set(task, dev.examples, checkpoint),
        TrainingSettings(
            num_steps=train.training.num_steps,
            eval_every_steps=train.evaluation.every_steps,
            dropout=train.training.dropout,
            z_loss=0.0,
            seed=train.seed,
            max_tokens_per_micro_batch=config.machine.max_tokens_per_micro_batch,
        ),
        first_prompt(train.init, train.prompt.length, task, checkpoint, seed=train.seed),
    )


class _ReachedError(Exception):
    """Ends a run at its target score."""


@dataclass
class _Watch:
    """Evaluates as `ptune train` does."""

    run: Run
    course: Course

    def evaluate(self, method: Method, step: int) -> float:
        """The dev score of a step."""
        run = self.run

        def score() -> float:
            evaluation = evaluate_prompt(
                run.checkpoint,
                method.prompt,
                run.dev,
                max_tokens=run.settings.max_tokens_per_micro_batch,
            )
            assert evaluation.scores.score is not None
            return evaluation.scores.score

        found = self.course.evaluate(step, run.checkpoint.model.device, score)
        if self.course.is_over:
            raise _ReachedError
        return found

    def on_step(self, step: int, loss: float) -> None:
        """Nothing is logged."""


def _train_with_ptune(run: Run, course: Course) -> None:
    model = run.checkpoint.model
    assert isinstance(model, FrozenT5)
    prompt = run.prompt.to(model.device, copy=True).requires_grad_()
    with TemporaryDirectory() as folder, StopRequests() as stop:
        training = TrainingRun(
            PromptTuning(model, prompt),
            run.make_optimizer(prompt),
            shuffled(run.examples, run.config.training.batch_size, seed=run.config.seed),
            run.settings,
            Path(folder) / "resume.pt",
        )
        with suppress(_ReachedError):
            training.run(_Watch(run, course), stop)


TRAINERS: dict[str, Callable[[Run, Course], None]] = {
    "peft_trainer": train_with_peft,
    "ptune": _train_with_ptune,
}
