"""Length profiles of real tasks, and seeded ragged batches that have them.

The lengths are those of the official training files in T5's text format and vocabulary
(`scripts/bench_profiles.py` counted them); the token ids are random, which costs the same.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from prompt_tuning.models.frozen_t5 import EOS_ID
from prompt_tuning.pretraining.objectives import span_corruption_lengths

PROFILES_PATH = Path(__file__).with_name("profiles.json")
MAX_INPUT_TOKENS = 512  # EOS included; Source: google-research/prompt-tuning, TASK_FEATURE_LENGTHS
SPAN_CORRUPTION = "span_corruption"  # T5's pre-training: all rows have the same length
NUM_SPECIAL_IDS = 3  # pad, EOS and unknown


@dataclass(frozen=True)
class Batch:
    """One batch: B inputs and B targets of token ids, each ending in EOS."""

    inputs: Sequence[Tensor]
    targets: Sequence[Tensor]

    @property
    def input_lengths(self) -> list[int]:
        """Tokens of each input."""
        return [len(ids) for ids in self.inputs]

    @property
    def target_lengths(self) -> list[int]:
        """Tokens of each target."""
        return [len(ids) for ids in self.targets]


@dataclass(frozen=True)
class Profile:
    """How often each length occurs: pairs of a length and a count."""

    name: str
    inputs: tuple[tuple[int, int], ...]
    targets: tuple[tuple[int, int], ...]

    @property
    def tight_input_tokens(self) -> int:
        """The longest input, cut at 512: the smallest `max_length` that changes no example."""
        return min(MAX_INPUT_TOKENS, max(length for length, _ in self.inputs))

    def draw(self, *, num_batches: int, batch_size: int, vocab_size: int, seed: int) -> list[Batch]:
        """Batches of independent rows; the same arguments give the same batches."""
        rng = np.random.default_rng(seed)

        def rows(counts: tuple[tuple[int, int], ...]) -> list[Tensor]:
            lengths, frequencies = np.array(counts).T
            drawn = rng.choice(lengths, batch_size, p=frequencies / frequencies.sum())
            return [_ids(rng, min(int(length), MAX_INPUT_TOKENS), vocab_size) for length in drawn]

        return [Batch(rows(self.inputs), rows(self.targets)) for _ in range(num_batches)]


@cache
def load_profiles() -> dict[str, Profile]:
    """All profiles by name."""
    counted = json.loads(PROFILES_PATH.read_text(encoding="utf-8"))
    profiles = {
        name: Profile(name, _pairs(of["input_lengths"]), _pairs(of["target_lengths"]))
        for name, of in counted.items()
    }
    _, target_length = span_corruption_lengths(MAX_INPUT_TOKENS)
    profiles[SPAN_CORRUPTION] = Profile(
        SPAN_CORRUPTION, ((MAX_INPUT_TOKENS, 1),), ((target_length, 1),)
    )
    return profiles


def random_ids(lengths: Sequence[int], vocab_size: int, *, seed: int) -> list[Tensor]:
    """Rows of the given lengths, each ending in EOS."""
    rng = np.random.default_rng(seed)
    return [_ids(rng, length, vocab_size) for length in lengths]


def _ids(rng: np.random.Generator, length: int, vocab_size: int) -> Tensor:
    ids = rng.integers(NUM_SPECIAL_IDS, vocab_size, length)
    ids[-1] = EOS_ID
    return torch.from_numpy(ids)


def _pairs(counts: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((length, count) for length, count in counts)
