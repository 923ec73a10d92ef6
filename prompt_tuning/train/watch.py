"""What every run of `ptune train` keeps while it trains: what splits are answered with."""

from dataclasses import dataclass, replace

import torch

from prompt_tuning.evaluation import Evaluation, EvaluationSet, evaluate_prompt, write_predictions
from prompt_tuning.loop import Display
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.protocol import Run


@dataclass
class Watch(Display):
    """Prints and logs while a run trains, and answers splits with what it has trained so far."""

    run: Run
    checkpoint: Checkpoint

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
