"""What every measurement works on: batches as long as real tasks' rows, and T5s of random weights.

The lengths are those of the official training files in T5's text format and vocabulary
(`scripts/bench_profiles.py` counted them); the token ids are random, which costs the same.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor
from transformers import T5Config, T5ForConditionalGeneration

from prompt_tuning.bench.settings import BenchConfig
from prompt_tuning.config import MachineConfig
from prompt_tuning.loop import EncodedExamples
from prompt_tuning.model_choice import machine_of
from prompt_tuning.models.frozen_t5 import EOS_ID
from prompt_tuning.models.random_checkpoint import hub_config, random_weights
from prompt_tuning.pretraining.objectives import span_corruption_lengths
from prompt_tuning.shapes import SHAPES, Shape

PROFILES_PATH = Path(__file__).with_name("profiles.json")
MAX_INPUT_TOKENS = 512  # EOS included; Source: google-research/prompt-tuning, TASK_FEATURE_LENGTHS
WARM_UP_ROWS = 2  # of a batch, in which libraries set themselves up
NUM_SPECIAL_IDS = 3  # pad, EOS and unknown
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

    @classmethod
    def on(cls, machine: MachineConfig) -> Self:
        """What the config says of the machine; sets the number of threads."""
        return cls(*machine_of(machine))


class Batch(EncodedExamples):
    """One batch, which can be moved to a device."""

    def to(self, device: torch.device) -> Self:
        """The same rows on a device."""
        inputs, targets = ([ids.to(device) for ids in rows] for rows in (self.inputs, self.targets))
        return type(self)(inputs, targets)

    def first(self, num_rows: int) -> Self:
        """The first rows of this batch."""
        return type(self)(self.inputs[:num_rows], self.targets[:num_rows])

    @property
    def lengths(self) -> tuple[list[int], list[int]]:
        """Tokens of each input and of each target."""
        return [*map(len, self.inputs)], [*map(len, self.targets)]


@dataclass(frozen=True)
class Profile:
    """How often each length occurs in a training set: pairs of a length and a count."""

    inputs: Sequence[tuple[int, int]]
    targets: Sequence[tuple[int, int]]

    @property
    def tight_input_tokens(self) -> int:
        """The longest input, cut at 512: the smallest `max_length` that changes no example."""
        return min(MAX_INPUT_TOKENS, max(length for length, _ in self.inputs))


@cache
def load_profiles() -> dict[str, Profile]:
    """All profiles by name; in T5's pre-training all rows have the same length."""
    counted = json.loads(PROFILES_PATH.read_text(encoding="utf-8"))
    _, target_length = span_corruption_lengths(MAX_INPUT_TOKENS, 0.15, 3.0)  # conf/pretrain.yaml
    return {
        **{name: Profile(c["input_lengths"], c["target_lengths"]) for name, c in counted.items()},
        "span_corruption": Profile([(MAX_INPUT_TOKENS, 1)], [(target_length, 1)]),
    }


def draw_batches(config: BenchConfig) -> list[Batch]:
    """Independent rows that every arm works on; the same config gives the same batches."""
    rng, profile = np.random.default_rng(config.seed), load_profiles()[config.profile]

    def rows(counts: Sequence[tuple[int, int]]) -> list[Tensor]:
        lengths, frequencies = np.array(counts).T
        drawn = rng.choice(lengths, config.batch_size, p=frequencies / frequencies.sum())
        return [_ids(rng, min(int(length), MAX_INPUT_TOKENS)) for length in drawn]

    return [Batch(rows(profile.inputs), rows(profile.targets)) for _ in range(config.num_batches)]


def random_ids(lengths: Sequence[int], *, seed: int) -> list[Tensor]:
    """Rows of the given lengths, each ending in EOS."""
    rng = np.random.default_rng(seed)
    return [_ids(rng, length) for length in lengths]


def _ids(rng: np.random.Generator, length: int) -> Tensor:
    ids = rng.integers(NUM_SPECIAL_IDS, VOCAB_SIZE, length)
    ids[-1] = EOS_ID
    return torch.from_numpy(ids)


def random_prompt(length: int, size: str, seed: int = 1) -> Tensor:
    """A seeded prompt [P, H] of the scale of the embeddings, on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(length, SIZES[size].d_model, generator=generator)


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
