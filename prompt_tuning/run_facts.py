"""What a training run says about itself: its header, its prompt's metadata, its record."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from prompt_tuning.config import TrainConfig, config_hash
from prompt_tuning.data.sources import Split
from prompt_tuning.data.tokenization import EncodedSplit
from prompt_tuning.evaluation import Evaluation
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.records import RunFolder, code_version, environment, peak_memory_gib
from prompt_tuning.reporting import scores_line
from prompt_tuning.training import TrainingRun

RECORD_FORMAT = 1


@dataclass(frozen=True)
class RunFacts:
    """A run with all that it was made of."""

    config: TrainConfig
    checkpoint: Checkpoint
    train_split: Split
    evaluation_split: Split
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
            "task": f"{config.task.name}: {len(self.train_split.examples)} training examples, "
            f"{len(self.evaluation_split.examples)} of {config.evaluation.split}",
            "training": f"recipe {config.recipe}: {training.num_steps} steps of "
            f"{training.batch_size} examples, seed {config.seed}"
            + (f", resumed at step {step}" if step else ""),
            "code": _code_line(),
        }
        if config.model.source == "embedded" and config.model.path is None:
            facts["note"] = "random weights: this tries the path, and its score means nothing"
        if left_out := self.train_split.provenance["dropped"]:
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

    def result(self, best: Evaluation) -> dict[str, Any]:
        """What came out, at the best step."""
        return {
            "split": self.config.evaluation.split,
            "score": best.scores.score,
            "metrics": best.scores.metrics,
            "best_step": self.run.progress.best_step,
            "num_examples": best.scores.num_examples,
            "num_unparseable": best.scores.num_unparseable,
        }

    def record(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """Everything that fixes the run, and its result."""
        config = self.config
        return {
            "format": RECORD_FORMAT,
            "kind": "train",
            "result": result,
            "config": asdict(config),
            "config_hash": config_hash(config),
            "model": model_facts(self.checkpoint),
            "num_trainable_parameters": self.num_trainable_parameters,
            "data": {
                "train": self.train_split.provenance,
                config.evaluation.split: self.evaluation_split.provenance,
                "truncated_inputs": self.encoded.truncated_inputs,
                "truncated_targets": self.encoded.truncated_targets,
            },
            "duration_s": round(self.run.progress.duration_s, 3),
            "peak_memory_gib": peak_memory_gib(),
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            **environment(),
        }

    def closing_line(self, result: Mapping[str, Any], folder: RunFolder) -> str:
        """The run in one line."""
        return (
            f"{self.config.task.name}: {scores_line(result['metrics'], result['score'])} "
            f"at step {result['best_step']} of {self.config.training.num_steps}, "
            f"unparseable {result['num_unparseable']}/{result['num_examples']}, "
            f"{self.run.progress.duration_s:.1f} s  {folder.record_path}"
        )


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
