"""The training loop of prompts, whole models and pre-training; it knows no task and no corpus.

A step is micro-batches, their gradients and one update; between two steps are the evaluation, the
best step, the resume point, and the stop that somebody asked for. `Display` shows and logs it.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from prompt_tuning.data.batches import batch_order, deal_by_tokens, split_by_tokens
from prompt_tuning.errors import UserError
from prompt_tuning.interrupts import Interrupted, StopRequests, stop_if_hopeless
from prompt_tuning.models.frozen_t5 import Rows
from prompt_tuning.models.layer_weights import as_spread, whole
from prompt_tuning.models.layers import NO_DROPOUT, Dropout
from prompt_tuning.models.methods import Method
from prompt_tuning.ranks import ALONE, Ranks
from prompt_tuning.resume_points import load_state, save_state
from prompt_tuning.terminal import Reporter
from prompt_tuning.tracking import Tracker

LOSSES_PER_EVALUATION = 100  # so many training losses are logged between two evaluations


@dataclass(frozen=True)
class TrainingSettings:
    """What fixes the course of a run, beside its data, its first values and its optimiser."""

    num_steps: int
    eval_every_steps: int
    max_tokens_per_micro_batch: int  # a forward pass: the machine's
    seed: int  # of dropout
    dropout: float = 0.0  # in the model, T5X-style; 0 is off
    z_loss: float | None = None  # weight of log(Z)^2 per target token; None: cross-entropy alone
    max_gradient_norm: float | None = None  # None: gradients are not clipped
    patience: int | None = None  # evaluations without a new best, then the run ends; None: never
    budget_has_targets: bool = False  # a micro-batch counts its targets beside encoder positions


@dataclass(frozen=True)
class EncodedExamples:
    """Token ids of a training set or of a batch: inputs and targets, each ending in EOS."""

    inputs: Sequence[Tensor]
    targets: Sequence[Tensor]


def shuffled(
    examples: EncodedExamples, batch_size: int, *, seed: int
) -> Callable[[int], EncodedExamples]:
    """The batch of every step, counted from 0: every example once an epoch, in a seeded order."""
    order = batch_order(len(examples.inputs), batch_size, seed)

    def batch_of_step(step: int) -> EncodedExamples:
        indices = order(step)
        return EncodedExamples(
            [examples.inputs[i] for i in indices], [examples.targets[i] for i in indices]
        )

    return batch_of_step


@dataclass
class Progress:
    """How far a run is: everything that a resumed run must know beside tensors and optimiser."""

    step: int = 0
    evaluated_step: int = 0
    best_step: int = 0
    best_score: float | None = None
    num_tokens: int = 0  # of inputs and targets, prompts left out, trained on so far
    duration_s: float = 0.0


class Observer(Protocol):
    """What watches a run."""

    def evaluate(self, method: Method, step: int) -> float | None:
        """Scores what `step` has trained; the higher, the better. None: the last step counts."""

    def on_step(self, step: int, loss: float) -> None:
        """Called after every update with the mean loss per target token."""


@dataclass
class TrainingRun:
    """One run from its first step to its best one, resumable at every step."""

    method: Method
    optimizer: torch.optim.Optimizer
    batch_of_step: Callable[[int], EncodedExamples]  # steps are counted from 0
    settings: TrainingSettings
    resume_path: Path
    learning_rate: Callable[[int], float] | None = None  # of a step; None: the optimiser's own
    ranks: Ranks = ALONE  # this process among those that train the run
    progress: Progress = field(default_factory=Progress)
    best: dict[str, Tensor] | None = None  # what was trained, at progress.best_step
    kept: dict[str, Any] = field(default_factory=dict)  # the observer's plain values, saved too

    @property
    def num_trained(self) -> int:
        """Numbers that the optimiser moves."""
        return sum(tensor.numel() for tensor in self.method.trained.values())

    def is_best(self, score: float) -> bool:
        """Whether no step so far had such a score."""
        best_score = self.progress.best_score
        return best_score is None or score > best_score

    def run(self, observer: Observer, stop: StopRequests) -> None:
        """Trains to the last step, evaluating on the way, and keeps what the best step had.

        Raises:
            Interrupted: `stop` was requested; a resume point is on disk.
            Pruned: a search gave the run up; likewise.
            UserError: a loss, or what was trained, is not finite.
            LostProcess: another process of the run has ended.
        """
        self._share_state()
        settings, progress = self.settings, self.progress
        started = time.monotonic() - progress.duration_s
        try:
            while True:
                if self._evaluation_is_due():
                    progress.duration_s = time.monotonic() - started  # the observer may log it
                    score = self._evaluate(observer)
                    progress.duration_s = time.monotonic() - started
                    self.save()
                    if score is not None and progress.step < settings.num_steps:
                        stop_if_hopeless(progress.step, score)
                if progress.step == settings.num_steps or self._has_stalled():
                    return
                self.ranks.check(stop)
                loss = self.step(progress.step, stop)
                progress.step += 1
                observer.on_step(progress.step, loss)
        except Interrupted:  # not a second Ctrl-C, which may come in the middle of an update
            progress.duration_s = time.monotonic() - started
            self.save()
            raise

    def save(self) -> None:
        """Writes a resume point by atomic rename; of several processes, the first does."""
        if not self.method.is_spread and not self.ranks.is_first:
            return
        state = self._state()
        if self.ranks.is_first:
            save_state(self.resume_path, state)

    def _state(self) -> dict[str, Any]:
        """What a resume point holds; every tensor of it is whole and on the CPU."""
        optimizer = self.optimizer.state_dict()
        moments = {number: {**each, **_on_cpu(each)} for number, each in optimizer["state"].items()}
        return {
            "progress": asdict(self.progress),
            "trained": _on_cpu(self.method.trained),
            "best": self.best,
            "kept": self.kept,
            "optimizer": {**optimizer, "state": moments},
        }

    def restore(self) -> bool:
        """Goes back to the resume point, if there is one and it is whole; True if so."""
        state = load_state(self.resume_path)
        if state is None:
            return False
        shapes = {name: value.shape for name, value in self.method.trained.items()}
        if {name: value.shape for name, value in state["trained"].items()} != shapes:
            raise UserError(
                f"{self.resume_path} is of a run that trains something else",
                fix="remove it: the run then starts again",
            )
        self._go_to(state)
        return True

    def _share_state(self) -> None:
        """Every process begins where the first one does."""
        state, settings = self.ranks.broadcast((self._state(), self.settings))
        if not self.ranks.is_first:
            self.settings = settings  # the budget may be what fits into the first one's memory
            self._go_to(state)

    def _go_to(self, state: Mapping[str, Any]) -> None:
        self.progress = Progress(**state["progress"])
        self._set_trained(state["trained"])
        self.best, self.kept = state["best"], state["kept"]
        self.optimizer.load_state_dict(state["optimizer"])
        for tensor, kept in self.optimizer.state.items():  # spread as what they belong to
            for name, value in kept.items():
                if isinstance(value, Tensor):
                    is_other = value.shape != tensor.shape  # row or column means
                    kept[name] = as_spread(value, tensor, replicated=is_other)

    def go_to_best(self) -> None:
        """Puts the values of the best step into what was trained; the run is over then."""
        self._set_trained(self.best_values)

    @property
    def best_values(self) -> dict[str, Tensor]:
        """What was trained, at the best step, whole on the CPU; there was an evaluation."""
        assert self.best is not None, self.progress
        return self.best

    @torch.no_grad()
    def _set_trained(self, values: Mapping[str, Tensor]) -> None:
        for name, tensor in self.method.trained.items():
            tensor.copy_(as_spread(values[name], tensor))

    def _evaluation_is_due(self) -> bool:
        step, settings = self.progress.step, self.settings
        at_interval = step % settings.eval_every_steps == 0 or step == settings.num_steps
        return at_interval and step > self.progress.evaluated_step

    def _has_stalled(self) -> bool:
        """Whether `patience` evaluations have brought no new best; without scores there is none."""
        patience, progress = self.settings.patience, self.progress
        if patience is None or progress.best_score is None:
            return False
        steps = progress.evaluated_step - progress.best_step
        return steps >= patience * self.settings.eval_every_steps

    def _evaluate(self, observer: Observer) -> float | None:
        progress, trained = self.progress, self.method.trained
        for name, value in trained.items():  # an infinite gradient has a finite loss before it
            if not whole(value).isfinite().all():
                raise _diverged(progress.step, f"{name} is not finite")
        score: float | None = self.ranks.broadcast(observer.evaluate(self.method, progress.step))
        progress.evaluated_step = progress.step
        if score is not None and self.is_best(score):
            progress.best_score, progress.best_step = score, progress.step
            self.best = {name: value.clone() for name, value in _on_cpu(trained).items()}
        return score

    def step(self, step: int, stop: StopRequests) -> float:
        """One update on one batch; returns its mean loss per target token."""
        batch, settings = self.batch_of_step(step), self.settings
        if self.learning_rate is not None:
            for group in self.optimizer.param_groups:
                group["lr"] = self.learning_rate(step) * group["lr_factor"]
        self.optimizer.zero_grad()
        # Dropout of a step depends on seed and step alone, so that a resumed run draws the same.
        seed = settings.seed * 2**32 + step
        dropout = Dropout(settings.dropout, seed, range(len(batch.inputs)))
        trained, ranks = self.method.trained.values(), self.ranks
        with ranks.lost():
            share = accumulate_gradient(self.method, batch, settings, dropout, ranks)
        loss = ranks.add_up(share, trained, stop)
        if not math.isfinite(loss):
            raise _diverged(step + 1, f"its loss is {loss}")
        if settings.max_gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(trained, settings.max_gradient_norm)
        self.optimizer.step()
        self.progress.num_tokens += sum(map(len, [*batch.inputs, *batch.targets]))
        return loss


def _on_cpu(values: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors among some values, each whole, without its history."""
    tensors = {name: each for name, each in values.items() if isinstance(each, Tensor)}
    return {name: whole(each.detach()).cpu() for name, each in tensors.items()}


