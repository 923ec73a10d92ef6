"""What a run says about itself: its header, its prompt's metadata, its result, its record."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from prompt_tuning.config import DecodingConfig, TrainConfig, TrainingConfig, config_hash
from prompt_tuning.config_ranges import FROZEN
from prompt_tuning.data.tokenization import EncodedSplit
from prompt_tuning.evaluation import Evaluation, constant_answer
from prompt_tuning.ladder.baselines import floor_line, floor_of, next_commands, random_control
from prompt_tuning.metrics import Scores
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.models.methods import Method
from prompt_tuning.records import RunFolder, code_version, environment, peak_memory_gib
from prompt_tuning.reporting import scores_line
from prompt_tuning.runs.parts import Splits
from prompt_tuning.task_registry import TASKS
from prompt_tuning.tasks import Task
from prompt_tuning.training import TrainingRun

RECORD_FORMAT = 1

# What a run may keep for its result: scores before training, by split, and those of the step that
# the reported split would have chosen, the paper's way.
UNTRAINED, REPORT_CHOOSES = "untrained", "report_chooses"
KEPT = (UNTRAINED, REPORT_CHOOSES)


@dataclass(frozen=True)
class RunFacts:
    """A run with all that it was made of."""

    config: TrainConfig
    task: Task
    checkpoint: Checkpoint
    splits: Splits
    encoded: EncodedSplit  # the training split's tokens
    run: TrainingRun

    def header(self) -> dict[str, str]:
        """What is about to be run, a fact a line."""
        return {
            "model": model_line(self.config, self.checkpoint),
            "trained": self._trained_line(),
            "task": task_line(self.config, self.task, self.splits),
            "training": training_line(self.config, self.run.progress.step),
            **closing_facts(self.config, self.checkpoint),
            **left_out_facts(self.splits.train.provenance["dropped"]),
            **truncation_facts(self.encoded, self.config.training),
        }

    def _trained_line(self) -> str:
        trained, every = num_trained(self.run.method), self.checkpoint.num_parameters
        if self.config.method == "model_tuning":
            return f"all {trained:,} parameters (model tuning), no prompt"
        length, hidden_size = self.run.method.prompt.shape
        return (
            f"a prompt of {length} x {hidden_size} = {trained:,} parameters "
            f"({100 * trained / every:.4f} %), init {self.config.init.strategy}"
        )

    def prompt_metadata(self) -> dict[str, Any]:
        """What a prompt file has to know to be used again."""
        config, progress = self.config, self.run.progress
        return {
            "model": config.model.name,
            "source": self.checkpoint.source,
            "revision": self.checkpoint.revision,
            "fingerprint": self.checkpoint.fingerprint,
            **asdict(config.variant),
            "variant": config.variant.name,
            "task": config.task.name,
            "init": config.init.strategy,
            "recipe": config.recipe,
            "seed": config.seed,
            "config_hash": config_hash(config),
            "step": progress.best_step,
            "score": progress.best_score,
        }

    def result(
        self,
        best: Evaluation,
        report: Scores | None,
        transfer: Mapping[str, Evaluation],
    ) -> dict[str, Any]:
        """What came out, at the best step: on the split that chose it, and on the reported one.

        And on other tasks, if the run answers such.
        """
        config, splits = self.config, self.splits
        best_step = self.run.progress.best_step
        result = result_of(config, self.task, splits, best, report, best_step=best_step)
        names = config.evaluation
        of_tasks = {
            name: {
                "split": names.report_split or names.split,
                **asdict(evaluation.scores),
                "floor": floor_of(TASKS[name], splits.transfer[name]),
            }
            for name, evaluation in transfer.items()
        }
        kept = {name: self.run.kept[name] for name in KEPT if name in self.run.kept}
        return result | kept | ({"transfer": of_tasks} if of_tasks else {})

    def record(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """Everything that fixes the run, and its result."""
        return record_of(
            self.config,
            self.checkpoint,
            result,
            data={
                **provenance_of(self.splits),
                "truncated_inputs": self.encoded.truncated_inputs,
                "truncated_targets": self.encoded.truncated_targets,
            },
            num_trainable_parameters=num_trained(self.run.method),
            duration_s=self.run.progress.duration_s,
        )

    def closing_lines(self, result: Mapping[str, Any], folder: RunFolder) -> list[str]:
        """The run in one line; then what is reported, what it stands beside, what to try next."""
        name, config = self.task.name, self.config
        lines = [
            f"{name} on {result['split']}: {scores_line(result['metrics'], result['score'])} "
            f"at step {result['best_step']} of {config.training.num_steps}, "
            f"unparseable {result['num_unparseable']}/{result['num_examples']}, "
            f"{self.run.progress.duration_s:.1f} s  {folder.record_path}"
        ]
        lines += reported_lines(config, name, result)
        for target, scored in result.get("transfer", {}).items():
            shown = {"report": scored, "floor": scored["floor"]}
            lines += reported_lines(config, f"{target}, never trained on,", shown)
        if self.task.is_embedded and config.model.path is None:
            lines += [f"next: {line}" for line in next_commands(self.task, config.model.name)]
        return lines


def num_trained(method: Method) -> int:
    """Numbers that the optimiser moves."""
    return sum(tensor.numel() for tensor in method.trained.values())


def model_line(config: TrainConfig, checkpoint: Checkpoint) -> str:
    """The model, its size, and how it runs."""
    parameters = "frozen parameters" if config.method in FROZEN else "parameters"
    model = checkpoint.model
    return (
        f"{checkpoint.source}: {checkpoint.num_parameters:,} {parameters}, "
        f"{str(model.dtype).removeprefix('torch.')} on {model.device}"
    )


def task_line(config: TrainConfig, task: Task, splits: Splits) -> str:
    """A task and the sizes of its splits."""
    return (
        f"{task.name}: {len(splits.train.examples)} training examples, "
        f"{len(splits.evaluation.examples)} of {config.evaluation.split}"
        + rank_text(config.evaluation)
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


def closing_facts(config: TrainConfig, checkpoint: Checkpoint) -> dict[str, str]:
    """The code, and a note where a score of the model is none of a T5 as released."""
    facts = {"code": _code_line()}
    if checkpoint.provenance:
        facts["note"] = checkpoint.provenance["note"]
    if config.variant.random_weights:
        facts["note"] = "random weights: the control that a trained model has to beat"
    return facts


def left_out_facts(dropped: Mapping[str, int]) -> dict[str, str]:
    """How many training rows are not used, and why; nothing if all are."""
    reasons = ", ".join(f"{count} {why}" for why, count in dropped.items())
    return {"left out": reasons} if reasons else {}


def truncation_facts(encoded: EncodedSplit, training: TrainingConfig) -> dict[str, str]:
    """How many training texts are cut; nothing if none is."""
    truncated = encoded.truncated_inputs + encoded.truncated_targets
    if not truncated:
        return {}
    return {
        "truncated": f"{truncated} training texts: {encoded.truncated_inputs} inputs at "
        f"{training.max_input_tokens} tokens, {encoded.truncated_targets} targets at "
        f"{training.max_target_tokens}"
    }


def result_of(
    config: TrainConfig,
    task: Task,
    splits: Splits,
    best: Evaluation,
    report: Scores | None,
    *,
    best_step: int,
) -> dict[str, Any]:
    """What came out on one task, beside its floor on the split that is reported."""
    names, scored = config.evaluation, splits.report or splits.evaluation
    floor = floor_of(task, scored)
    return {
        "split": names.split,
        **asdict(best.scores),
        "best_step": best_step,
        "report": report and {"split": names.report_split, **asdict(report)},
        "floor": floor,
        **({} if floor else {"constant": constant_answer(task, scored.examples)}),
    }


def provenance_of(splits: Splits) -> dict[str, Any]:
    """Where each split of one task comes from, by the split's name."""
    scored = [splits.evaluation, *([splits.report] if splits.report else [])]
    own = {split.provenance["split"]: split.provenance for split in (*scored, splits.train)}
    others = {name: split.provenance for name, split in splits.transfer.items()}
    return own | ({"transfer": others} if others else {})


