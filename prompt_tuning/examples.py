"""From the config to the examples that a run trains on or is scored on, read and tokenised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from prompt_tuning.config import EnsembleConfig, EvaluateConfig, TrainConfig, VariantConfig
from prompt_tuning.data.sources import Split, load_split
from prompt_tuning.data.tokenization import EncodedSplit, encode_split
from prompt_tuning.errors import UserError
from prompt_tuning.evaluation import EvaluationSet, label_ids
from prompt_tuning.models.loading import Checkpoint
from prompt_tuning.task_data import data_spec, official_names, transfer_targets
from prompt_tuning.tasks import Example, Task, TextFormat

UNKNOWN_TEXT_TOKENS = 62  # T5's length of SuperGLUE targets, where ptune predict stops too


@dataclass(frozen=True)
class Splits:
    """The examples of one task in a run."""

    train: Split
    evaluation: Split  # chooses the best step
    report: Split | None  # chooses nothing; None: the evaluation split is reported
    transfer: Mapping[str, Split] = field(default_factory=dict)  # of other tasks, by their names

    @property
    def reported(self) -> Split:
        """The split whose score is the run's."""
        return self.report or self.evaluation

    def provenance(self) -> dict[str, Any]:
        """Where each split comes from, by its name."""
        splits = [self.evaluation, *([self.report] if self.report else []), self.train]
        own = {split.provenance["split"]: split.provenance for split in splits}
        others = {name: split.provenance for name, split in self.transfer.items()}
        return own | ({"transfer": others} if others else {})


def load_splits(task: Task, config: TrainConfig, text_format: TextFormat = "taskless") -> Splits:
    """The training split, and those that are scored.

    Raises:
        UserError: a split cannot be read, or one that is scored has no labels.
    """
    spec, names = data_spec(config.data), config.evaluation
    train = load_training_split(task, config, text_format)

    def scored(name: str, limit: int | None, key: str, instead: str) -> Split:
        split = load_split(task, name, spec, limit=limit, text_format=text_format)
        _check_labels(split, f"{key}={name} of {task.name}", f"{key}={instead}")
        return split

    evaluation = scored(names.split, names.num_examples, "evaluation.split", "validation")
    report, key = None, "evaluation.report_split"
    if names.report_split:
        report = scored(names.report_split, names.num_report_examples, key, "null")
    return Splits(train, evaluation, report, load_transfer_splits(config))


def load_training_split(task: Task, config: TrainConfig, text_format: TextFormat) -> Split:
    """The examples of a task that a run trains on; raises as `load_splits`."""
    limit = config.training.num_train_examples
    return load_split(task, "train", data_spec(config.data), limit=limit, text_format=text_format)


def load_transfer_splits(config: TrainConfig) -> dict[str, Split]:
    """Splits of the tasks that a run answers untrained; files have their official names.

    Raises:
        UserError: as `load_splits`.
    """
    spec = data_spec(official_names(config.data))
    name = config.evaluation.report_split or config.evaluation.split
    splits = {}
    for target in transfer_targets(config):
        splits[target.name] = split = load_split(target, name, spec)
        of_target = f"evaluation.transfer_tasks={target.name}: its split {name}"
        _check_labels(split, of_target, f"leave {target.name} out")
    return splits


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
        cache_dir=config.data.cache_dir,
    )


def scored_examples(
    task: Task,
    examples: Sequence[Example],
    checkpoint: Checkpoint,
    config: TrainConfig | EvaluateConfig | EnsembleConfig,
    variant: VariantConfig,
    taught: Task | None = None,
) -> EvaluationSet:
    """A split that is scored, tokenised, ready to be answered as the config says.

    Nothing is truncated, as in T5X (its `infer_eval`). `taught` is as in `EvaluationSet`.
    """
    sentinel, evaluation = variant.target_sentinel, config.evaluation
    encoded = encode_split(
        examples,
        checkpoint.tokenizer,
        target_sentinel_id=checkpoint.sentinel_id if sentinel else None,
        cache_dir=config.data.cache_dir,
    )
    words, max_target_tokens = (taught or task).verbalizers, evaluation.max_target_tokens
    if max_target_tokens is None:
        max_target_tokens = longest_answer(words, examples, checkpoint, target_sentinel=sentinel)
    return EvaluationSet(
        task,
        examples,
        [torch.tensor(ids, device=checkpoint.model.device) for ids in encoded.inputs],
        max_target_tokens,
        sentinel,
        taught=taught,
        labels=label_ids(checkpoint, words if evaluation.rank else (), target_sentinel=sentinel),
        rank=evaluation.rank,
    )


def longest_answer(
    words: Sequence[str],
    examples: Sequence[Example],
    checkpoint: Checkpoint,
    *,
    target_sentinel: bool,
) -> int:
    """Tokens of the longest text that may be right, a sentinel and EOS included.

    Such are the class labels `words`, and targets and accepted answers of examples. Unknown free
    text may have `UNKNOWN_TEXT_TOKENS`.
    """
    labelled = [example for example in examples if example.is_labelled]
    texts = {*words}
    for example in labelled:
        texts |= {example.targets, *(example.answers or ())}
    lengths = [target_sentinel + len(checkpoint.encode_text(text)) + 1 for text in texts]
    is_known = words or len(labelled) == len(examples)
    return max([*lengths, 0 if is_known else UNKNOWN_TEXT_TOKENS])


def _check_labels(split: Split, what: str, fix: str) -> None:
    if not split.is_labelled:
        raise UserError(f"{what} has no labels to score by", fix=fix)
