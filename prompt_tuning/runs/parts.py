"""What the runs of all methods are made of: splits, token ids, the training run, curves."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import torch

from prompt_tuning.assembly import wandb_settings
from prompt_tuning.config import (
    EnsembleConfig,
    EvaluateConfig,
    TrainConfig,
    VariantConfig,
    method_axes,
)
from prompt_tuning.data.sources import Split, load_split
from prompt_tuning.data.tokenization import EncodedSplit, encode_split
from prompt_tuning.errors import UserError
from prompt_tuning.evaluation import EvaluationSet, evaluation_set
from prompt_tuning.loop import EncodedExamples, TrainingRun, TrainingSettings, shuffled
from prompt_tuning.models.loading import Checkpoint, save_checkpoint
from prompt_tuning.models.methods import Method
from prompt_tuning.optim import Adafactor
from prompt_tuning.records import RunFolder
from prompt_tuning.task_data import cache_dir, data_spec, official_names, transfer_targets
from prompt_tuning.tasks import Example, Task, TextFormat
from prompt_tuning.tracking import Tracker


@dataclass(frozen=True)
class Splits:
    """The examples of one task in a run."""

    train: Split
    evaluation: Split  # chooses the best step
    report: Split | None  # chooses nothing; None: the evaluation split is reported
    transfer: Mapping[str, Split] = field(default_factory=dict)  # of other tasks, by their names


def load_splits(task: Task, config: TrainConfig, text_format: TextFormat = "taskless") -> Splits:
    """The training split, and those that are scored.

    Raises:
        UserError: a split cannot be read, or one that is scored has no labels.
    """
    spec, evaluation = data_spec(config.data), config.evaluation
    report_split = evaluation.report_split
    splits = Splits(
        load_training_split(task, config, text_format),
        load_split(
            task, evaluation.split, spec, limit=evaluation.num_examples, text_format=text_format
        ),
        load_split(
            task, report_split, spec, limit=evaluation.num_report_examples, text_format=text_format
        )
        if report_split
        else None,
        _load_transfer_splits(task, config),
    )
    for key, split, instead in (
        ("split", splits.evaluation, "validation"),
        ("report_split", splits.report, "null"),
    ):
        if split is not None and not split.is_labelled:
            raise UserError(
                f"evaluation.{key}={split.provenance['split']} of {task.name} has no labels to "
                "score a prompt by",
                fix=f"evaluation.{key}={instead}",
            )
    return splits


def _load_transfer_splits(source: Task, config: TrainConfig) -> dict[str, Split]:
    """Of the tasks that a run answers without training on them; files have their official names."""
    spec = data_spec(official_names(config.data))
    name = config.evaluation.report_split or config.evaluation.split
    splits = {target.name: load_split(target, name, spec) for target in transfer_targets(config)}
    for target, split in splits.items():
        if not split.is_labelled:
            raise UserError(
                f"evaluation.transfer_tasks={target}: its split {name} has no labels to score "
                f"what {source.name} has taught by",
                fix=f"leave {target} out",
            )
    return splits


def load_training_split(task: Task, config: TrainConfig, text_format: TextFormat) -> Split:
    """The examples of a task that a run trains on; raises as `load_splits`."""
    limit = config.training.num_train_examples
    return load_split(task, "train", data_spec(config.data), limit=limit, text_format=text_format)


def encode_training_examples(
    examples: Sequence[Example], checkpoint: Checkpoint, config: TrainConfig
) -> EncodedSplit:
    """Token ids of what a run trains on, cut as the config says."""
    return encode_split(
        examples,
        checkpoint.tokenizer,
        max_input_tokens=config.training.max_input_tokens,
        max_target_tokens=config.training.max_target_tokens,
        target_sentinel_id=checkpoint.sentinel_id if config.variant.target_sentinel else None,
        cache_dir=cache_dir(config.data),
    )


def scored_examples(
    task: Task,
    examples: Sequence[Example],
    checkpoint: Checkpoint,
    config: TrainConfig | EvaluateConfig | EnsembleConfig,
    variant: VariantConfig,
    source: Task | None = None,
) -> EvaluationSet:
    """A split that is scored, ready to be answered as the config says.

    Of another task where `source` is what the run trains on.
    """
    return evaluation_set(
        task,
        examples,
        checkpoint,
        target_sentinel=variant.target_sentinel,
        max_target_tokens=config.evaluation.max_target_tokens,
        rank_labels=config.evaluation.rank is not None,
        cache_dir=cache_dir(config.data),
        source=source,
    )


def training_run(
    config: TrainConfig, method: Method, encoded: EncodedSplit, folder: RunFolder
) -> TrainingRun:
    """The run before its first step: what it trains, optimiser, data, settings."""
    device = method.prompt.device
    settings = asdict(config.optimizer)
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
            seed=config.seed,
            max_tokens_per_micro_batch=config.machine.max_tokens_per_micro_batch,
        ),
        resume_path=folder.resume_path,
    )


def save_model(method: Method, checkpoint: Checkpoint, folder: RunFolder) -> None:
    """Writes the weights that were trained, as a checkpoint for `model.path=`."""
    save_checkpoint(
        folder.model_path,
        method.trained,
        checkpoint.source,
        dtype=torch.float32,
        revision=checkpoint.revision,
    )


def tracker_of(config: TrainConfig, folder: RunFolder, step: int) -> Tracker:
    """The curves of a run that starts or resumes at `step`."""
    settings = wandb_settings(
        config.tracking,
        run_name=folder.name,
        job_type="train",
        group=config.experiment or config.task.name,
        axes=[
            config.model.name,
            config.variant.name,
            config.task.name,
            *method_axes(config),
            config.recipe,
        ],
    )
    return Tracker(folder.path, settings, asdict(config), step)
