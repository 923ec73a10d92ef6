"""Multi-task model tuning: one model trained on a mixture of tasks, from its config to its record.

Source: Lester et al. (2021), figure 1 and footnote 4. The tasks' examples are concatenated and
shuffled anew every epoch, which mixes them in proportion to their numbers, T5's mixing rates.
Deviation: T5 draws the task of every example at random with these rates; here every example comes
once an epoch, so that the rates hold exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from prompt_tuning.config import TrainConfig
from prompt_tuning.data.sources import Split
from prompt_tuning.evaluation import Evaluation, EvaluationSet, score_of
from prompt_tuning.examples import (
    Splits,
    encode_training_examples,
    load_splits,
    load_training_split,
    scored_examples,
)
from prompt_tuning.loop import Progress
from prompt_tuning.metrics import Scores
from prompt_tuning.model_choice import load_model
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.models.methods import Method
from prompt_tuning.protocol import started
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.task_data import mixture_of
from prompt_tuning.tasks import Task
from prompt_tuning.terminal import scores_line
from prompt_tuning.train import outcome
from prompt_tuning.train.first_prompt import make_model_tuning
from prompt_tuning.train.tuning import save_model, training_run
from prompt_tuning.train.watch import Watch

BEST_OF_TASKS = "tasks"  # in the resume point: every task's result at its own best step so far


def train(config: TrainConfig, folder: RunFolder) -> None:
    """Trains a model on all tasks of a mixture, from the start or from where a run stopped.

    Args:
        config: the run; its task is a mixture.
        folder: where it leaves its files, the record last; claimed.

    Raises:
        UserError: the data or the model cannot be used.
        Interrupted: Ctrl-C or SIGTERM; the same command goes on from there.
    """
    mixture = mixture_of(config.task)
    splits = {task.name: load_splits(task, config, "t5") for task in mixture.scored}
    unscored = {task.name: load_training_split(task, config, "t5") for task in mixture.unscored}
    trained = {name: each.train for name, each in splits.items()} | unscored
    data: dict[str, Any] = {name: each.provenance() for name, each in splits.items()}
    data |= {name: {"train": split.provenance} for name, split in unscored.items()}
    with started(folder, "train", config) as run:
        stop = run.stop  # from here on: the next look at it is between two steps
        checkpoint = load_model(config.model, config.variant, config.machine, folder.cache)
        examples = [example for split in trained.values() for example in split.examples]
        encoded = encode_training_examples(examples, checkpoint, config)
        training = training_run(config, make_model_tuning(checkpoint), encoded, folder)
        training.restore()
        run.check_resumed(training.kept, {"tasks": data, "model": outcome.model_facts(checkpoint)})
        step, num_parameters = training.progress.step, outcome.num_trained(training.method)
        about = {
            "trained": f"all {num_parameters:,} parameters (model tuning on {len(trained)} tasks), "
            "no prompt",
            "task": f"{config.task.name}: {len(examples)} training examples, shuffled",
            **_shares(config, splits, trained, len(examples)),
            "training": outcome.training_line(config, step),
        }
        run.header(outcome.header_of(config, checkpoint, about, _dropped(trained), encoded))
        tracker = outcome.track(run, config, step)

        parts = [_part(task, splits[task.name], checkpoint, config) for task in mixture.scored]
        shown = (training, run.reporter, tracker)
        watch = _Watch(*shown, run, checkpoint, config, parts)
        training.run(watch, stop)

        training.go_to_best()
        save_model(training.method, checkpoint, folder)
        result = joint_result(watch.best_of_tasks, training.progress)
        tracker.summarise(outcome.summary(result))
        run.finish(
            outcome.record_of(
                config,
                checkpoint,
                result,
                data={
                    "tasks": data,
                    "truncated_inputs": encoded.truncated_inputs,
                    "truncated_targets": encoded.truncated_targets,
                },
                num_trainable_parameters=num_parameters,
                duration_s=training.progress.duration_s,
            )
        )
        run.say(*_closing_lines(config, result, training.progress, folder))


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
        best: dict[str, dict[str, Any]] = self.training.kept.setdefault(BEST_OF_TASKS, {})
        return best

    def evaluate(self, method: Method, step: int) -> float:
        """The mean of the tasks' scores, unweighted; keeps, logs and prints them all."""
        scored, improved = {}, {}
        for part in self.parts:
            name = part.task.name
            scored[name] = evaluation = self.answer(part.dev, step, name)
            best = self.best_of_tasks.get(name)
            if best is None or score_of(evaluation) > best["score"]:
                report = self.answer(part.report, "report", name).scores if part.report else None
                improved[name] = outcome.result_of(
                    self.config, part.task, part.splits, evaluation.scores, report, best_step=step
                )
        self.best_of_tasks.update(improved)  # all or none, should the run be stopped above
        return self._show(scored, improved, step)

    def _show(
        self, scored: Mapping[str, Evaluation], improved: Mapping[str, Any], step: int
    ) -> float:
        """Logs and prints the scores of a step, a star at those that improved; returns the mean."""
        by_task = {name: score_of(each) for name, each in scored.items()}
        scores: list[Scores] = [each.scores for each in scored.values()]
        mean, best_mean = fmean(by_task.values()), self.training.progress.best_score
        unparseable = sum(each.num_unparseable for each in scores)
        measured = {
            f"eval/{name}/{metric}": value
            for name, each in scored.items()
            for metric, value in {**each.scores.metrics, "score": by_task[name]}.items()
        }
        self.tracker.log(step, {**measured, "eval/score": mean, "eval/unparseable": unparseable})
        marked = {name + "*" * (name in improved): value for name, value in by_task.items()}
        self.say(
            step,
            f"{scores_line(marked, mean)}  "
            f"unparseable {unparseable}/{sum(each.num_examples for each in scores)}",
            is_best=best_mean is None or mean > best_mean,
        )
        return mean


