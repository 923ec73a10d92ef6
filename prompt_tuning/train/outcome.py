"""What a training run says of itself: its header, its result, its record, its closing lines."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from prompt_tuning.config import FROZEN, DecodingConfig, TrainConfig, TrainingConfig, method_axes
from prompt_tuning.data.tokenization import EncodedSplit
from prompt_tuning.environment import code_line
from prompt_tuning.evaluation import constant_answer
from prompt_tuning.examples import Splits
from prompt_tuning.ladder.baselines import floor_line, floor_of, random_control
from prompt_tuning.metrics import Scores
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.models.methods import Method
from prompt_tuning.protocol import Run
from prompt_tuning.tasks import Task
from prompt_tuning.terminal import scores_line
from prompt_tuning.tracking import Tracker


def track(run: Run, config: TrainConfig, step: int) -> Tracker:
    """The curves of a run that starts or resumes at `step`."""
    axes = (config.model.name, config.variant.name, config.task.name, *method_axes(config))
    group = config.experiment or config.task.name
    return run.track(group=group, axes=[*axes, config.recipe], step=step)


def header_of(
    config: TrainConfig,
    checkpoint: Checkpoint,
    about: Mapping[str, str],
    dropped: Mapping[str, int],
    encoded: EncodedSplit | None = None,
) -> dict[str, str]:
    """What is about to be run, a fact a line.

    Args:
        config: the run.
        checkpoint: its model.
        about: what is trained, on what and for how long.
        dropped: training rows that are not used, by the reason.
        encoded: the tokens of the training examples.
    """
    parameters = "frozen parameters" if config.method in FROZEN else "parameters"
    model = checkpoint.model
    facts = {
        "model": f"{checkpoint.source}: {checkpoint.num_parameters:,} {parameters}, "
        f"{_dtype(checkpoint)} on {model.device}",
        **about,
        "code": code_line(),
    }
    if checkpoint.provenance:
        facts["note"] = checkpoint.provenance["note"]
    if config.variant.random_weights:
        facts["note"] = "random weights: the control that a trained model has to beat"
    if dropped:
        facts["left out"] = ", ".join(f"{count} {why}" for why, count in dropped.items())
    if encoded and (encoded.truncated_inputs or encoded.truncated_targets):
        facts["truncated"] = _truncated(encoded, config.training)
    return facts


def task_line(config: TrainConfig, task: Task, splits: Splits) -> str:
    """A task and the sizes of its splits."""
    return (
        f"{task.name}: {len(splits.train.examples)} training examples, "
        f"{splits.evaluation.size}" + rank_text(config.evaluation)
    )


def rank_text(evaluation: DecodingConfig) -> str:
    """How a task is answered, where that is not the paper's way."""
    return ", the likeliest class label answers" if evaluation.rank else ""


def training_line(config: TrainConfig, step: int) -> str:
    """How long a run trains, and on how much a step."""
    training = config.training
    return (
        f"recipe {config.recipe}: {training.num_steps} steps of {training.batch_size} examples, "
        f"seed {config.seed}" + (f", resumed at step {step}" if step else "")
    )


def result_of(
    config: TrainConfig,
    task: Task,
    splits: Splits,
    best: Scores,
    report: Scores | None,
    *,
    best_step: int,
) -> dict[str, Any]:
    """What came out on one task, beside its floor on the split that is reported.

    Args:
        config: the run.
        task: the task.
        splits: what was scored.
        best: of the split that chose the step, at that step.
        report: of the split that chose nothing, at the same step; None: there is none.
        best_step: that step.
    """
    names, floor = config.evaluation, floor_of(task, splits.reported)
    result = {
        "split": names.split,
        **asdict(best),
        "best_step": best_step,
        "report": report and {"split": names.report_split, **asdict(report)},
        "floor": floor,
    }
    if floor is None:
        result["constant"] = constant_answer(task, splits.reported.examples)
    return result


def record_of(
    config: TrainConfig,
    checkpoint: Checkpoint,
    result: Mapping[str, Any],
    *,
    data: Mapping[str, Any],
    num_trainable_parameters: int,
    duration_s: float,
) -> dict[str, Any]:
    """What fixes a training run, and its result."""
    return {
        "result": result,
        "model": model_facts(checkpoint),
        "num_trainable_parameters": num_trainable_parameters,
        "data": data,
        "duration_s": round(duration_s, 3),
    }


def num_trained(method: Method) -> int:
    """Numbers that the optimiser moves."""
    return sum(tensor.numel() for tensor in method.trained.values())


def answers_line(result: Mapping[str, Any], how: str = "") -> str:
    """A result in a line: scores, how it came about, answers that were none."""
    return (
        f"{scores_line(result['metrics'], result['score'])}{how}, "
        f"unparseable {result['num_unparseable']}/{result['num_examples']}"
    )


def reported_lines(config: TrainConfig, name: str, result: Mapping[str, Any]) -> list[str]:
    """The score that is reported, and what it has to beat, where there are such."""
    lines, report, floor = [], result["report"], result["floor"]
    if report:
        lines.append(f"{name} on {report['split']}: {answers_line(report)}")
    if floor:
        on_test = report and report["split"] == "test"
        control = random_control(config.model.name, name) if on_test else None
        lines.append(floor_line(floor, control))
    return lines


def summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """Flat best values, which W&B can sort and plot a sweep by."""
    scored = {"best": result} | ({"report": result["report"]} if result["report"] else {})
    scored |= {f"transfer/{name}": each for name, each in result.get("transfer", {}).items()}
    values: dict[str, Any] = {"best/step": result["best_step"]}
    for prefix, each in scored.items():
        values |= {f"{prefix}/{name}": value for name, value in each["metrics"].items()}
        values[f"{prefix}/score"] = each["score"]
        values[f"{prefix}/unparseable"] = each["num_unparseable"]
    return values


def model_facts(checkpoint: Checkpoint) -> dict[str, Any]:
    """A checkpoint in a record: where it is from, which weights, how it ran."""
    return {
        "source": checkpoint.source,
        "revision": checkpoint.revision,
        "fingerprint": checkpoint.fingerprint,
        "num_parameters": checkpoint.num_parameters,
        "hidden_size": checkpoint.model.hidden_size,
        "dtype": _dtype(checkpoint),
        "device": str(checkpoint.model.device),
        **({"provenance": dict(checkpoint.provenance)} if checkpoint.provenance else {}),
    }


def _dtype(checkpoint: Checkpoint) -> str:
    return str(checkpoint.model.dtype).removeprefix("torch.")


def _truncated(encoded: EncodedSplit, training: TrainingConfig) -> str:
    inputs, targets = encoded.truncated_inputs, encoded.truncated_targets
    return (
        f"{inputs + targets} training texts: {inputs} inputs at {training.max_input_tokens} "
        f"tokens, {targets} targets at {training.max_target_tokens}"
    )
