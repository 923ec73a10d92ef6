"""What a training run says about itself: its header, its prompt's metadata, its record."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from prompt_tuning.assembly import TINY_RANDOM
from prompt_tuning.config import TrainConfig, config_hash
from prompt_tuning.data.mini_tasks import MINI_SPLITS
from prompt_tuning.data.sources import Split
from prompt_tuning.data.tokenization import EncodedSplit
from prompt_tuning.evaluation import Evaluation
from prompt_tuning.ladder import floor_line, floor_of, next_commands, random_control
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.records import RunFolder, code_version, environment, peak_memory_gib
from prompt_tuning.reporting import scores_line
from prompt_tuning.tasks import Task
from prompt_tuning.training import TrainingRun

RECORD_FORMAT = 1


@dataclass(frozen=True)
class Splits:
    """The examples of a run."""

    train: Split
    evaluation: Split  # chooses the best step
    report: Split | None  # chooses nothing; None: the evaluation split is reported


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
        config, model = self.config, self.checkpoint.model
        parameters = "frozen parameters" if config.method == "prompt_tuning" else "parameters"
        training, step = config.training, self.run.progress.step
        facts = {
            "model": f"{self.checkpoint.source}: {self.checkpoint.num_parameters:,} {parameters}, "
            f"{str(model.dtype).removeprefix('torch.')} on {model.device}",
            "trained": self._trained_line(),
            "task": f"{config.task.name}: {len(self.splits.train.examples)} training examples, "
            f"{len(self.splits.evaluation.examples)} of {config.evaluation.split}",
            "training": f"recipe {config.recipe}: {training.num_steps} steps of "
            f"{training.batch_size} examples, seed {config.seed}"
            + (f", resumed at step {step}" if step else ""),
            "code": _code_line(),
        }
        if config.variant.random_weights:
            facts["note"] = "random weights: the control that a trained model has to beat"
        elif config.model.name == TINY_RANDOM and config.model.path is None:
            facts["note"] = "random weights: this tries the path, and its score means nothing"
        if left_out := self.splits.train.provenance["dropped"]:
            facts["left out"] = ", ".join(f"{count} {why}" for why, count in left_out.items())
        if truncated := self.encoded.truncated_inputs + self.encoded.truncated_targets:
            facts["truncated"] = (
                f"{truncated} training texts: {self.encoded.truncated_inputs} inputs at "
                f"{training.max_input_tokens} tokens, {self.encoded.truncated_targets} targets at "
                f"{training.max_target_tokens}"
            )
        return facts

    def _trained_line(self) -> str:
        trained, every = self.num_trainable_parameters, self.checkpoint.num_parameters
        if self.config.method == "model_tuning":
            return f"all {trained:,} parameters (model tuning), no prompt"
        length, hidden_size = self.run.method.prompt.shape
        return (
            f"a prompt of {length} x {hidden_size} = {trained:,} parameters "
            f"({100 * trained / every:.4f} %), init {self.config.init.strategy}"
        )

    @property
    def num_trainable_parameters(self) -> int:
        """Numbers that the optimiser moves."""
        return sum(tensor.numel() for tensor in self.run.method.trained.values())

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

    def result(self, best: Evaluation, report: Evaluation | None) -> dict[str, Any]:
        """What came out, at the best step: on the split that chose it, and on the reported one."""
        names, splits = self.config.evaluation, self.splits
        return {
            "split": names.split,
            **asdict(best.scores),
            "best_step": self.run.progress.best_step,
            "report": report and {"split": names.report_split, **asdict(report.scores)},
            "floor": floor_of(self.task, splits.report or splits.evaluation),
        }

    def record(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """Everything that fixes the run, and its result."""
        config, splits = self.config, self.splits
        data = {config.evaluation.split: splits.evaluation.provenance}
        if splits.report is not None:
            data[str(config.evaluation.report_split)] = splits.report.provenance
        return {
            "format": RECORD_FORMAT,
            "kind": "train",
            "result": result,
            "config": asdict(config),
            "config_hash": config_hash(config),
            "model": model_facts(self.checkpoint),
            "num_trainable_parameters": self.num_trainable_parameters,
            "data": {
                **data,
                "train": splits.train.provenance,
                "truncated_inputs": self.encoded.truncated_inputs,
                "truncated_targets": self.encoded.truncated_targets,
            },
            "duration_s": round(self.run.progress.duration_s, 3),
            "peak_memory_gib": peak_memory_gib(),
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            **environment(),
        }

    def closing_lines(self, result: Mapping[str, Any], folder: RunFolder) -> list[str]:
        """The run in one line; then what is reported, what it stands beside, what to try next."""
        name, report = self.task.name, result["report"]
        lines = [
            f"{name} on {result['split']}: {scores_line(result['metrics'], result['score'])} "
            f"at step {result['best_step']} of {self.config.training.num_steps}, "
            f"unparseable {result['num_unparseable']}/{result['num_examples']}, "
            f"{self.run.progress.duration_s:.1f} s  {folder.record_path}"
        ]
        if report:
            lines.append(
                f"{name} on {report['split']}: {scores_line(report['metrics'], report['score'])}, "
                f"unparseable {report['num_unparseable']}/{report['num_examples']}"
            )
        if result["floor"]:
            on_test = report and report["split"] == "test"
            control = random_control(self.config.model.name, name) if on_test else None
            lines.append(floor_line(result["floor"], control))
        if name in MINI_SPLITS and self.config.model.path is None:
            lines += [f"next: {line}" for line in next_commands(self.task, self.config.model.name)]
        return lines


def summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """Flat best values, which W&B can sort and plot a sweep by."""
    report = _flat("report", result["report"]) if result["report"] else {}
    return {**_flat("best", result), "best/step": result["best_step"], **report}


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
    }


def _code_line() -> str:
    code = code_version()
    if code["commit"] is None:
        return "installed, not a git checkout"
    return f"commit {code['commit'][:12]}{', uncommitted changes' if code['dirty'] else ''}"
