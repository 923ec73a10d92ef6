"""Multi-task model tuning: one model trained on a mixture of tasks, from its config to its record.

Source: Lester et al. (2021), figure 1 and footnote 4. The tasks' examples are concatenated and
shuffled anew every epoch, which mixes them in proportion to their numbers, T5's mixing rates.
Deviation: T5 draws the task of every example at random with these rates; here every example comes
once an epoch, so that the rates hold exactly.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from prompt_tuning.assembly import load_model, make_model_tuning
from prompt_tuning.config import TrainConfig
from prompt_tuning.data.sources import Split
from prompt_tuning.evaluation import Evaluation, EvaluationSet, write_predictions
from prompt_tuning.interrupts import StopRequests
from prompt_tuning.metrics import Scores
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.models.methods import Method
from prompt_tuning.records import RunFolder
from prompt_tuning.reporting import Reporter, scores_line
from prompt_tuning.runs.facts import result_of, summary
from prompt_tuning.runs.multitask_facts import MultitaskFacts, joint_result
from prompt_tuning.runs.parts import (
    Splits,
    encode_training_examples,
    load_splits,
    load_training_split,
    save_model,
    scored_examples,
    tracker_of,
    training_run,
)
from prompt_tuning.runs.watching import Watch
from prompt_tuning.task_data import mixture_of
from prompt_tuning.tasks import Task

BEST_OF_TASKS = "tasks"  # in what a run keeps: every task's result at its own best step so far


def train(config: TrainConfig, folder: RunFolder) -> None:
    """Trains a model on all tasks of a mixture, from the start or from where a run stopped.

    Args:
        config: the run; its task is a mixture.
        folder: where it leaves its files, the record last.

    Raises:
        UserError: the data or the model cannot be used.
        Interrupted: Ctrl-C or SIGTERM; the same command goes on from there.
    """
    mixture = mixture_of(config.task)
    splits = {task.name: load_splits(task, config, "t5") for task in mixture.scored}
    unscored = {task.name: load_training_split(task, config, "t5") for task in mixture.unscored}
    folder.start(asdict(config))
    with ExitStack() as stack:
        reporter = stack.enter_context(Reporter(folder.log_path))
        stop = stack.enter_context(StopRequests())
        checkpoint = load_model(config.model, config.variant, config.machine, folder.cache)
        trained = [*(part.train for part in splits.values()), *unscored.values()]
        examples = [example for split in trained for example in split.examples]
        encoded = encode_training_examples(examples, checkpoint, config)
        run = training_run(config, make_model_tuning(checkpoint), encoded, folder)
        run.restore()
        facts = MultitaskFacts(config, checkpoint, splits, unscored, encoded, run)
        reporter.header(f"ptune train  {folder.name}", facts.header())

        tracker = stack.enter_context(tracker_of(config, folder, run.progress.step))
        parts = [_part(task, splits[task.name], checkpoint, config) for task in mixture.scored]
        watch = _Watch(run, reporter, tracker, stop, checkpoint, folder, config, parts)
        run.run(watch, stop)

        run.go_to_best()
        save_model(run.method, checkpoint, folder)
        result = joint_result(watch.best_of_tasks, run.progress)
        tracker.summarise(summary(result))
        folder.finish(facts.record(result))
        for line in facts.closing_lines(result, folder):
            reporter.line(line)


@dataclass(frozen=True)
class _Part:
    """What one task of a mixture is scored on."""

    task: Task
    splits: Splits
    dev: EvaluationSet
    report: EvaluationSet | None


@dataclass
class _Watch(Watch):
    """Evaluates every task while a run goes on, and keeps the result of its own best step.

    A task that improves is scored on the reported split at once: its weights need not be kept.
    """

    config: TrainConfig
    parts: list[_Part]

    @property
    def best_of_tasks(self) -> dict[str, dict[str, Any]]:
        """By task, as a record has it; saved with the run's resume point."""
        best: dict[str, dict[str, Any]] = self.run.kept.setdefault(BEST_OF_TASKS, {})
        return best

    def evaluate(self, method: Method, step: int) -> float:
        """The mean of the tasks' scores, unweighted; keeps, logs and prints them all."""
        scores, improved = {}, {}
        for part in self.parts:
            name, evaluation = part.task.name, self.decode(part.dev)
            write_predictions(self.folder.predictions_path(step, name), part.dev, evaluation)
            scores[name] = evaluation.scores
            best = self.best_of_tasks.get(name)
            if best is None or _score_of(evaluation.scores) > best["score"]:
                improved[name] = self._result(part, evaluation, step)
        self.best_of_tasks.update(improved)  # all or none, should the run be stopped above
        return self._show(scores, improved, step)

    def _result(self, part: _Part, evaluation: Evaluation, step: int) -> dict[str, Any]:
        """The task's result at this step, on the reported split too."""
        report = None
        if part.report is not None:
            report = self.decode(part.report)
            path = self.folder.predictions_path("report", part.task.name)
            write_predictions(path, part.report, report)
        scores = report.scores if report else None
        return result_of(self.config, part.task, part.splits, evaluation, scores, best_step=step)

    def _show(self, scores: Mapping[str, Scores], improved: Mapping[str, Any], step: int) -> float:
        """Logs and prints the scores of a step, a star at those that improved; returns the mean."""
        by_task = {name: _score_of(each) for name, each in scores.items()}
        mean, best_mean = fmean(by_task.values()), self.run.progress.best_score
        unparseable = sum(each.num_unparseable for each in scores.values())
        measured = {
            f"eval/{name}/{metric}": value
            for name, each in scores.items()
            for metric, value in {**each.metrics, "score": by_task[name]}.items()
        }
        self.tracker.log(step, {**measured, "eval/score": mean, "eval/unparseable": unparseable})
        marked = {name + "*" * (name in improved): value for name, value in by_task.items()}
        num_examples = sum(each.num_examples for each in scores.values())
        self.say(
            step,
            f"{scores_line(marked, mean)}  unparseable {unparseable}/{num_examples}"
            + "  best" * (best_mean is None or mean > best_mean),
        )
        return mean


def _score_of(scores: Scores) -> float:
    assert scores.score is not None, "the evaluation split has no labels"
    return scores.score


def _part(task: Task, splits: Splits, checkpoint: Checkpoint, config: TrainConfig) -> _Part:
    def ready(split: Split) -> EvaluationSet:
        return scored_examples(task, split.examples, checkpoint, config, config.variant)

    report = ready(splits.report) if splits.report is not None else None
    return _Part(task, splits, ready(splits.evaluation), report)