def record_of(
    config: TrainConfig,
    checkpoint: Checkpoint,
    result: Mapping[str, Any],
    *,
    data: Mapping[str, Any],
    num_trainable_parameters: int,
    duration_s: float,
) -> dict[str, Any]:
    """Everything that fixes a run, and its result."""
    return {
        "format": RECORD_FORMAT,
        "kind": "train",
        "result": result,
        "config": asdict(config),
        "config_hash": config_hash(config),
        "model": model_facts(checkpoint),
        "num_trainable_parameters": num_trainable_parameters,
        "data": data,
        "duration_s": round(duration_s, 3),
        "peak_memory_gib": peak_memory_gib(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **environment(),
    }


def reported_lines(config: TrainConfig, name: str, result: Mapping[str, Any]) -> list[str]:
    """The score that is reported, and what it has to beat, where there are such."""
    lines, report = [], result["report"]
    if report:
        lines.append(
            f"{name} on {report['split']}: {scores_line(report['metrics'], report['score'])}, "
            f"unparseable {report['num_unparseable']}/{report['num_examples']}"
        )
    if result["floor"]:
        on_test = report and report["split"] == "test"
        control = random_control(config.model.name, name) if on_test else None
        lines.append(floor_line(result["floor"], control))
    return lines


def summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """Flat best values, which W&B can sort and plot a sweep by."""
    values = {**_flat("best", result), "best/step": result["best_step"]}
    if result["report"]:
        values |= _flat("report", result["report"])
    for target, scored in result.get("transfer", {}).items():
        values |= _flat(f"transfer/{target}", scored)
    return values


def _flat(prefix: str, scored: Mapping[str, Any]) -> dict[str, Any]:
    values = {
        **scored["metrics"],
        "score": scored["score"],
        "unparseable": scored["num_unparseable"],
    }
    return {f"{prefix}/{name}": value for name, value in values.items()}


def model_facts(checkpoint: Checkpoint) -> dict[str, Any]:
    """A checkpoint in a record: where it is from, which weights, how it ran."""
    return {
        "source": checkpoint.source,
        "revision": checkpoint.revision,
        "fingerprint": checkpoint.fingerprint,
        "num_parameters": checkpoint.num_parameters,
        "hidden_size": checkpoint.model.hidden_size,
        "dtype": str(checkpoint.model.dtype).removeprefix("torch."),
        "device": str(checkpoint.model.device),
        **({"provenance": dict(checkpoint.provenance)} if checkpoint.provenance else {}),
    }


def _code_line() -> str:
    code = code_version()
    if code["commit"] is None:
        return "installed, not a git checkout"
    return f"commit {code['commit'][:12]}{', uncommitted changes' if code['dirty'] else ''}"
