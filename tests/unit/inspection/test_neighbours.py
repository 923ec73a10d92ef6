"""Nearest neighbours: what a slow search by hand finds, at the size of T5's vocabulary."""

import numpy as np
import pytest

from prompt_tuning.inspection.neighbours import (
    Vocabulary,
    nearest_neighbours,
    ranks,
)

T5_ROWS, HIDDEN_SIZE = 32_128, 32


@pytest.fixture(scope="module")
def vocabulary():
    """Of T5's size, with rows of very different lengths."""
    rng = np.random.default_rng(0)
    embedding = rng.standard_normal((T5_ROWS, HIDDEN_SIZE), dtype=np.float32)
    embedding *= rng.uniform(0.1, 300, (T5_ROWS, 1)).astype(np.float32)
    pieces = [f"p{i}" for i in range(T5_ROWS)]
    return Vocabulary(embedding, pieces, [i + 3 for i in range(T5_ROWS)])


def by_hand(row, embedding, k):
    """In float64, a piece at a time."""
    row64, table = row.astype(float), embedding.astype(float)
    cosines = [float(row64 @ e / np.sqrt(row64 @ row64) / np.sqrt(e @ e)) for e in table]
    return sorted(range(len(cosines)), key=lambda place: -cosines[place])[:k]


def test_neighbours_are_those_of_a_search_by_hand(vocabulary):
    """Rows as large as the authors' prompts, far beyond the embeddings: length must not count."""
    rows = 1000 * np.random.default_rng(1).standard_normal((4, HIDDEN_SIZE), dtype=np.float32)
    found = nearest_neighbours(vocabulary.cosines(rows), 5)
    for row, places in zip(rows, found.places, strict=True):
        assert places.tolist() == by_hand(row, vocabulary.embedding, 5)


def test_a_rank_counts_the_nearer_pieces(vocabulary):
    places = [5, 4999, 32_000]
    for sign, rank in ((1, 1), (-1, T5_ROWS)):
        cosines = vocabulary.cosines(sign * 1.5 * vocabulary.embedding[places])
        assert [ranks(cosines, place)[i] for i, place in enumerate(places)] == [rank] * 3


def test_of_equally_near_pieces_the_first_comes_first_and_zeros_are_near_to_nothing():
    """A prompt that was never trained may hold a row of zeros."""
    twice = Vocabulary(np.eye(2, dtype=np.float32)[[0, 1, 1, 0]], "abcd", range(4))
    cosines = twice.cosines(np.array([[0, 2], [0, 0]], np.float32))
    assert nearest_neighbours(cosines, 4).places[0].tolist() == [1, 2, 0, 3]
    assert (cosines[1] == 0).all()


def test_tokens_that_are_left_out_have_no_place(vocabulary):
    """Pad, eos and unk are ids 0 to 2 here, and no pieces."""
    assert vocabulary.places([0, 3, 2, 10]) == [0, 7]
