"""The schema of `ptune pretrain` and `ptune adapt`: names, types, units; values are in conf/."""

from dataclasses import dataclass

from prompt_tuning.config import MachineConfig, TrackingConfig, config_hash
from prompt_tuning.errors import UserError


@dataclass(frozen=True)
class ShapeConfig:
    """The sizes of a T5 v1.1 that is made from nothing; encoder and decoder are equally deep."""

    d_model: int
    num_layers: int
    num_heads: int
    d_kv: int
    d_ff: int


@dataclass(frozen=True)
class VocabularyConfig:
    """Of a model that is made from nothing; an adapted one keeps its own."""

    path: str | None  # a SentencePiece model; None: trained on the corpus
    num_pieces: int  # of a trained one, sentinels not counted
    num_documents: int  # that it is trained on: the first of the corpus
    required_words: list[str]  # each becomes one piece


@dataclass(frozen=True)
class CorpusConfig:
    """Where text comes from: local files, a data set of the hub, or the embedded mini world."""

    text: str | None  # a file, a folder of *.txt, or a pattern
    held_out_text: str | None  # likewise, for held-out loss; None: a share of the documents
    held_out_fraction: float  # of the documents, if held_out_text is None
    hub: str | None  # a data set's name, such as allenai/c4; streamed
    hub_config: str | None  # such as en
    world: str | None  # facts | full: a stage of the embedded mini world
    world_documents: int  # so many of them
    world_max_sentences: int  # of a document of the world, which has at least one
    max_tokens: int | None  # of the corpus; None: all of it
    cache_dir: str  # of token ids


@dataclass(frozen=True)
class ObjectiveConfig:
    """What a segment of text becomes."""

    name: str  # span_corruption | prefix_lm | sentence_lm
    inputs_length: int  # tokens of the encoder's inputs, EOS included
    max_target_tokens: int | None  # EOS included; prefix_lm and sentence_lm; None: no cut
    noise_density: float  # span_corruption: share of tokens that are masked
    mean_span_length: float  # span_corruption: tokens


@dataclass(frozen=True)
class PretrainingConfig:
    """The loop and its optimiser."""

    num_steps: int  # updates of the weights
    batch_size: int  # segments an update
    optimizer: str  # adafactor | adamw
    schedule: str  # inverse_square_root | constant | linear (to 0), after the warm-up
    learning_rate: float  # peak; Adafactor's is relative to the scale of each parameter
    warmup_steps: int
    weight_decay: float  # a step's share; of AdamW times the learning rate
    betas: list[float]  # of AdamW: of the mean of the gradient and of its square
    embedding_learning_rate: float  # of AdamW: times learning_rate, for the input embeddings
    max_gradient_norm: float | None  # of AdamW; null: gradients are not clipped
    save_at_steps: list[int]  # checkpoints beside the last one
    storage_dtype: str  # of the checkpoints: float32 | bfloat16


@dataclass(frozen=True)
class HeldOutConfig:
    """How often and on how much the held-out loss is measured."""

    every_steps: int
    num_segments: int


@dataclass(frozen=True)
class PretrainConfig:
    """`ptune pretrain` and `ptune adapt`: one checkpoint."""

    name: str  # of the checkpoint, and of its folder
    checkpoint: str | None  # to go on from: a folder or hub id; None: random weights of `shape`
    shape: ShapeConfig | None  # None: the checkpoint's
    vocabulary: VocabularyConfig | None  # None: the checkpoint's
    corpus: CorpusConfig
    objective: ObjectiveConfig
    pretraining: PretrainingConfig
    evaluation: HeldOutConfig
    machine: MachineConfig
    tracking: TrackingConfig
    seed: int  # of weights, order of segments and noise
    output_dir: str
    rerun: bool


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
    too_late = [s for s in config.pretraining.save_at_steps if s > config.pretraining.num_steps]
    if too_late:
        problems.append(
            UserError(
                f"pretraining.save_at_steps={too_late} is after the last step",
                allowed=f"1 to {config.pretraining.num_steps}",
            )
        )
    return problems


def pretrain_name(config: PretrainConfig) -> str:
    """The run's folder, such as nano-3f2a91c0: a checkpoint in the hub's layout when finished."""
    return f"{config.name}-{config_hash(config)}"
