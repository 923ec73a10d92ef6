"""The pre-training loop: rows of an objective in, a checkpoint in the hub's layout out."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import T5Config

from prompt_tuning.checkpoints import load_state, save_state
from prompt_tuning.data.batches import split_by_tokens
from prompt_tuning.interrupts import StopRequests
from prompt_tuning.models.frozen_t5 import PackedT5, Rows
from prompt_tuning.pretraining.objectives import Ids

Row = tuple[Ids, Ids]  # inputs and targets, each ending in EOS


@dataclass(frozen=True)
class PretrainingSettings:
    """What fixes the course of a run, beside its rows, its first weights and its optimiser."""

    num_steps: int
    eval_every_steps: int
    save_at_steps: tuple[int, ...]  # checkpoints beside the last one
    max_gradient_norm: float | None  # None: gradients are not clipped
    max_tokens_per_micro_batch: int  # inputs and targets; the machine's


@dataclass
class PretrainingProgress:
    """How far a run is."""

    step: int = 0
    evaluated_step: int = 0
    num_tokens: int = 0  # of inputs and targets, seen so far
    duration_s: float = 0.0


@dataclass
class PretrainingRun:
    """One run from its first weights to its last, resumable at every step."""

    weights: dict[str, Tensor]  # by their names in a checkpoint; each requires a gradient
    config: T5Config
    optimizer: torch.optim.Optimizer
    learning_rate: Callable[[int], float]  # of a step, counted from 0
    rows_of_step: Callable[[int], Sequence[Row]]
    settings: PretrainingSettings
    resume_path: Path
    progress: PretrainingProgress = field(default_factory=PretrainingProgress)

    def run(
        self,
        stop: StopRequests,
        *,
        on_step: Callable[[int, float], None],
        on_evaluation: Callable[[int], None],
        on_save: Callable[[int], None],
    ) -> None:
        """Trains to the last step.

        Args:
            stop: asked between two steps.
            on_step: called with the step and its mean loss per target token.
            on_evaluation: called at every interval and at the end.
            on_save: called at the steps of `save_at_steps`.

        Raises:
            Interrupted: `stop` was requested; a resume point is on disk.
        """
        settings, progress = self.settings, self.progress
        started = time.monotonic() - progress.duration_s
        try:
            while True:
                step = progress.step
                at_interval = step % settings.eval_every_steps == 0 or step == settings.num_steps
                if at_interval and step > progress.evaluated_step:
                    on_evaluation(step)
                    progress.evaluated_step = step
                    progress.duration_s = time.monotonic() - started
                    self.save()
                if step == settings.num_steps:
                    return
                stop.check()
                loss = self._step(step)
                progress.step += 1
                on_step(progress.step, loss)
                if progress.step in settings.save_at_steps:
                    on_save(progress.step)
        except KeyboardInterrupt:
            progress.duration_s = time.monotonic() - started
            self.save()
            raise

    def save(self) -> None:
        """Writes a resume point by atomic rename."""
        state = {
            "progress": asdict(self.progress),
            "weights": {name: weight.detach() for name, weight in self.weights.items()},
            "optimizer": self.optimizer.state_dict(),
        }
        save_state(self.resume_path, state)

    def restore(self) -> bool:
        """Goes back to the resume point, if there is one; True if there was."""
        state = load_state(self.resume_path)
        if state is None:
            return False
        self.progress = PretrainingProgress(**state["progress"])
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(state["weights"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        return True

    def _step(self, step: int) -> float:
        rows = self.rows_of_step(step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(step) * group["lr_factor"]
        self.optimizer.zero_grad()
        loss = 0.0
        num_target_tokens = sum(len(targets) for _, targets in rows)
        for micro_batch in micro_batches(rows, self.settings.max_tokens_per_micro_batch):
            summed = summed_cross_entropy(self.weights, self.config, micro_batch)
            share = summed / num_target_tokens
            share.backward()
            loss += share.item()
        if self.settings.max_gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.weights.values(), self.settings.max_gradient_norm)
        self.optimizer.step()
        self.progress.num_tokens += sum(len(inputs) + len(targets) for inputs, targets in rows)
        return loss


def micro_batches(rows: Sequence[Row], max_tokens: int) -> list[list[Row]]:
    """The rows in groups of like length under a token budget."""
    lengths = [len(inputs) + len(targets) for inputs, targets in rows]
    return [[rows[i] for i in group] for group in split_by_tokens(lengths, max_tokens)]


def summed_cross_entropy(
    weights: Mapping[str, Tensor], config: T5Config, rows: Sequence[Row]
) -> Tensor:
    """The loss of rows, summed over their target tokens; gradients reach `weights`.

    Source: T5 v1.1 is pre-trained without dropout.
    """
    model = PackedT5(weights, config)
    inputs = [_tensor(ids, model.device) for ids, _ in rows]
    targets = [_tensor(ids, model.device) for _, ids in rows]
    no_prompt = model.embedding.new_zeros(0, model.hidden_size)
    logits = model.target_logits(model.encode(Rows.under(no_prompt, inputs)), targets)
    return F.cross_entropy(logits, torch.cat(targets), reduction="sum")


@torch.no_grad()
def mean_loss(
    weights: Mapping[str, Tensor], config: T5Config, rows: Sequence[Row], *, max_tokens: int
) -> float:
    """The mean cross-entropy per target token, in nats."""
    total = sum(
        summed_cross_entropy(weights, config, group).item()
        for group in micro_batches(rows, max_tokens)
    )
    return total / sum(len(targets) for _, targets in rows)


def inverse_square_root(step: int, *, warmup_steps: int = 10_000) -> float:
    """T5's pre-training schedule: 1 / sqrt(max(step, warmup_steps)).

    Source: Raffel et al. (2020), section 3.1.2. It multiplies the scale of each parameter.
    """
    return float(max(step, warmup_steps) ** -0.5)


def _tensor(ids: Ids, device: torch.device) -> Tensor:
    return torch.from_numpy(ids).long().to(device)
