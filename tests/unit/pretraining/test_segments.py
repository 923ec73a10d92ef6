"""From documents to the rows of a step: T5's chunks, groups and segments, seeded and endless."""

from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from prompt_tuning.pretraining.corpus import Corpus
from prompt_tuning.pretraining.objectives import corrupt_spans
from prompt_tuning.pretraining.schema import ObjectiveConfig
from prompt_tuning.pretraining.segments import (
    Segmentation,
    SegmentOrder,
    make_rows,
    segmentation_of,
)


def corpus_of(*lengths):
    """Document d has the tokens 1000 d, 1000 d + 1, ..., so that every token says where it is."""
    documents = [1000 * d + np.arange(length) for d, length in enumerate(lengths)]
    ends = np.cumsum(lengths)
    return Corpus(np.concatenate(documents).astype(np.uint16), ends - lengths, ends, {})


def epoch(corpus, segmentation, *, seed=0, number_of_segments):
    order = SegmentOrder(corpus, segmentation, 1, seed=seed)
    return [order[step][0].tolist() for step in range(number_of_segments)]


def test_an_epoch_of_unjoined_documents_by_hand():
    """Segments of 4 from 3 documents: only the last of a document is shorter."""
    segments = epoch(corpus_of(9, 4, 1), Segmentation(4, 1), number_of_segments=5)
    expected = [[0, 1, 2, 3], [4, 5, 6, 7], [8], [1000, 1001, 1002, 1003], [2000]]
    assert sorted(segments) == sorted(expected)
    assert segments != expected


def test_joined_documents_leave_one_short_segment_a_group():
    """5 documents of 3 tokens in groups of 2: 6, 6 and 3 tokens, in segments of 4."""
    segments = epoch(corpus_of(3, 3, 3, 3, 3), Segmentation(4, 2), number_of_segments=5)
    assert Counter(map(len, segments)) == {4: 2, 2: 2, 3: 1}
    tokens = [token for segment in segments for token in segment]
    assert sorted(tokens) == [1000 * d + i for d in range(5) for i in range(3)]


@pytest.mark.parametrize("documents_per_group", [1, 2, 128])
def test_every_epoch_has_every_token_once(documents_per_group):
    lengths = np.random.default_rng(0).integers(1, 60, 65)
    corpus = corpus_of(*lengths)
    order = SegmentOrder(corpus, Segmentation(7, documents_per_group), 1, seed=3)
    seen, step = Counter(), 0
    for number in (1, 2, 3):
        while sum(seen.values()) < number * corpus.num_tokens:
            seen.update(order[step][0].tolist())
            step += 1
        assert set(seen.values()) == {number}
        assert len(seen) == corpus.num_tokens


def test_a_long_document_gives_one_chunk_an_epoch_and_all_of_them_over_time():
    """T5's `select_random_chunk`: of 10 tokens in chunks of 4 begin 3 chunks, the last of 2."""
    order = SegmentOrder(corpus_of(10), Segmentation(100, 1, max_document_tokens=4), 1, seed=0)
    chunks = Counter(tuple(order[step][0].tolist()) for step in range(300))
    assert set(chunks) == {(0, 1, 2, 3), (4, 5, 6, 7), (8, 9)}
    assert min(chunks.values()) > 70


@pytest.mark.parametrize("segmentation", [Segmentation(5, 1, 8), Segmentation(5, 3, 8)])
def test_a_step_follows_from_seed_and_step_alone(segmentation):
    """Forwards, backwards, or first thing after a resume; epochs of unequal numbers included."""
    corpus = corpus_of(3, 21, 9, 1, 30)

    def start(seed=5):
        return SegmentOrder(corpus, segmentation, 4, seed=seed)

    order = start()
    steps = [[segment.tolist() for segment in order[step]] for step in range(30)]
    for step in (29, 3, 17, 0):
        assert [segment.tolist() for segment in order[step]] == steps[step]
        assert [segment.tolist() for segment in start()[step]] == steps[step]
    assert [segment.tolist() for segment in start(seed=6)[0]] != steps[0]
    assert steps[0] != steps[7]


def test_t5s_segmentations():
    """Source: `span_corruption` (568 tokens, 128 documents joined) and `prefix_lm` (511, none)."""
    config = ObjectiveConfig("span_corruption", 512, None, 0.15, 3.0)
    assert segmentation_of(config) == Segmentation(568, 128, 65_536)
    assert segmentation_of(replace(config, name="prefix_lm")) == Segmentation(511, 1, 65_536)


def rows(step, *, seed=0, batch_size=3):
    order = SegmentOrder(corpus_of(40, 40, 40), Segmentation(40, 1), batch_size, seed=seed)
    noise = {"noise_density": 0.15, "mean_span_length": 3.0}
    objective = partial(corrupt_spans, first_sentinel_id=9999, eos_id=1, **noise)
    made = make_rows(order, step, objective, seed=seed)
    return [(inputs.tolist(), targets.tolist()) for inputs, targets in made]


def test_the_noise_of_a_row_follows_from_seed_step_and_row():
    assert rows(4) == rows(4)
    assert rows(4) != rows(4, seed=1)

    def layout(row):
        return [token for token in (token % 1000 for token in row[0]) if token < 900]

    layouts = {str(layout(row)) for step in range(5) for row in rows(step)}
    assert len(layouts) > 10


def test_noise_and_order_are_different_streams():
    """numpy pads a short seed with zeros: [seed, step] and [seed, step, 0] are one stream."""
    drawn = []
    objective = lambda segment, rng: drawn.append(rng.random()) or (segment, segment)  # noqa: E731
    order = SegmentOrder(corpus_of(40), Segmentation(40, 1), 1, seed=2)
    make_rows(order, 1, objective, seed=2)
    assert drawn != [np.random.default_rng([1, 2, 1]).random()]
    assert drawn == [np.random.default_rng([2, 2, 1, 0]).random()]