def _diverged(step: int, reason: str) -> UserError:
    return UserError(
        f"training has diverged at step {step}: {reason}; nothing of it is kept",
        fix="a smaller learning rate, or a model in float32 (machine.dtype=float32)",
    )


def accumulate_gradient(
    method: Method,
    batch: EncodedExamples,
    settings: TrainingSettings,
    dropout: Dropout,
    ranks: Ranks = ALONE,
) -> float:
    """Adds the gradient of a batch's mean loss per target token to what is trained.

    The batch is split into micro-batches of like length under the token budget. Each adds its share
    of the *batch's* mean, and a row's dropout is its own, so that the split changes memory and the
    order of summation, nothing else.

    The rows are dealt out among `ranks`: this process adds the share of its own, and returns its
    share of the mean loss, z-loss included.
    """
    num_target_tokens = sum(len(ids) for ids in batch.targets)
    losses = []
    for summed in _losses(method, batch, settings, dropout, ranks):
        loss = summed / num_target_tokens
        loss.backward()
        losses.append(loss.detach().double())
    return float(sum(losses))  # a GPU is waited for here alone, not after every micro-batch


@torch.no_grad()
def mean_loss(method: Method, examples: EncodedExamples, settings: TrainingSettings) -> float:
    """The mean loss per target token of examples, without dropout, in nats."""
    losses = _losses(method, examples, settings, NO_DROPOUT, ALONE)
    total = sum(loss.double() for loss in losses)
    return float(total) / sum(len(ids) for ids in examples.targets)


