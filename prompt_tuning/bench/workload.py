"""What every measurement works on: T5 v1.1 models with random weights, and where they run."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import T5Config, T5ForConditionalGeneration

from prompt_tuning.bench.profiles import Batch, load_profiles
from prompt_tuning.bench.settings import BenchConfig
from prompt_tuning.models.random_checkpoint import SHAPES, Shape, hub_config, random_weights

VOCAB_SIZE = 32128  # T5's, so that the lm_head costs what it costs
LM_HEAD_DEVIATION = 0.05  # logits of a few units, as a trained T5 has; 1.0 would saturate the loss
EMBEDDED = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")  # shared.weight again

# nano and tiny are this project's own, with the proportions of T5 v1.1 small.
SIZES = {
    "nano": Shape(d_model=64, num_layers=2, num_heads=4, d_kv=16, d_ff=128),
    "tiny": Shape(d_model=128, num_layers=4, num_heads=4, d_kv=32, d_ff=256),
    "small": SHAPES["small"],
}


@dataclass(frozen=True)
class Place:
    """Where a model runs, and in which precision."""

    device: torch.device
    dtype: torch.dtype


def random_t5(size: str, dropout: float, place: Place) -> T5ForConditionalGeneration:
    """Hugging Face's model with seeded random weights: a size has the same ones every time."""
    shape = SIZES[size]
    config = T5Config.from_dict({**hub_config(shape, VOCAB_SIZE), "dropout_rate": dropout})
    model = T5ForConditionalGeneration(config)
    # Made from a config alone, transformers ties the lm_head to the embedding.
    model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
    weights = random_weights(shape, VOCAB_SIZE, seed=0)
    weights["lm_head.weight"] *= LM_HEAD_DEVIATION
    report = model.load_state_dict(weights, strict=False)
    assert not report.unexpected_keys and {*report.missing_keys} == {*EMBEDDED}, report
    assert model.encoder.embed_tokens.weight is model.shared.weight
    torch.nn.Module.to(model, place.device, place.dtype)
    return model


def random_prompt(length: int, size: str, seed: int = 1) -> Tensor:
    """A seeded prompt [P, H] of the scale of the embeddings, on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(length, SIZES[size].d_model, generator=generator)


def draw_batches(config: BenchConfig) -> list[Batch]:
    """The batches that every arm works on."""
    return load_profiles()[config.profile].draw(
        num_batches=config.num_batches,
        batch_size=config.batch_size,
        vocab_size=VOCAB_SIZE,
        seed=config.seed,
    )
