"""Numbers for what section 7 of the paper sees in the neighbours of a prompt's rows.

Each is computed in the same way for a prompt, for the prompt before training, and for random
vectors: by itself none of them says anything. Shares are of 1.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from prompt_tuning.inspection.neighbours import Floats, Neighbours, Vocabulary, unit

STEM_LETTERS = 4
Measures = dict[str, float]


def neighbour_measures(
    neighbours: Neighbours, vocabulary: Vocabulary, domain: Collection[int]
) -> Measures:
    """How near, how tight, how alike in spelling and how shared the neighbours are.

    nearest_cosine, top_cosine: to the nearest piece and to all k, mean over rows.
    tightness: mean cosine of two neighbours of a row, over pairs and rows.
    lexical_clusters: share of rows of which two neighbours share a stem (`stem`).
    rows_sharing: share of rows with a neighbour that another row has too.
    distinct: different neighbours, of P * k.
    domain_share: of the different neighbours, those in `domain`, the places of the pieces in the
        task's texts; absent where these are not known.
    """
    places = neighbours.places
    distinct, rows_with = np.unique(places, return_counts=True)
    shared = {*distinct[rows_with > 1].tolist()}
    measures = {
        "nearest_cosine": float(neighbours.cosines[:, 0].mean()),
        "top_cosine": float(neighbours.cosines.mean()),
        "tightness": float(np.mean([tightness(vocabulary.directions[row]) for row in places])),
        "lexical_clusters": _share(has_lexical_cluster(row, vocabulary) for row in places),
        "rows_sharing": _share(not shared.isdisjoint(row.tolist()) for row in places),
        "distinct": len(distinct) / places.size,
    }
    if domain:
        measures["domain_share"] = _share(place in domain for place in distinct.tolist())
    return measures


def tightness(directions: Floats) -> float:
    """Mean cosine of two of k vectors of length 1, [k, H]."""
    k = len(directions)
    products = directions @ directions.T
    return float((products.sum() - np.trace(products)) / (k * (k - 1)))


def stem(piece: str) -> str | None:
    """The first four letters of a piece, in lower case; None of one that has fewer.

    Enough for {Technology, technology, Technologies, technological}, the paper's example; that
    {entirely, completely} belong together no spelling tells, and `tightness` has to.
    """
    start = piece.lstrip("▁").casefold()[:STEM_LETTERS]
    return start if len(start) == STEM_LETTERS and start.isalpha() else None


def has_lexical_cluster(places: Iterable[int], vocabulary: Vocabulary) -> bool:
    """Whether two of some pieces share a stem."""
    stems = [found for place in places if (found := stem(vocabulary.pieces[place]))]
    return len({*stems}) < len(stems)


def shared_stems(vocabulary: Vocabulary) -> float:
    """Share of the pieces that have the stem of another: without such there are no clusters."""
    stems = [stem(piece) for piece in vocabulary.pieces]
    pieces_of = Counter(found for found in stems if found)
    return _share(found is not None and pieces_of[found] > 1 for found in stems)


def norm_measures(rows: Floats) -> dict[str, Any]:
    """Lengths of rows [N, H], and the root mean square of a single number in them.

    The deviation of a single row is not known: None.
    """
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    return {
        "mean": float(lengths.mean()),
        "sd": float(lengths.std(ddof=1)) if len(lengths) > 1 else None,
        "min": float(lengths.min()),
        "max": float(lengths.max()),
        "rms": float(np.sqrt(np.mean(rows.astype(np.float64) ** 2))),
    }


def drift(rows: Floats, init: Floats) -> dict[str, Any]:
    """How far rows [P, H] are from where they started: cosine and distance of each, and the RMS."""
    cosines = (unit(rows) * unit(init)).sum(axis=1)
    distances = np.linalg.norm(rows - init, axis=1)
    return {
        "mean_cosine": float(cosines.mean()),
        "mean_distance": float(distances.mean()),
        "rms": float(np.sqrt(np.mean((rows - init) ** 2))),
        "cosines": [round(float(value), 4) for value in cosines],
        "distances": [round(float(value), 4) for value in distances],
    }


def _share(values: Iterable[bool]) -> float:
    return float(np.mean([*values]))