def _losses(
    method: Method,
    batch: EncodedExamples,
    settings: TrainingSettings,
    dropout: Dropout,
    ranks: Ranks,
) -> Iterator[Tensor]:
    """The loss of every micro-batch of this process's rows, summed over its target tokens."""
    prompt = method.prompt
    lengths = [len(prompt) + len(ids) for ids in batch.inputs]
    if settings.budget_has_targets:
        lengths = [length + len(ids) for length, ids in zip(lengths, batch.targets, strict=True)]
    shares, budget = deal_by_tokens(lengths, ranks.size), settings.max_tokens_per_micro_batch
    own, extra = _micro_batches(shares[ranks.rank], lengths, budget), 0
    if method.is_spread:  # who has fewer micro-batches runs on for the others' sake
        most = max(len(_micro_batches(rows, lengths, budget)) for rows in shares)
        extra = most - len(own)
    for number, group in enumerate([*own, *[[0]] * extra]):
        model, group_dropout = method.make_model(), dropout.of_rows(group)
        rows = Rows.under(prompt, [batch.inputs[i] for i in group])
        targets = [batch.targets[i] for i in group]
        logits = model.target_logits(model.encode(rows, group_dropout), targets, group_dropout)
        loss = summed_loss(logits, torch.cat(targets), settings.z_loss)
        yield loss if number < len(own) else 0.0 * loss


