"""Multi-task model tuning: one model trained on a mixture of tasks, from its config to its record.

Source: Lester et al. (2021), figure 1 and footnote 4. The tasks' examples are concatenated and
shuffled anew every epoch, which mixes them in proportion to their numbers, T5's mixing rates.
Deviation: T5 draws the task of every example at random with these rates; here every example comes
once an epoch, so that the rates hold exactly.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from prompt_tuning.config import TrainConfig
from prompt_tuning.evaluation import Evaluation, score_of
from prompt_tuning.examples import encode_training_examples, load_splits, load_training_split
from prompt_tuning.loop import Progress
from prompt_tuning.model_choice import load_model
from prompt_tuning.models.methods import Method
from prompt_tuning.protocol import started
from prompt_tuning.run_folder import RunFolder, scores_by_split
from prompt_tuning.task_data import mixture_of
from prompt_tuning.terminal import scores_line
from prompt_tuning.training import outcome
from prompt_tuning.training.first_prompt import make_model_tuning
from prompt_tuning.training.walk import ScoredTask, Walk, Watch, training_run

BEST_OF_TASKS = "tasks"  # in the resume point: every task's result at its own best step so far


def train(config: TrainConfig, folder: RunFolder) -> None:
    """Trains a model on all tasks of a mixture, from the start or from where a run stopped.

    It leaves its files in `folder`, which is claimed, the record last.

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
        walk = Walk(run, checkpoint, encoded, {"tasks": data}, training)
        about = {
            "trained": f"all {training.num_trained:,} parameters (model tuning on {len(trained)} "
            "tasks), no prompt",
            "task": f"{config.task.name}: {len(examples)} training examples, shuffled",
        }
        dropped: dict[str, int] = {}
        for name, split in trained.items():
            own, scored = len(split.examples), "not scored"
            if name in splits:
                num_scored = len(splits[name].evaluation.examples)
                scored = f"{num_scored} of {config.evaluation.split}"
            share = f"{100 * own / len(examples):.1f} %"
            about[name] = f"{own} training examples ({share}), {scored}"
            counts = split.provenance["dropped"].items()
            dropped |= {f"{name}: {why}": count for why, count in counts}
        tracker = walk.begin(about, dropped)

        tasks = [
            ScoredTask.of(config, task, splits[task.name], checkpoint) for task in mixture.scored
        ]
        watch = TasksWatch(training, run.reporter, tracker, run, checkpoint, tasks)
        training.run(watch, stop)

        walk.save_model()
        result = joint_result(watch.best_of_tasks, training.progress)
        walk.end(tracker, result)
        run.say(*_closing_lines(walk, result))


@dataclass
class TasksWatch(Watch):
    """Evaluates every task while a run goes on, and keeps the result of its own best step.

    A task that improves is scored on the reported split at once: its weights need not be kept.
    """

    tasks: list[ScoredTask]

    @property
    def best_of_tasks(self) -> dict[str, dict[str, Any]]:
        """The best step of each task, as a record has it; saved with the run's resume point."""
        best: dict[str, dict[str, Any]] = self.training.kept.setdefault(BEST_OF_TASKS, {})
        return best

    def evaluate(self, method: Method, step: int) -> float:
        """The mean of the tasks' scores, unweighted; keeps, logs and prints them all."""
        scored, improved = {}, {}
        for each in self.tasks:
            name = each.task.name
            scored[name] = evaluation = self.answer(each.dev, step, name)
            best = self.best_of_tasks.get(name)
            if best is None or score_of(evaluation) > best["score"]:
                report = self.answer(each.report, "report", name).scores if each.report else None
                improved[name] = each.result(evaluation.scores, report, best_step=step)
        self.best_of_tasks.update(improved)  # all or none, should the run be stopped above
        return self._show(scored, improved, step)

    def _show(
        self, scored: Mapping[str, Evaluation], improved: Mapping[str, Any], step: int
    ) -> float:
        """Logs and prints the scores of a step, a star at those that improved; returns the mean."""
        scores = [each.scores for each in scored.values()]
        by_task = {name: score_of(each) for name, each in scored.items()}
        mean, unparseable = fmean(by_task.values()), sum(each.num_unparseable for each in scores)
        measured = {"eval/score": mean, "eval/unparseable": unparseable}
        for name, each in scored.items():
            measured |= outcome.flat_scores(f"eval/{name}", asdict(each.scores))
        self.tracker.log(step, measured)
        marked = {name + "*" * (name in improved): value for name, value in by_task.items()}
        num_examples = sum(each.num_examples for each in scores)
        line = f"{scores_line(marked, mean)}  unparseable {unparseable}/{num_examples}"
        self.say(step, line, is_best=self.training.is_best(mean))
        return mean


def joint_result(tasks: Mapping[str, Mapping[str, Any]], progress: Progress) -> dict[str, Any]:
    """The mean over tasks, each at its own best step, and the tasks' results themselves.

    Source: Lester et al. (2021), section 3: SuperGLUE's score is the unweighted mean over tasks,
    and a checkpoint is chosen for each task by its own dev score.
    The best step of `progress` has the best mean, and is the one whose model is saved.
    """
    reports, floors = ([each[key] for each in tasks.values()] for key in ("report", "floor"))
    floor: dict[str, Any] | None = None
    if all(floors):
        floor = {key: fmean(each[key] for each in floors) for key in ("majority", "shortcut")}
        floor["shortcut_name"] = "mean of the tasks' own"
    return {
        **_joint_scores(tasks),
        "best_step": progress.best_step,
        "report": _joint_scores(dict(zip(tasks, reports, strict=True))) if all(reports) else None,
        "floor": floor,
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


def _closing_lines(walk: Walk, result: Mapping[str, Any]) -> list[str]:
    """Every task in a line, then the mean, what it stands beside, and the saved model."""
    config, saved, tasks = walk.run.config, result["saved_model"], result["tasks"]
    lines = []
    for name, each in tasks.items():
        scored = ", ".join(
            f"{scores_line(scores['metrics'], scores['score'])} on {scores['split']}"
            for scores in scores_by_split(each)
        )
        floor = each["floor"]
        beside = f", floor {max(floor['majority'], floor['shortcut']):.2f}" if floor else ""
        lines.append(f"{name}: {scored} at step {each['best_step']}{beside}")
    how = f", the mean of {len(tasks)} tasks, each at its best step of {config.training.num_steps}"
    joint, duration_s = {**result, "metrics": {}}, walk.training.progress.duration_s
    return [
        *lines,
        *outcome.closing_lines(walk.run, config.task.name, joint, how, duration_s),
        f"saved: {walk.run.folder.model_path}, of step {saved['step']}, which has the best mean "
        f"over all tasks at one step: {saved['score']:.2f} on {result['split']}",
    ]
