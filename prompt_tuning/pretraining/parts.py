"""What the config of a pre-training run names: text, first checkpoint, objective, optimiser."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from prompt_tuning.ladder.world import LADDER_WORLD, World
from prompt_tuning.models.frozen_t5 import EOS_ID
from prompt_tuning.models.random_checkpoint import Shape, write_random_checkpoint
from prompt_tuning.optim import Adafactor
from prompt_tuning.pretraining.corpus import Corpus, hold_out, load_corpus
from prompt_tuning.pretraining.documents import TextSource, hub_text, local_text, world_text
from prompt_tuning.pretraining.objectives import (
    Objective,
    corrupt_spans,
    prefix_lm,
    sentence_lm,
    span_corruption_lengths,
)
from prompt_tuning.pretraining.segments import (
    Segmentation,
    prefix_lm_segmentation,
    span_corruption_segmentation,
)
from prompt_tuning.pretraining.settings import (
    CorpusConfig,
    ObjectiveConfig,
    PretrainConfig,
    PretrainingConfig,
)
from prompt_tuning.pretraining.training import inverse_square_root
from prompt_tuning.pretraining.vocabulary import sentence_end_ids, write_vocabulary

EMBEDDING = "shared.weight"


def text_source(corpus: CorpusConfig) -> TextSource:
    """The documents that the config names."""
    if corpus.text is not None:
        return local_text(corpus.text)
    if corpus.world is not None:
        return world_text(
            corpus.world, corpus.world_documents, max_sentences=corpus.world_max_sentences
        )
    assert corpus.hub is not None, corpus
    return hub_text(corpus.hub, corpus.hub_config)


def first_checkpoint(config: PretrainConfig, source: TextSource, folder: Path) -> str:
    """The checkpoint to go on from; with `shape`, one with random weights, written to `folder`."""
    if config.checkpoint is not None:
        return config.checkpoint
    assert config.shape is not None and config.vocabulary is not None, config
    if not (folder / "model.safetensors").exists():
        vocabulary = config.vocabulary
        if vocabulary.path is None:
            words = set(vocabulary.required_words)
            if config.corpus.world is not None:  # its names share no pieces worth finding
                source = text_source(replace(config.corpus, world="full"))  # of all stages alike
                words |= World(LADDER_WORLD).all_words()
            texts = list(islice(source.documents(), vocabulary.num_documents))
            write_vocabulary(folder, texts, num_pieces=vocabulary.num_pieces, required_words=words)
        model_file = Path(vocabulary.path) if vocabulary.path else folder / "spiece.model"
        shape = Shape(**asdict(config.shape))
        write_random_checkpoint(
            folder,
            shape,
            model_file,
            seed=config.seed,
            # As T5X draws it, so that the first loss is log(V); transformers draws with 1.
            lm_head_deviation=shape.d_model**-0.5,
        )
    return str(folder)


def corpora(
    config: PretrainConfig, source: TextSource, tokenizer: PreTrainedTokenizerFast
) -> tuple[Corpus, Corpus]:
    """The text to train on, and the held-out text."""
    settings = config.corpus
    cache = Path(settings.cache_dir)
    corpus = load_corpus(source, tokenizer, cache_dir=cache, max_tokens=settings.max_tokens)
    if settings.held_out_text is None:
        return hold_out(corpus, settings.held_out_fraction, seed=config.seed)
    return corpus, load_corpus(local_text(settings.held_out_text), tokenizer, cache_dir=cache)


def objective_of(
    config: ObjectiveConfig, tokenizer: PreTrainedTokenizerFast
) -> tuple[Objective, Segmentation]:
    """What a segment becomes, and how long segments are."""
    if config.name == "span_corruption":
        tokens_length, _ = span_corruption_lengths(
            config.inputs_length, config.noise_density, config.mean_span_length
        )
        first_sentinel_id = tokenizer.convert_tokens_to_ids("<extra_id_0>")
        assert isinstance(first_sentinel_id, int), first_sentinel_id
        corrupt = partial(
            corrupt_spans,
            first_sentinel_id=first_sentinel_id,
            eos_id=EOS_ID,
            noise_density=config.noise_density,
            mean_span_length=config.mean_span_length,
        )
        return corrupt, span_corruption_segmentation(tokens_length)
    segmentation = prefix_lm_segmentation(config.inputs_length)
    limit = config.max_target_tokens
    if config.name == "prefix_lm":
        return partial(prefix_lm, eos_id=EOS_ID, max_target_tokens=limit), segmentation
    split = partial(
        sentence_lm,
        eos_id=EOS_ID,
        sentence_end_ids=sentence_end_ids(tokenizer),
        max_target_tokens=limit or config.inputs_length,
    )
    return split, segmentation


def make_optimizer(
    settings: PretrainingConfig, weights: Mapping[str, Tensor]
) -> torch.optim.Optimizer:
    """Adafactor relative to each parameter's scale, as T5 was pre-trained, or AdamW.

    A group's `lr_factor` times the learning rate of a step is the group's. AdamW's steps are of one
    size for all tensors, and embeddings are drawn with deviation 1, matrices with d_model^-0.5.
    """
    if settings.optimizer == "adafactor":
        return Adafactor(
            [{"params": list(weights.values()), "lr_factor": 1.0}],
            settings.learning_rate,
            weight_decay=settings.weight_decay,
            multiply_by_parameter_scale=True,
        )
    others = [weight for name, weight in weights.items() if name != EMBEDDING]
    groups = [
        {"params": others, "lr_factor": 1.0},
        {"params": [weights[EMBEDDING]], "lr_factor": settings.embedding_learning_rate},
    ]
    beta1, beta2 = settings.betas
    return torch.optim.AdamW(
        groups,
        settings.learning_rate,
        betas=(beta1, beta2),
        weight_decay=settings.weight_decay,
        fused=True,
    )


def learning_rate(settings: PretrainingConfig, step: int) -> float:
    """Of a step, counted from 0: a linear warm-up, then the schedule.

    T5's is inverse_square_root with 10,000 warm-up steps, at whose constant rate it starts.
    """
    warmup = settings.warmup_steps
    if settings.schedule == "inverse_square_root":
        return settings.learning_rate * inverse_square_root(step, warmup_steps=max(warmup, 1))
    rising = min(1.0, (step + 1) / max(warmup, 1))
    left = 1.0
    if settings.schedule == "linear":
        left = (settings.num_steps - step) / max(settings.num_steps - warmup, 1)
    return settings.learning_rate * min(rising, left)
