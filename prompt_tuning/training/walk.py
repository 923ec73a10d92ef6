"""What every run that trains has in common: how it begins, is watched and ends."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch

from prompt_tuning.config import TrainConfig
from prompt_tuning.data.sources import Split
from prompt_tuning.data.tokenization import EncodedSplit
from prompt_tuning.evaluation import (
    Evaluation,
    EvaluationSet,
    answered,
    constant_answer,
    write_predictions,
)
from prompt_tuning.examples import Splits, scored_examples
from prompt_tuning.ladder.baselines import floor_of
from prompt_tuning.loop import Display, EncodedExamples, TrainingRun, TrainingSettings, shuffled
from prompt_tuning.metrics import Scores
from prompt_tuning.models.loading import Checkpoint, save_checkpoint
from prompt_tuning.models.memory import tokens_per_micro_batch
from prompt_tuning.models.methods import Method, PromptTuning
from prompt_tuning.optim import Adafactor
from prompt_tuning.protocol import Run
from prompt_tuning.ranks import here
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.tasks import Task
from prompt_tuning.tracking import Tracker
from prompt_tuning.training import outcome


def training_run(
    config: TrainConfig, method: Method, encoded: EncodedSplit, folder: RunFolder
) -> TrainingRun:
    """The training before its first step: what it trains, optimiser, data, settings."""
    device = method.prompt.device
    settings = asdict(config.optimizer)
    max_tokens = tokens_per_micro_batch(
        config.machine.max_tokens_per_micro_batch,
        method.frozen if isinstance(method, PromptTuning) else None,
        [len(method.prompt) + len(ids) for ids in encoded.inputs],
        max(map(len, encoded.targets)),
    )
    examples = EncodedExamples(
        inputs=[torch.tensor(ids, device=device) for ids in encoded.inputs],
        targets=[torch.tensor(ids, device=device) for ids in encoded.targets],
    )
    return TrainingRun(
        method=method,
        optimizer=Adafactor(method.trained.values(), settings.pop("learning_rate"), **settings),
        batch_of_step=shuffled(examples, config.training.batch_size, seed=config.seed),
        settings=TrainingSettings(
            num_steps=config.training.num_steps,
            eval_every_steps=config.evaluation.every_steps,
            dropout=config.training.dropout,
            z_loss=config.training.z_loss,
            patience=config.training.patience,
            seed=config.seed,
            max_tokens_per_micro_batch=max_tokens,
        ),
        resume_path=folder.resume_path,
        ranks=here(),
    )


@dataclass
class Walk:
    """A training around its loop: header and curves before it, model and record after it."""

    run: Run
    checkpoint: Checkpoint
    encoded: EncodedSplit  # what it trains on
    data: Mapping[str, Any]  # where its examples come from, for the record
    training: TrainingRun

    @property
    def max_tokens(self) -> int:
        """Encoder positions of a micro-batch at most."""
        return self.training.settings.max_tokens_per_micro_batch

    def begin(self, about: Mapping[str, str], dropped: Mapping[str, int]) -> Tracker:
        """Goes back to the resume point, if there is one, prints the header and opens the curves.

        Args:
            about: what is trained, and on what.
            dropped: training rows that are not used, by the reason.

        Raises:
            UserError: the run was stopped on other data or on another model.
        """
        run, training, config = self.run, self.training, self.run.config
        has_begun = training.restore()
        made_from = {**self.data, "model": self.checkpoint.facts()}
        run.check_resumed(training.kept, made_from)
        step = training.progress.step
        facts = {
            **about,
            "training": outcome.training_line(config, step),
            "micro-batch": f"at most {self.max_tokens:,} encoder positions",
        }
        header = outcome.header_of(config, self.checkpoint, facts, dropped)
        run.header(header | outcome.truncation(config, self.encoded))
        return outcome.track(run, step if has_begun else None)

    def end(
        self, tracker: Tracker, result: Mapping[str, Any], prompt_path: Path | None = None
    ) -> None:
        """Sums the run up in W&B and writes its record, last."""
        sizes = {"model/num_parameters": self.checkpoint.num_parameters}
        tracker.summarise({**outcome.summary(result), **sizes}, prompt_path)
        data = {
            **self.data,
            "truncated_inputs": self.encoded.truncated_inputs,
            "truncated_targets": self.encoded.truncated_targets,
        }
        record = outcome.record_of(
            self.checkpoint,
            result,
            data,
            num_trained=self.training.num_trained,
            duration_s=self.training.progress.duration_s,
        )
        self.run.finish(record | {"max_tokens_per_micro_batch": self.max_tokens})

    def save_model(self) -> None:
        """Writes the weights that were trained, as a checkpoint for `model.path=`."""
        save_checkpoint(
            self.run.folder.model_path,
            self.training.best_values,
            self.checkpoint.source,
            dtype=torch.float32,
            revision=self.checkpoint.revision,
        )


@dataclass(frozen=True)
class ScoredTask:
    """A task of a run with its splits, those that are scored ready to be answered."""

    config: TrainConfig
    task: Task
    splits: Splits
    dev: EvaluationSet  # chooses the best step
    report: EvaluationSet | None  # chooses nothing

    @classmethod
    def of(cls, config: TrainConfig, task: Task, splits: Splits, checkpoint: Checkpoint) -> Self:
        """Tokenises the splits."""

        def ready(split: Split) -> EvaluationSet:
            return scored_examples(task, split.examples, checkpoint, config, config.variant)

        report = ready(splits.report) if splits.report else None
        return cls(config, task, splits, ready(splits.evaluation), report)

    def result(self, best: Scores, report: Scores | None, *, best_step: int) -> dict[str, Any]:
        """What came out on this task at `best_step`, beside its floor on the reported split.

        `best` is of the split that chose the step, `report` of the one that chose nothing, if any.
        """
        names, reported = self.config.evaluation, self.splits.reported
        floor = floor_of(self.task, reported)
        result = {
            "split": names.split,
            **asdict(best),
            "best_step": best_step,
            "report": report and {"split": names.report_split, **asdict(report)},
            "floor": floor,
        }
        if floor is None:
            result["constant"] = constant_answer(self.task, reported.examples)
        return result


@dataclass
class Watch(Display):
    """Prints and logs while a run trains, and answers splits with what it has trained so far."""

    run: Run
    checkpoint: Checkpoint

    @torch.no_grad()
    def decode(self, data: EvaluationSet) -> Evaluation:
        """What the present model, or the prompt in front of it, makes of a split."""
        method = self.training.method
        checkpoint = replace(self.checkpoint, model=method.make_model())
        max_tokens = self.training.settings.max_tokens_per_micro_batch
        return answered(self.run, checkpoint, method.prompt, data, max_tokens)

    def answer(self, data: EvaluationSet, name: int | str, task: str = "") -> Evaluation:
        """Evaluates as `decode` and keeps the predictions under a name."""
        evaluation = self.decode(data)
        write_predictions(self.run.folder.predictions_path(name, task), data, evaluation)
        return evaluation