def joint_result(tasks: Mapping[str, Mapping[str, Any]], progress: Progress) -> dict[str, Any]:
    """The mean over tasks, each at its own best step, and the tasks' results themselves.

    Source: Lester et al. (2021), section 3: SuperGLUE's score is the unweighted mean over tasks,
    and a checkpoint is chosen for each task by its own dev score.

    Args:
        tasks: by name, as `result_of` makes them.
        progress: of the run; its best step has the best mean and is the one whose model is saved.
    """
    reports, floors = (
        {name: each[key] for name, each in tasks.items()} for key in ("report", "floor")
    )
    return {
        **_joint_scores(tasks),
        "best_step": progress.best_step,
        "report": _joint_scores(reports) if all(reports.values()) else None,
        "floor": _mean_floor([*floors.values()]) if all(floors.values()) else None,
        "saved_model": {"step": progress.best_step, "score": progress.best_score},
        "tasks": {name: dict(each) for name, each in tasks.items()},
    }


def _joint_scores(scored: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    scores = {name: each["score"] for name, each in scored.items()}
    return {
        "split": next(iter(scored.values()))["split"],
        "metrics": scores,
        "score": fmean(scores.values()),
        "num_examples": sum(each["num_examples"] for each in scored.values()),
        "num_unparseable": sum(each["num_unparseable"] for each in scored.values()),
    }


def _mean_floor(floors: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    means = {key: fmean(floor[key] for floor in floors) for key in ("majority", "shortcut")}
    return {**means, "shortcut_name": "mean of the tasks' own"}


def _part(task: Task, splits: Splits, checkpoint: Checkpoint, config: TrainConfig) -> _Part:
    def ready(split: Split) -> EvaluationSet:
        return scored_examples(task, split.examples, checkpoint, config, config.variant)

    report = ready(splits.report) if splits.report else None
    return _Part(task, splits, ready(splits.evaluation), report)


def _shares(
    config: TrainConfig,
    splits: Mapping[str, Splits],
    trained: Mapping[str, Split],
    num_examples: int,
) -> dict[str, str]:
    """Every task's share of the training examples, and how much of it is scored."""
    shares = {}
    for name, split in trained.items():
        own, scored = len(split.examples), "not scored"
        if name in splits:
            num_scored = len(splits[name].evaluation.examples)
            scored = f"{num_scored} of {config.evaluation.split}"
        shares[name] = f"{own} training examples ({100 * own / num_examples:.1f} %), {scored}"
    return shares


def _dropped(trained: Mapping[str, Split]) -> dict[str, int]:
    return {
        f"{name}: {why}": count
        for name, split in trained.items()
        for why, count in split.provenance["dropped"].items()
    }


def _closing_lines(
    config: TrainConfig, result: Mapping[str, Any], progress: Progress, folder: RunFolder
) -> list[str]:
    """Every task in a line, then the mean, what it stands beside, and the saved model."""
    name, saved, num_tasks = config.task.name, result["saved_model"], len(result["tasks"])
    how = f", the mean of {num_tasks} tasks, each at its best step of {config.training.num_steps}"
    joint = {**result, "metrics": {}}
    return [
        *(_task_line(task, each) for task, each in result["tasks"].items()),
        f"{name} on {result['split']}: {outcome.answers_line(joint, how)}, "
        f"{progress.duration_s:.1f} s  {folder.record_path}",
        *outcome.reported_lines(config, name, result),
        f"saved: {folder.model_path}, of step {saved['step']}, which has the best mean over "
        f"all tasks at one step: {saved['score']:.2f} on {result['split']}",
    ]


def _task_line(name: str, result: Mapping[str, Any]) -> str:
    scored = [result, *([result["report"]] if result["report"] else [])]
    scores = ", ".join(
        f"{scores_line(each['metrics'], each['score'])} on {each['split']}" for each in scored
    )
    floor = result["floor"]
    beside = f", floor {max(floor['majority'], floor['shortcut']):.2f}" if floor else ""
    return f"{name}: {scores} at step {result['best_step']}{beside}"
