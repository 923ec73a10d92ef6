"""What every run shows, logs and keeps while it trains."""

from dataclasses import dataclass, replace

import torch

from prompt_tuning.evaluation import Evaluation, EvaluationSet, evaluate_prompt, write_predictions
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.protocol import Run
from prompt_tuning.tracking import Tracker
from prompt_tuning.training import TrainingRun

LOSSES_PER_EVALUATION = 100  # so many training losses are logged between two evaluations


@dataclass
class Watch:
    """Prints and logs while a run trains, and answers splits with what it has trained so far."""

    run: Run
    training: TrainingRun
    tracker: Tracker
    checkpoint: Checkpoint

    def __post_init__(self) -> None:
        settings, step = self.training.settings, self.training.progress.step
        self._loss: float | None = None  # of the last step since the run started or resumed
        self._log_every = max(1, settings.eval_every_steps // LOSSES_PER_EVALUATION)
        self._bar = self.run.reporter.bar("training", settings.num_steps, completed=step)

    def on_step(self, step: int, loss: float) -> None:
        """Moves the bar on and logs some of the losses."""
        self._loss = loss
        self._bar.advance(note=f"loss {loss:.3f}")
        if step % self._log_every == 0:
            self.tracker.log(step, {"train/loss": loss})

    def say(self, step: int, scores: str, *, is_best: bool) -> None:
        """The line of an evaluation."""
        loss = "-" if self._loss is None else f"{self._loss:.4f}"
        self.run.say(f"step {step:>6}  loss {loss:>8}  {scores}" + "  best" * is_best)

    def decode(self, data: EvaluationSet) -> Evaluation:
        """What the present model, or the prompt in front of it, makes of a split."""
        method = self.training.method
        with torch.no_grad(), self.run.counted("evaluating", len(data.examples)) as on_batch:
            checkpoint = replace(self.checkpoint, model=method.make_model())
            max_tokens = self.training.settings.max_tokens_per_micro_batch
            return evaluate_prompt(
                checkpoint, method.prompt, data, max_tokens=max_tokens, on_batch=on_batch
            )

    def answer(self, data: EvaluationSet, name: int | str, task: str = "") -> Evaluation:
        """As `decode`; keeps the predictions under a name."""
        evaluation = self.decode(data)
        write_predictions(self.run.folder.predictions_path(name, task), data, evaluation)
        return evaluation
