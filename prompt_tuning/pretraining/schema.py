"""The keys of `ptune pretrain` and `ptune adapt`, a line each; values are in conf/.

Below them is what must hold between them, checked without torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prompt_tuning.config import (
    LARGEST_BATCH,
    LARGEST_SEED,
    NEVER,
    MachineConfig,
    RecordConfig,
    config_hash,
    key,
)
from prompt_tuning.errors import UserError
from prompt_tuning.shapes import NUM_SENTINELS

OBJECTIVES = ("span_corruption", "prefix_lm", "sentence_lm")
SCHEDULES = ("inverse_square_root", "constant", "linear")
_LONGEST = 2**20  # tokens of a segment that is looked at for the number of its spans


@dataclass(frozen=True)
class ShapeConfig:
    """The sizes of a T5 v1.1 that is made from nothing; encoder and decoder are equally deep."""

    d_model: int = key("H", at_least=1)
    num_layers: int = key("of the encoder, and of the decoder", at_least=1)
    num_heads: int = key("of every attention", at_least=1)
    d_kv: int = key("width of a head", at_least=1)
    d_ff: int = key("width inside a feed-forward layer", at_least=1)


@dataclass(frozen=True)
class VocabularyConfig:
    """The vocabulary of a model that is made from nothing; an adapted one keeps its own."""

    path: str | None = key("a SentencePiece model; null: trained on the corpus")
    num_pieces: int = key("of a trained one, sentinels not counted", at_least=1)
    num_documents: int = key("it is trained on the first so many of the corpus", at_least=1)
    required_words: list[str] = key("each becomes one piece, such as a task's verbalizers")


@dataclass(frozen=True)
class CorpusConfig:
    """Where text comes from: local files, a data set of the hub, or the embedded mini world."""

    text: str | None = key("a file, a folder of *.txt, or a pattern; empty lines part documents")
    held_out_text: str | None = key("likewise, for held-out loss; null: a share of text")
    held_out_fraction: float = key("that share of the documents", above=0, below=1)
    hub: str | None = key("a data set of the hub, such as allenai/c4; streamed")
    hub_config: str | None = key("its configuration, such as en")
    world: str | None = key("a stage of the embedded mini world", one_of=("facts", "full"))
    world_documents: int = key("so many of them", at_least=1)
    world_max_sentences: int = key("of a document of the world", at_least=1)
    max_tokens: int | None = key("of the corpus; null: all of it", at_least=1)
    cache_dir: str = key("of token ids, 2 bytes each", hashed=NEVER)


@dataclass(frozen=True)
class ObjectiveConfig:
    """What a segment of text becomes."""

    name: str = key("sentence_lm: prefix_lm cut at a sentence", one_of=OBJECTIVES)
    # T5's rule for the length of a segment does not hold below 10.
    inputs_length: int = key("tokens of the encoder's inputs, with EOS", at_least=10)
    max_target_tokens: int | None = key("not of span corruption; null: no cut", at_least=1)
    noise_density: float = key("span corruption: share of tokens masked", above=0, below=1)
    mean_span_length: float = key("span corruption: tokens", at_least=1)


@dataclass(frozen=True)
class PretrainingConfig:
    """The loop and its optimiser."""

    num_steps: int = key("updates of the weights", at_least=1)
    batch_size: int = key("segments an update", at_least=1, at_most=LARGEST_BATCH)
    optimizer: str = key("adafactor: T5's", one_of=("adafactor", "adamw"))
    schedule: str = key("after the warm-up; linear: to 0", one_of=SCHEDULES)
    learning_rate: float = key("peak; Adafactor's is relative to each parameter's scale", above=0)
    warmup_steps: int = key("until the peak", at_least=0)
    weight_decay: float = key("a step's share; AdamW's is times the learning rate", at_least=0)
    betas: list[float] = key("AdamW: of the mean of the gradient and of its square")
    embedding_learning_rate: float = key("AdamW: times learning_rate, for embeddings", above=0)
    max_gradient_norm: float | None = key("AdamW; null: gradients are not clipped", above=0)
    save_at_steps: list[int] = key("checkpoints beside the last one, in step-<n>/")
    storage_dtype: str = key("of the checkpoints", one_of=("float32", "bfloat16"))


@dataclass(frozen=True)
class HeldOutConfig:
    """How often and on how much the held-out loss is measured."""

    every_steps: int = key("updates between two measurements", at_least=1)
    num_segments: int = key("of held-out text", at_least=1)


@dataclass(frozen=True)
class PretrainMachineConfig(MachineConfig):
    """What a pre-training run may use; how much it keeps of a position nobody has counted."""

    dtype: str = key("of weights and activations", one_of=("float32",))
    max_tokens_per_micro_batch: int = key("in one pass, targets too", at_least=1, hashed=NEVER)


@dataclass(frozen=True)
class PretrainConfig(RecordConfig):
    """`ptune pretrain` and `ptune adapt`: one checkpoint."""

    name: str = key("of the checkpoint, and of its folder")
    checkpoint: str | None = key("a folder or hub id; null, in pretrain: random weights")
    shape: ShapeConfig | None = key("of random weights; null: the checkpoint's")
    vocabulary: VocabularyConfig | None = key("null: the checkpoint's")
    corpus: CorpusConfig = key("where text comes from")
    objective: ObjectiveConfig = key("what a segment of text becomes")
    pretraining: PretrainingConfig = key("the loop and its optimiser")
    evaluation: HeldOutConfig = key("held-out loss")
    machine: PretrainMachineConfig = key("what the run may use")
    seed: int = key("of weights, order of segments and noise", at_least=0, at_most=LARGEST_SEED)


def pretrain_problems(config: PretrainConfig) -> list[UserError]:
    """What is wrong with a run, found without loading a model or a text."""
    problems = []
    sources = (config.corpus.text, config.corpus.hub, config.corpus.world)
    if sum(source is not None for source in sources) != 1:
        problems.append(
            UserError(
                "text comes from one place: corpus.text, corpus.hub or corpus.world",
                fix="corpus.text=<file, folder or pattern>, or corpus.hub=allenai/c4 "
                "corpus.hub_config=en, or corpus.world=facts",
            )
        )
    if config.checkpoint is None and (config.shape is None or config.vocabulary is None):
        problems.append(
            UserError("checkpoint is missing", fix="checkpoint=<folder or hub id to go on from>")
        )
    settings = config.pretraining
    if no_steps := [s for s in settings.save_at_steps if not 1 <= s <= settings.num_steps]:
        problem = f"pretraining.save_at_steps={no_steps} is no step of the run"
        problems.append(UserError(problem, allowed=f"1 to {settings.num_steps}"))
    if len(settings.betas) != 2 or not all(0 <= beta < 1 for beta in settings.betas):
        problem = f"pretraining.betas={settings.betas} are no rates of two means"
        problems.append(UserError(problem, allowed="two numbers of at least 0 and below 1"))
    return [*problems, *_objective_problems(config.objective)]


def _objective_problems(objective: ObjectiveConfig) -> Iterator[UserError]:
    """A key that span corruption ignores; spans without a sentinel, or a token between them."""
    if objective.name != "span_corruption":
        return
    if objective.max_target_tokens is not None:
        problem = f"objective.max_target_tokens={objective.max_target_tokens} does nothing here"
        yield UserError(problem, fix="leave it out: span corruption cuts no targets")
    density, mean_span = objective.noise_density, objective.mean_span_length
    longest = min(_LONGEST, int(objective.inputs_length / (1 - density)) + 1)
    lengths = np.arange(2, longest + 1)
    noise, spans = span_counts(lengths, density, mean_span)
    kept = lengths - noise
    fits = kept + spans < objective.inputs_length
    if (most := spans[fits].max()) > NUM_SENTINELS:
        yield UserError(
            f"objective.inputs_length={objective.inputs_length} gives segments of {most} spans",
            allowed=f"at most {NUM_SENTINELS}, the sentinels of a vocabulary",
            fix="shorter inputs, a lower noise_density, or a larger mean_span_length",
        )
    elif (spans > kept)[fits].any():
        yield UserError(
            f"objective.noise_density={density} leaves too few tokens between spans of "
            f"mean_span_length={mean_span:g}",
            fix="lower it, or make the spans longer",
        )


def span_counts(lengths: Any, density: float, mean_span: float) -> tuple[NDArray[np.int64], ...]:
    """Tokens of noise, and spans of it, in segments of so many tokens, 2 or more.

    Source: T5's `random_spans_noise_mask`; it counts in float32, which decides ties.
    """
    noise = np.clip(np.rint(np.float32(lengths) * np.float32(density)), 1, lengths - 1)
    spans = np.maximum(np.rint(noise / np.float32(mean_span)), 1)
    return noise.astype(np.int64), spans.astype(np.int64)


def pretrain_name(config: PretrainConfig) -> str:
    """The run's folder, such as nano-3f2a91c0: a checkpoint in the hub's layout when finished."""
    return f"{config.name}-{config_hash(config)}"
