"""What every run shows and keeps while it goes on: losses, a bar, what a split is answered with."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from prompt_tuning.evaluation import Evaluation, EvaluationSet, evaluate_prompt
from prompt_tuning.interrupts import StopRequests
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.records import RunFolder
from prompt_tuning.reporting import Reporter
from prompt_tuning.tracking import Tracker
from prompt_tuning.training import TrainingRun

LOSSES_PER_EVALUATION = 100  # so many training losses are logged between two evaluations


@dataclass
class Watch:
    """Prints and logs while a run trains, and decodes with what it has trained so far."""

    checkpoint: Checkpoint
    folder: RunFolder
    run: TrainingRun
    reporter: Reporter
    tracker: Tracker
    stop: StopRequests

    def __post_init__(self) -> None:
        settings, step = self.run.settings, self.run.progress.step
        self._loss: float | None = None  # of the last step since the run started or resumed
        self._log_every = max(1, settings.eval_every_steps // LOSSES_PER_EVALUATION)
        self._bar = self.reporter.bar("training", settings.num_steps, completed=step)

    def on_step(self, step: int, loss: float) -> None:
        """Moves the bar on and logs some of the losses."""
        self._loss = loss
        self._bar.advance(note=f"loss {loss:.3f}")
        if step % self._log_every == 0:
            self.tracker.log(step, {"train/loss": loss})

    def say(self, step: int, scores: str, *, is_best: bool) -> None:
        """The line of an evaluation."""
        loss = "-" if self._loss is None else f"{self._loss:.4f}"
        best = "  best" * is_best
        self.reporter.line(f"step {step:>6}  loss {loss:>8}  {scores}{best}")

    def decode(self, data: EvaluationSet) -> Evaluation:
        """What the present model, or the prompt in front of it, makes of a split."""
        method = self.run.method
        with torch.no_grad():
            checkpoint = replace(self.checkpoint, model=method.make_model())
        return decode(
            checkpoint,
            method.prompt,
            data,
            max_tokens=self.run.settings.max_tokens_per_micro_batch,
            reporter=self.reporter,
            stop=self.stop,
        )


def decode(
    checkpoint: Checkpoint,
    prompt: Tensor,
    data: EvaluationSet,
    *,
    max_tokens: int,
    reporter: Reporter,
    stop: StopRequests,
) -> Evaluation:
    """As `evaluate_prompt`, under a progress bar and until a stop is requested.

    Raises:
        Interrupted: it was.
    """
    bar = reporter.bar("evaluating", len(data.examples))

    def on_batch(num_rows: int) -> None:
        bar.advance(num_rows)
        stop.check()

    try:
        return evaluate_prompt(checkpoint, prompt, data, max_tokens=max_tokens, on_batch=on_batch)
    finally:
        bar.remove()
