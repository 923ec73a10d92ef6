"""The pieces of a vocabulary, and those that are nearest to given vectors by cosine.

Source: Lester et al. (2021), section 7. NumPy alone; a prompt of 100 rows against 32,000 pieces is
one product of matrices, and 13 MB.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Vocabulary:
    """The pieces that may be neighbours: V of them, which need not be all that a model has."""

    embedding: Floats  # [V, H]
    pieces: Sequence[str]  # as SentencePiece writes them: "▁the"
    token_ids: Sequence[int]  # in the model's vocabulary

    @cached_property
    def directions(self) -> Floats:
        """The embedding with rows of length 1, [V, H]."""
        return unit(self.embedding)

    def cosines(self, rows: Floats) -> Floats:
        """The cosine of every row [P, H] with every piece: [P, V]."""
        return unit(rows) @ self.directions.T

    def places(self, token_ids: Sequence[int]) -> list[int]:
        """Where tokens are among the pieces; those that are left out of it are left out here."""
        place_of = {token_id: place for place, token_id in enumerate(self.token_ids)}
        return [place_of[token_id] for token_id in token_ids if token_id in place_of]


@dataclass(frozen=True)
class Neighbours:
    """The k nearest pieces of every row, nearest first."""

    places: Ids  # [P, k], in a `Vocabulary`
    cosines: Floats  # [P, k]


def unit(rows: Floats) -> Floats:
    """The rows [N, H] with length 1; one of zeros stays so."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Floats = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled


def nearest_neighbours(cosines: Floats, k: int) -> Neighbours:
    """The k nearest pieces of every row, by cosines [P, V]; of equally near ones the first."""
    assert 1 <= k <= cosines.shape[1], (k, cosines.shape)
    rows = []
    for row in cosines:
        candidates = np.flatnonzero(row >= np.partition(row, -k)[-k])  # to sort few of V
        rows.append(candidates[np.argsort(-row[candidates], kind="stable")[:k]])
    places = np.stack(rows)
    return Neighbours(places, np.take_along_axis(cosines, places, axis=1))


def ranks(cosines: Floats, place: int) -> Ids:
    """How near a piece is to every row, [P]: 1 is the nearest, V the furthest."""
    nearer: Ids = (cosines > cosines[:, [place]]).sum(axis=1)
    return nearer + 1
