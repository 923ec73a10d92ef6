"""Span corruption and prefix LM: cases by hand, T5's numbers, and what holds for every row."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from prompt_tuning.pretraining.objectives import (
    corrupt_spans,
    noise_mask,
    prefix_lm,
    replace_spans,
    sentence_lm,
    span_corruption_lengths,
)

EOS, SENTINEL = 1, 32099
STOP = 5  # ends a sentence
LENGTHS = [*range(1, 40), 113, 512, 568]


def ids(*values):
    return np.array(values, np.int32)


def spans_of(mask):
    """Lengths of the runs of a mask."""
    return [len(run) for run in "".join("x" if bit else " " for bit in mask).split()]


def test_a_segment_of_t5s_length_fills_inputs_and_targets():
    """And one token more would not fit. Under 10 inputs T5's rule forgets its minimum of a span."""
    assert span_corruption_lengths(512, 0.15, 3.0) == (568, 114)  # T5 was configured with them
    targets_two_longer = []
    for inputs_length in range(10, 400):
        tokens_length, targets_length = span_corruption_lengths(inputs_length, 0.15, 3.0)
        inputs, targets = corrupt(np.arange(tokens_length), seed=0)
        assert len(inputs) == inputs_length
        if len(targets) != targets_length:
            assert len(targets) == targets_length + 2
            targets_two_longer.append(tokens_length)
        assert len(corrupt(np.arange(tokens_length + 1), seed=0)[0]) > inputs_length
    # Ties, rounded up: 190 * 0.15 is 28.500002 in float32.
    assert targets_two_longer == [190, 350, 390]


def test_at_a_density_of_one_half_targets_are_no_longer_than_inputs():
    """T5's special case: 767 tokens would fit 512 inputs, but have 513 targets."""
    assert span_corruption_lengths(512, 0.5, 3.0) == (766, 512)
    inputs, targets = corrupt(np.arange(766), seed=0, noise_density=0.5, mean_span_length=3.9)
    assert (len(inputs), len(targets)) == (383 + 98 + 1, 383 + 98 + 1)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("density", "mean_span"), [(0.15, 3.0), (0.5, 3.0), (0.3, 1.0)])
def test_counts_of_noise_tokens_and_spans_follow_from_the_length(length, density, mean_span):
    num_noise = min(max(round(length * density), 1), length - 1)
    num_spans = max(round(num_noise / mean_span), 1) if num_noise else 0
    for seed in range(5):
        mask = noise_mask(length, np.random.default_rng(seed), density, mean_span)
        assert len(mask) == length
        assert mask.sum() == num_noise
        assert len(spans_of(mask)) == num_spans
        assert not mask[0]
        assert mask[-1] == (length > 1)


def test_every_layout_of_the_spans_is_equally_likely():
    """8 tokens, 4 of them noise in 2 spans: 3 x 3 masks, each about 1,000 times of 9,000."""
    rng = np.random.default_rng(0)
    masks = Counter(tuple(noise_mask(8, rng, 0.5, 2.0).tolist()) for _ in range(9_000))
    expected = set()
    for ends in combinations(range(1, 8), 3):
        runs = np.diff([0, *ends, 8])
        if runs[1] + runs[3] == 4:
            expected.add(tuple(np.repeat([False, True, False, True], runs).tolist()))
    assert set(masks) == expected
    assert len(expected) == 9
    assert all(850 < count < 1_150 for count in masks.values()), masks


def test_spans_are_replaced_by_descending_sentinels():
    """The example of the T5 paper's figure 2: inputs and targets mirror each other."""
    tokens = ids(10, 11, 12, 13, 14, 15, 16)
    noise = np.array([0, 0, 1, 1, 0, 1, 0], bool)
    assert replace_spans(tokens, noise, SENTINEL).tolist() == [10, 11, 32099, 14, 32098, 16]
    assert replace_spans(tokens, ~noise, SENTINEL).tolist() == [32099, 12, 13, 32098, 15, 32097]


def corrupt(tokens, seed, noise_density=0.15, mean_span_length=3.0):
    rng, noise = np.random.default_rng(seed), (noise_density, mean_span_length)
    return corrupt_spans(tokens, rng, *noise, first_sentinel_id=SENTINEL, eos_id=EOS)


def test_the_shortest_rows_by_hand():
    """The mask of 2 tokens can only be (kept, noise); T5 keeps a single token."""
    assert [part.tolist() for part in corrupt(ids(7, 8), 0)] == [[7, 32099, 1], [32099, 8, 1]]
    assert [part.tolist() for part in corrupt(ids(7), 0)] == [[7, 1], [32099, 1]]


