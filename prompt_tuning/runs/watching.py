"""What every run shows and keeps while it goes on: what a split is answered with."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from prompt_tuning.evaluation import Evaluation, EvaluationSet, evaluate_prompt
from prompt_tuning.interrupts import StopRequests
from prompt_tuning.loop import Display
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.records import RunFolder
from prompt_tuning.reporting import Reporter


@dataclass
class Watch(Display):
    """Prints and logs while a run trains, and decodes with what it has trained so far."""

    stop: StopRequests
    checkpoint: Checkpoint
    folder: RunFolder

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
