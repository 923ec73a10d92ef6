"""What a training run says of itself: its header, its result, its record, its closing lines."""

from collections.abc import Mapping
from typing import Any

from prompt_tuning.config import FROZEN, TrainConfig, method_axes
from prompt_tuning.data.tokenization import EncodedSplit
from prompt_tuning.environment import code_line
from prompt_tuning.evaluation import rank_text
from prompt_tuning.examples import Splits
from prompt_tuning.ladder.baselines import floor_line, random_control
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.protocol import Run
from prompt_tuning.tasks import Task
from prompt_tuning.terminal import scores_line
from prompt_tuning.tracking import Tracker


def track(run: Run, step: int | None) -> Tracker:
    """The curves of a run that resumes at `step`; None: it starts."""
    config = run.config
    axes = (config.model.name, config.variant.name, config.task.name, *method_axes(config))
    group = config.experiment or config.task.name
    return run.track(group=group, axes=[*axes, config.recipe], step=step)


def header_of(
    config: TrainConfig,
    checkpoint: Checkpoint,
    about: Mapping[str, str],
    dropped: Mapping[str, int],
) -> dict[str, str]:
    """What is about to be run, a fact a line."""
    parameters = "frozen parameters" if config.method in FROZEN else "parameters"
    facts = {
        "model": f"{checkpoint.source}: {checkpoint.num_parameters:,} {parameters}, "
        f"{checkpoint.dtype} on {checkpoint.model.device}",
        **about,
        "code": code_line(),
    }
    if checkpoint.provenance:
        facts["note"] = checkpoint.provenance["note"]
    if config.variant.random_weights:
        facts["note"] = "random weights: the control that a trained model has to beat"
    if dropped:
        facts["left out"] = ", ".join(f"{count} {why}" for why, count in dropped.items())
    return facts


def task_line(config: TrainConfig, task: Task, splits: Splits) -> str:
    """A task and the sizes of its splits."""
    return (
        f"{task.name}: {len(splits.train.examples)} training examples, "
        f"{splits.evaluation.size}" + rank_text(config.evaluation)
    )


def training_line(config: TrainConfig, step: int) -> str:
    """How long a run trains, and on how much a step."""
    training = config.training
    return (
        f"recipe {config.recipe}: {training.num_steps} steps of {training.batch_size} examples, "
        f"seed {config.seed}" + (f", resumed at step {step}" if step else "")
    )


def truncation(config: TrainConfig, encoded: EncodedSplit) -> dict[str, str]:
    """How many training texts were cut, for the header; {} if none was."""
    inputs, targets, limits = encoded.truncated_inputs, encoded.truncated_targets, config.training
    text = (
        f"{inputs + targets} training texts: {inputs} inputs at {limits.max_input_tokens} "
        f"tokens, {targets} targets at {limits.max_target_tokens}"
    )
    return {"truncated": text} if inputs or targets else {}


def record_of(
    checkpoint: Checkpoint,
    result: Mapping[str, Any],
    data: Mapping[str, Any],
    *,
    num_trained: int,
    duration_s: float,
) -> dict[str, Any]:
    """What fixes a training run, and its result."""
    return {
        "result": result,
        "model": checkpoint.facts(),
        "num_trainable_parameters": num_trained,
        "data": data,
        "duration_s": round(duration_s, 3),
    }


def closing_lines(
    run: Run, name: str, result: Mapping[str, Any], how: str, duration_s: float
) -> list[str]:
    """The run in a line, then what is reported; `how` says how the scores came about."""
    return [
        f"{name} on {result['split']}: {_answers(result, how)}, "
        f"{duration_s:.1f} s  {run.folder.record_path}",
        *reported_lines(run.config, name, result),
    ]


def reported_lines(config: TrainConfig, name: str, result: Mapping[str, Any]) -> list[str]:
    """The score that is reported, and what it has to beat, where there are such."""
    lines, report, floor = [], result["report"], result["floor"]
    if report:
        lines.append(f"{name} on {report['split']}: {_answers(report)}")
    if floor:
        on_test = report and report["split"] == "test"
        is_named = config.model.path is None  # else model.name is that of another model
        control = random_control(config.model.name, name) if on_test and is_named else None
        lines.append(floor_line(floor, control))
    return lines


def _answers(result: Mapping[str, Any], how: str = "") -> str:
    return (
        f"{scores_line(result['metrics'], result['score'])}{how}, "
        f"unparseable {result['num_unparseable']}/{result['num_examples']}"
    )


def flat_scores(prefix: str, scores: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics, score and unparseable answers, under names that make W&B's sections."""
    own = {"score": scores["score"], "unparseable": scores["num_unparseable"]}
    return {f"{prefix}/{name}": value for name, value in {**scores["metrics"], **own}.items()}


def summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """Flat best values, which W&B can sort and plot a sweep by."""
    values = {"best/step": result["best_step"], **flat_scores("best", result)}
    if result["report"]:
        values |= flat_scores("report", result["report"])
    for name, scores in result.get("transfer", {}).items():
        values |= flat_scores(f"transfer/{name}", scores)
    return values
