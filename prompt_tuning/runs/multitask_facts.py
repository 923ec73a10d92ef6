"""What a run on a mixture of tasks says about itself: its header, its joint result, its record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from prompt_tuning.config import TrainConfig
from prompt_tuning.data.sources import Split
from prompt_tuning.data.tokenization import EncodedSplit
from prompt_tuning.loop import Progress, TrainingRun
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.records import RunFolder
from prompt_tuning.reporting import scores_line
from prompt_tuning.runs.facts import (
    closing_facts,
    left_out_facts,
    model_line,
    num_trained,
    provenance_of,
    record_of,
    reported_lines,
    training_line,
    truncation_facts,
)
from prompt_tuning.runs.parts import Splits


@dataclass(frozen=True)
class MultitaskFacts:
    """A run with all that it was made of."""

    config: TrainConfig
    checkpoint: Checkpoint
    splits: Mapping[str, Splits]  # by task, of those that are scored
    unscored: Mapping[str, Split]  # by task, what else is trained on
    encoded: EncodedSplit  # the tokens of all tasks' training splits
    run: TrainingRun

    def header(self) -> dict[str, str]:
        """What is about to be run, a fact a line; a line for every task."""
        config, num_examples = self.config, len(self.encoded.inputs)

        def share(split: Split) -> str:
            own = len(split.examples)
            return f"{own} training examples ({100 * own / num_examples:.1f} %)"

        tasks = {
            name: f"{share(splits.train)}, {len(splits.evaluation.examples)} "
            f"of {config.evaluation.split}"
            for name, splits in self.splits.items()
        }
        tasks |= {name: f"{share(split)}, not scored" for name, split in self.unscored.items()}
        left_out = {
            f"{name}: {why}": count
            for name, split in self._training_splits().items()
            for why, count in split.provenance["dropped"].items()
        }
        return {
            "model": model_line(config, self.checkpoint),
            "trained": f"all {num_trained(self.run.method):,} parameters "
            f"(model tuning on {len(tasks)} tasks), no prompt",
            "task": f"{config.task.name}: {num_examples} training examples, shuffled",
            **tasks,
            "training": training_line(config, self.run.progress.step),
            **closing_facts(config, self.checkpoint),
            **left_out_facts(left_out),
            **truncation_facts(self.encoded, config.training),
        }

    def record(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """Everything that fixes the run, and its result."""
        data = {name: provenance_of(splits) for name, splits in self.splits.items()}
        data |= {name: {"train": split.provenance} for name, split in self.unscored.items()}
        return record_of(
            self.config,
            self.checkpoint,
            result,
            data={
                "tasks": data,
                "truncated_inputs": self.encoded.truncated_inputs,
                "truncated_targets": self.encoded.truncated_targets,
            },
            num_trainable_parameters=num_trained(self.run.method),
            duration_s=self.run.progress.duration_s,
        )

    def closing_lines(self, result: Mapping[str, Any], folder: RunFolder) -> list[str]:
        """Every task in a line, then the mean, what it stands beside, and the saved model."""
        config, name = self.config, self.config.task.name
        lines = [_task_line(task, each) for task, each in result["tasks"].items()]
        lines.append(
            f"{name} on {result['split']}: {scores_line({}, result['score'])}, the mean of "
            f"{len(result['tasks'])} tasks, each at its best step of {config.training.num_steps}, "
            f"unparseable {result['num_unparseable']}/{result['num_examples']}, "
            f"{self.run.progress.duration_s:.1f} s  {folder.record_path}"
        )
        lines += reported_lines(config, name, result)
        saved = result["saved_model"]
        lines.append(
            f"saved: {folder.model_path}, of step {saved['step']}, which has the best mean over "
            f"all tasks at one step: {saved['score']:.2f} on {result['split']}"
        )
        return lines

    def _training_splits(self) -> dict[str, Split]:
        return {name: each.train for name, each in self.splits.items()} | {**self.unscored}


def joint_result(tasks: Mapping[str, Mapping[str, Any]], progress: Progress) -> dict[str, Any]:
    """The mean over tasks, each at its own best step, and the tasks' results themselves.

    Source: Lester et al. (2021), section 3: SuperGLUE's score is the unweighted mean over tasks,
    and a checkpoint is chosen for each task by its own dev score.

    Args:
        tasks: by name, as `facts.result_of` makes them.
        progress: of the run; its best step has the best mean and is the one whose model is saved.
    """
    results = list(tasks.values())
    reports, floors = ([each[key] for each in results] for key in ("report", "floor"))
    return {
        "split": results[0]["split"],
        **_joint_scores(tasks),
        "best_step": progress.best_step,
        "report": {
            "split": reports[0]["split"],
            **_joint_scores({name: each["report"] for name, each in tasks.items()}),
        }
        if all(reports)
        else None,
        "floor": _mean_floor(floors) if all(floors) else None,
        "saved_model": {"step": progress.best_step, "score": progress.best_score},
        "tasks": {name: dict(each) for name, each in tasks.items()},
    }


def _joint_scores(scored: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    scores = {name: each["score"] for name, each in scored.items()}
    return {
        "metrics": scores,
        "score": fmean(scores.values()),
        "num_examples": sum(each["num_examples"] for each in scored.values()),
        "num_unparseable": sum(each["num_unparseable"] for each in scored.values()),
    }


def _mean_floor(floors: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    means = {key: fmean(floor[key] for floor in floors) for key in ("majority", "shortcut")}
    return {**means, "shortcut_name": "mean of the tasks' own"}


def _task_line(name: str, result: Mapping[str, Any]) -> str:
    scored = [result, *([result["report"]] if result["report"] else [])]
    scores = ", ".join(
        f"{scores_line(each['metrics'], each['score'])} on {each['split']}" for each in scored
    )
    floor = result["floor"]
    beside = f", floor {max(floor['majority'], floor['shortcut']):.2f}" if floor else ""
    return f"{name}: {scores} at step {result['best_step']}{beside}"
