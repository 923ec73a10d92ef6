"""What a row of pre-training asks for: token ids in, ids of inputs and targets out.

Span corruption and prefix LM follow T5's rules to the number; `sentence_lm` is this project's own.
Source: google-research/text-to-text-transfer-transformer @ 0068fa73, t5/data/preprocessors.py.
"""

from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prompt_tuning.models.loading import sentinel_id
from prompt_tuning.pretraining.schema import ObjectiveConfig, span_counts
from prompt_tuning.pretraining.vocabulary import sentence_end_ids
from prompt_tuning.shapes import NUM_SENTINELS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Ids = NDArray[np.int32]
Objective = Callable[[Ids, np.random.Generator], tuple[Ids, Ids]]  # segment, noise -> a row


def make_objective(config: ObjectiveConfig, tokenizer: "PreTrainedTokenizerFast") -> Objective:
    """What the config makes of a segment of text."""
    eos_id, limit = tokenizer.eos_token_id, config.max_target_tokens
    if config.name == "prefix_lm":
        return partial(prefix_lm, eos_id=eos_id, max_target_tokens=limit)
    if config.name == "sentence_lm":
        return partial(
            sentence_lm,
            eos_id=eos_id,
            sentence_end_ids=sentence_end_ids(tokenizer),
            max_target_tokens=limit or config.inputs_length,
        )
    assert config.name == "span_corruption", config
    return partial(
        corrupt_spans,
        first_sentinel_id=sentinel_id(tokenizer),
        eos_id=eos_id,
        noise_density=config.noise_density,
        mean_span_length=config.mean_span_length,
    )


def span_corruption_lengths(
    inputs_length: int, noise_density: float, mean_span_length: float
) -> tuple[int, int]:
    """Tokens of a segment, and of its targets, whose inputs fill `inputs_length`, EOS counted.

    512, 0.15 and 3 give segments of 568 tokens and targets of 114. Where float32 rounds a tie the
    other way (`noise_mask`; 190 tokens are the first such segment) targets have two tokens more.
    Source: T5's `random_spans_helper`, its special case of a density of one half included.
    """

    def corrupted(tokens_length: int) -> tuple[int, int]:
        noise = round(tokens_length * noise_density)
        spans = round(noise / mean_span_length)
        return tokens_length - noise + spans + 1, noise + spans + 1

    tokens_length = inputs_length - 1
    while corrupted(tokens_length + 1)[0] <= inputs_length:
        tokens_length += 1
    inputs, targets = corrupted(tokens_length)
    if noise_density == 0.5 and targets > inputs:
        return tokens_length - 1, targets - 1
    return tokens_length, targets


def noise_mask(
    length: int, rng: np.random.Generator, noise_density: float, mean_span_length: float
) -> NDArray[np.bool_]:
    """Which of `length` tokens are noise: spans, first kept then noise, alternating to the end.

    The counts of noise tokens and of spans follow from the length; all ways of laying them out are
    equally likely. The last token is always noise. A single token is none.
    Source: T5's `random_spans_noise_mask`.
    """
    assert length > 0, length
    num_tokens = max(length, 2)
    num_noise, num_spans = map(int, span_counts(num_tokens, noise_density, mean_span_length))
    noise = _random_segmentation(num_noise, num_spans, rng)
    kept = _random_segmentation(num_tokens - num_noise, num_spans, rng)
    span_lengths = np.stack([kept, noise], axis=1).ravel()
    return np.repeat(np.tile([False, True], num_spans), span_lengths)[:length]


def corrupt_spans(
    tokens: Ids,
    rng: np.random.Generator,
    noise_density: float,
    mean_span_length: float,
    *,
    first_sentinel_id: int,
    eos_id: int,
) -> tuple[Ids, Ids]:
    """Inputs with a sentinel for each noise span; targets with each sentinel and its span.

    Sentinel k is the id `first_sentinel_id - k`: never text, which a tokenizer would pad.
    """
    noise = noise_mask(len(tokens), rng, noise_density, mean_span_length)
    inputs = replace_spans(tokens, noise, first_sentinel_id)
    targets = replace_spans(tokens, ~noise, first_sentinel_id)
    return _with_eos(inputs, eos_id), _with_eos(targets, eos_id)


def replace_spans(tokens: Ids, mask: NDArray[np.bool_], first_sentinel_id: int) -> Ids:
    """The tokens with sentinel k in place of the k-th run of masked ones.

    Source: T5's `noise_span_to_unique_sentinel` and, with the mask inverted, its `nonnoise` twin.
    """
    starts = mask & ~np.concatenate([[False], mask[:-1]])
    num_spans = np.cumsum(starts)
    assert num_spans[-1] <= NUM_SENTINELS, f"{num_spans[-1]} spans, {NUM_SENTINELS} sentinels"
    return np.where(starts, first_sentinel_id + 1 - num_spans, tokens)[starts | ~mask]


def prefix_lm(
    tokens: Ids, rng: np.random.Generator, *, eos_id: int, max_target_tokens: int | None = None
) -> tuple[Ids, Ids]:
    """A prefix of uniform length in [1, length - 1] for the encoder, the rest for the decoder.

    The objective of LM adaptation. A single token has an empty prefix.
    Source: T5's `prefix_lm` (`random_prefix_noise_mask`), and `append_eos_after_trim`, which keeps
    at most `max_target_tokens` of the targets, EOS included; None keeps all.
    """
    last_cut = len(tokens) - 1
    cut = int(rng.integers(min(last_cut, 1), last_cut, endpoint=True))
    stop = len(tokens) if max_target_tokens is None else cut + max_target_tokens - 1
    return _with_eos(tokens[:cut], eos_id), _with_eos(tokens[cut:stop], eos_id)


def sentence_lm(
    tokens: Ids,
    rng: np.random.Generator,
    *,
    eos_id: int,
    sentence_end_ids: Collection[int],
    max_target_tokens: int,
) -> tuple[Ids, Ids]:
    """A prefix that ends with a sentence; the targets are the whole sentences after it that fit.

    The cut is uniform over the sentences' ends. At most `max_target_tokens` targets, EOS included:
    a first sentence that is longer is cut; tokens beyond the targets are not seen. A segment
    without an end before its last token is split as in `prefix_lm`.
    Deviation: the paper cuts anywhere. At the size of the embedded ladder short targets that begin
    a sentence learn far faster.
    """
    ends = np.flatnonzero([token in sentence_end_ids for token in tokens[:-1].tolist()]) + 1
    if not len(ends):
        return prefix_lm(tokens, rng, eos_id=eos_id, max_target_tokens=max_target_tokens)
    cut = int(rng.choice(ends))
    limit = cut + max_target_tokens - 1
    ends = np.append(ends, len(tokens))  # whatever the segment ends in
    fitting = ends[(ends > cut) & (ends <= limit)]
    stop = fitting[-1] if len(fitting) else limit
    return _with_eos(tokens[:cut], eos_id), _with_eos(tokens[cut:stop], eos_id)


def _random_segmentation(
    num_items: int, num_segments: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Lengths of non-empty segments of `num_items`, every way of cutting being equally likely."""
    assert 0 < num_segments <= num_items, f"{num_segments} spans in {num_items} tokens"
    cuts = np.sort(rng.permutation(num_items - 1)[: num_segments - 1]) + 1
    return np.diff(np.concatenate([[0], cuts, [num_items]]))


def _with_eos(tokens: Ids, eos_id: int) -> Ids:
    return np.append(tokens, eos_id).astype(np.int32)