def _micro_batches(rows: Sequence[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Some of a batch's rows, in groups under the token budget."""
    groups = split_by_tokens([lengths[row] for row in rows], budget)
    return [[rows[place] for place in places] for places in groups]


def summed_loss(logits: Tensor, targets: Tensor, z_loss: float | None) -> Tensor:
    """Cross-entropy plus z_loss * log(Z)^2, summed over target tokens.

    Args:
        logits: [n, V], float32 or wider.
        targets: [n] token ids.
        z_loss: 1e-4 in the released code (t5x/losses.py). None is PyTorch's cross-entropy, which
            0 equals but for rounding: the models of the ladder were pre-trained with it.
    """
    if z_loss is None:
        return F.cross_entropy(logits, targets, reduction="sum")
    loss: Tensor = _SummedLoss.apply(logits, targets.unsqueeze(1), z_loss)
    return loss


class _SummedLoss(torch.autograd.Function):
    """Few passes over [n, V]: for a tiny model with T5's vocabulary they are a sixth of a step."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, z_loss: float) -> Tensor:
        probabilities = logits.softmax(-1)
        # Of the likeliest token log(p) = logit - log(Z), without underflow and another exp.
        log_z = logits.amax(-1, keepdim=True) - probabilities.amax(-1, keepdim=True).log()
        ctx.save_for_backward(probabilities, targets, 1.0 + 2.0 * z_loss * log_z)
        return (log_z - logits.gather(1, targets)).sum() + z_loss * log_z.square().sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        probabilities, targets, weight_of_log_z = ctx.saved_tensors
        grad = probabilities * (weight_of_log_z * grads[0])
        return grad.scatter_add_(1, targets, -grads[0].expand_as(targets)), None, None


@dataclass
class Display:
    """Shows and logs a run while it trains; a command adds what an evaluation is."""

    training: TrainingRun
    reporter: Reporter
    tracker: Tracker
    title: ClassVar[str] = "training"  # of the progress bar

    def __post_init__(self) -> None:
        settings = self.training.settings
        self._loss: float | None = None  # of the last step since the run started or resumed
        self._log_every = max(1, settings.eval_every_steps // LOSSES_PER_EVALUATION)
        done = self.training.progress.step
        self._bar = self.reporter.bar(self.title, settings.num_steps, completed=done)

    def on_step(self, step: int, loss: float) -> None:
        """Moves the bar on and logs some of the losses."""
        self._loss = loss
        self._bar.advance(note=f"loss {loss:.3f}")
        if step % self._log_every == 0:
            self.tracker.log(step, {"train/loss": loss})

    def say(self, step: int, measured: str, *, is_best: bool = False) -> None:
        """The line of an evaluation, behind the step and its loss."""
        loss = "-" if self._loss is None else f"{self._loss:.4f}"
        self.reporter.line(f"step {step:>6}  loss {loss:>8}  {measured}" + "  best" * is_best)