def restore(inputs, targets):
    """The tokens of a row, every sentinel of the inputs replaced by what follows it in targets."""
    assert inputs[-1] == targets[-1] == EOS
    spans, tokens = {}, []
    for token in targets[:-1]:
        if token > SENTINEL - 100:
            span = spans[token] = []
        else:
            span.append(token)
    for token in inputs[:-1]:
        tokens.extend(spans.pop(token) if token > SENTINEL - 100 else [token])
    assert not spans
    return tokens


@pytest.mark.parametrize("length", [length for length in LENGTHS if length > 1])
def test_inputs_and_targets_together_restore_the_tokens(length):
    tokens = np.random.default_rng(length).integers(3, 1000, length).astype(np.uint16)
    for seed in range(5):
        inputs, targets = corrupt(tokens, seed)
        assert inputs.dtype == targets.dtype == np.int32
        assert restore(inputs.tolist(), targets.tolist()) == tokens.tolist()
        sentinels = [token for token in targets.tolist() if token > 1000]
        assert sentinels == list(range(SENTINEL, SENTINEL - len(sentinels), -1))
        assert targets[0] == SENTINEL


def test_more_spans_than_sentinels_stop_the_run():
    """The next ids below the sentinels are words: T5 would use them without a sign."""
    with pytest.raises(AssertionError, match="101 spans, 100 sentinels"):
        corrupt(np.arange(303 * 2), 0, noise_density=0.5)


def prefix(tokens, seed=0, **settings):
    return prefix_lm(tokens, np.random.default_rng(seed), eos_id=EOS, **settings)


def test_a_prefix_goes_to_the_encoder_and_the_rest_to_the_decoder():
    assert [part.tolist() for part in prefix(ids(7, 8))] == [[7, 1], [8, 1]]
    assert [part.tolist() for part in prefix(ids(7))] == [[1], [7, 1]]
    inputs, targets = prefix(np.arange(100, 120))
    assert [*inputs[:-1], *targets[:-1]] == list(range(100, 120))
    assert inputs[-1] == targets[-1] == EOS


def test_every_cut_is_equally_likely_and_both_sides_have_a_token():
    tokens = np.arange(100, 106)
    rng = np.random.default_rng(0)
    cuts = Counter(len(prefix_lm(tokens, rng, eos_id=EOS)[0]) - 1 for _ in range(10_000))
    assert set(cuts) == {1, 2, 3, 4, 5}
    assert all(1_800 < count < 2_200 for count in cuts.values()), cuts


def test_targets_beyond_the_limit_are_cut_to_leave_room_for_eos():
    for seed in range(20):
        inputs, targets = prefix(np.arange(100, 130), seed, max_target_tokens=6)
        whole = [*range(100 + len(inputs) - 1, 130)]
        assert targets.tolist() == [*whole[:5], EOS]


A, B, C = [7, 8, STOP], [9, 10, STOP], [11, 12, 13, STOP]


def sentences(tokens, limit):
    """Every row that a segment can give."""
    rows = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        inputs, targets = sentence_lm(
            tokens, rng, eos_id=EOS, sentence_end_ids={STOP}, max_target_tokens=limit
        )
        assert inputs[-1] == targets[-1] == EOS
        rows.add((tuple(inputs[:-1].tolist()), tuple(targets[:-1].tolist())))
    return rows


@pytest.mark.parametrize(
    ("limit", "after_a", "after_b"),
    [
        (4, B, C[:3]),  # C does not fit: cut
        (5, B, C),
        (7, B, C),
        (8, B + C, C),
    ],
)
def test_targets_are_the_whole_sentences_after_a_cut_that_fit(limit, after_a, after_b):
    assert sentences(ids(*A, *B, *C), limit) == {
        (tuple(A), tuple(after_a)),
        (tuple(A + B), tuple(after_b)),
    }


def test_the_end_of_a_segment_ends_a_sentence():
    assert sentences(ids(*A, 9, 10), 9) == {(tuple(A), (9, 10))}


@pytest.mark.parametrize("tokens", [[7, 8, 9], [7, 8, STOP]])
def test_without_a_sentence_to_follow_the_cut_is_anywhere(tokens):
    rows = {(tuple(tokens[:cut]), tuple(tokens[cut:])) for cut in (1, 2)}
    assert sentences(ids(*tokens), 9) == rows
