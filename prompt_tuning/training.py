"""The training loop: steps, micro-batches, evaluation, best step, resume. It knows no task."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from prompt_tuning.checkpoints import load_state, save_state
from prompt_tuning.data.batches import BatchOrder, split_by_tokens
from prompt_tuning.interrupts import StopRequests
from prompt_tuning.models.frozen_t5 import Rows
from prompt_tuning.models.layers import Dropout
from prompt_tuning.models.methods import Method


@dataclass(frozen=True)
class TrainingSettings:
    """What fixes the course of a run, beside its data, its first values and its optimiser."""

    num_steps: int
    batch_size: int  # examples per update: the experiment's
    eval_every_steps: int
    dropout: float  # in the model, T5X-style; 0 is off
    z_loss: float  # weight of log(Z)^2 per target token
    seed: int
    max_tokens_per_micro_batch: int  # encoder positions per forward pass: the machine's


@dataclass(frozen=True)
class EncodedExamples:
    """Token ids of a training set: inputs and targets, each ending in EOS."""

    inputs: Sequence[Tensor]
    targets: Sequence[Tensor]


@dataclass
class Progress:
    """How far a run is: everything that a resumed run must know beside tensors and optimiser."""

    step: int = 0
    evaluated_step: int = 0
    best_step: int = 0
    best_score: float | None = None
    duration_s: float = 0.0


class Observer(Protocol):
    """What watches a run."""

    def evaluate(self, method: Method, step: int) -> float:
        """Scores what `step` has trained; the higher, the better."""

    def on_step(self, step: int, loss: float) -> None:
        """Called after every update with the mean loss per target token."""


@dataclass
class TrainingRun:
    """One run from its first step to its best one, resumable at every step."""

    method: Method
    optimizer: torch.optim.Optimizer
    examples: EncodedExamples
    settings: TrainingSettings
    resume_path: Path
    progress: Progress = field(default_factory=Progress)
    best: dict[str, Tensor] | None = None  # what was trained, at progress.best_step
    kept: dict[str, Any] = field(default_factory=dict)  # plain values of whoever watches the run

    def run(self, observer: Observer, stop: StopRequests) -> None:
        """Trains to the last step, evaluating on the way, and keeps what the best step had.

        Raises:
            Interrupted: `stop` was requested; a resume point is on disk.
        """
        settings, progress = self.settings, self.progress
        order = BatchOrder(len(self.examples.inputs), settings.batch_size, settings.seed)
        started = time.monotonic() - progress.duration_s
        try:
            while True:
                if self._evaluation_is_due():
                    progress.duration_s = time.monotonic() - started  # the observer may log it
                    self._evaluate(observer)
                    progress.duration_s = time.monotonic() - started
                    self.save()
                if progress.step == settings.num_steps:
                    return
                stop.check()
                loss = self._step(order[progress.step])
                progress.step += 1
                observer.on_step(progress.step, loss)
        except KeyboardInterrupt:
            progress.duration_s = time.monotonic() - started
            self.save()
            raise

    def save(self) -> None:
        """Writes a resume point by atomic rename."""
        state = {
            "progress": asdict(self.progress),
            "trained": {name: value.detach() for name, value in self.method.trained.items()},
            "best": self.best,
            "kept": self.kept,
            "optimizer": self.optimizer.state_dict(),
        }
        save_state(self.resume_path, state)

    def restore(self) -> bool:
        """Goes back to the resume point, if there is one; True if there was."""
        state = load_state(self.resume_path)
        if state is None:
            return False
        self.progress = Progress(**state["progress"])
        self._set_trained(state["trained"])
        self.best = state["best"]
        self.kept = state.get("kept", {})  # earlier versions had none
        self.optimizer.load_state_dict(state["optimizer"])
        return True

    def go_to_best(self) -> None:
        """Puts the values of the best step into what was trained; the run is over then."""
        assert self.best is not None, self.progress
        self._set_trained(self.best)

    @torch.no_grad()
    def _set_trained(self, values: Mapping[str, Tensor]) -> None:
        for name, tensor in self.method.trained.items():
            tensor.copy_(values[name])

    def _evaluation_is_due(self) -> bool:
        step, settings = self.progress.step, self.settings
        at_interval = step % settings.eval_every_steps == 0 or step == settings.num_steps
        return at_interval and step > self.progress.evaluated_step

    def _evaluate(self, observer: Observer) -> None:
        progress = self.progress
        score = observer.evaluate(self.method, progress.step)
        progress.evaluated_step = progress.step
        if progress.best_score is None or score > progress.best_score:
            progress.best_score, progress.best_step = score, progress.step
            trained = self.method.trained.items()
            self.best = {name: value.detach().cpu().clone() for name, value in trained}

    def _step(self, indices: Sequence[int]) -> float:
        """One update on one batch; returns its mean loss per target token."""
        inputs = [self.examples.inputs[i] for i in indices]
        targets = [self.examples.targets[i] for i in indices]
        self.optimizer.zero_grad()
        # Dropout of a step depends on seed and step alone, so that a resumed run draws the same.
        seed, rate = self.settings.seed * 2**32 + self.progress.step, self.settings.dropout
        dropout = Dropout(rate, seed, range(len(inputs))) if rate else None
        loss = accumulate_gradient(self.method, inputs, targets, self.settings, dropout)
        self.optimizer.step()
        return loss


def accumulate_gradient(
    method: Method,
    inputs: Sequence[Tensor],
    targets: Sequence[Tensor],
    settings: TrainingSettings,
    dropout: Dropout | None,
) -> float:
    """Adds the gradient of a batch's mean loss per target token to what is trained.

    The batch is split into micro-batches of like length under the token budget. Each adds its share
    of the *batch's* mean, and a row's dropout is its own, so that the split changes memory and the
    order of summation, nothing else.

    Args:
        method: what is trained, and the model made of it.
        inputs: B tensors of token ids.
        targets: B tensors of token ids.
        settings: z-loss and token budget.
        dropout: of the batch's rows; None is off.

    Returns:
        The mean loss per target token, z-loss included.
    """
    num_target_tokens = sum(len(ids) for ids in targets)
    prompt = method.prompt
    lengths = [len(prompt) + len(ids) for ids in inputs]
    total = 0.0
    for group in split_by_tokens(lengths, settings.max_tokens_per_micro_batch):
        model, own_dropout = method.make_model(), dropout and dropout.of_rows(group)
        encoded = model.encode(Rows.under(prompt, [inputs[i] for i in group]), own_dropout)
        group_targets = [targets[i] for i in group]
        logits = model.target_logits(encoded, group_targets, own_dropout)
        loss = summed_loss(logits, torch.cat(group_targets), settings.z_loss) / num_target_tokens
        loss.backward()
        total += loss.item()
    return total


def summed_loss(logits: Tensor, targets: Tensor, z_loss: float) -> Tensor:
    """Cross-entropy plus z_loss * log(Z)^2, summed over target tokens.

    Args:
        logits: [n, V], float32 or wider.
        targets: [n] token ids.
        z_loss: 1e-4 in the released code (t5x/losses.py).
    """
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
