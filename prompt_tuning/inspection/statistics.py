"""Everything that is measured of one prompt, beside its init and random vectors."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prompt_tuning.inspection.labels import as_json, find_labels, label_measures, own_places
from prompt_tuning.inspection.measures import (
    Measures,
    drift,
    most_frequent,
    neighbour_measures,
    norm_measures,
    shared_stems,
)
from prompt_tuning.inspection.neighbours import (
    Floats,
    Neighbours,
    Vocabulary,
    nearest_neighbours,
    unit,
)

NUM_TOP_PIECES = 20  # of the task's domain, in a record


@dataclass(frozen=True)
class Question:
    """What is asked of a prompt, and of what it stands beside."""

    vocabulary: Vocabulary
    top_k: int  # neighbours a row
    label_ids: Mapping[str, Sequence[int]]  # token ids of every class label; {}: not known
    domain: Collection[int]  # places of the pieces in the task's texts; empty: not known
    has_label_rows: bool  # label i was put into row i before training

    def measures(self, rows: Floats) -> Measures:
        """Of some vectors [P, H]."""
        cosines = self.vocabulary.cosines(rows)
        neighbours = nearest_neighbours(cosines, self.top_k)
        labels = find_labels(
            cosines,
            own_places(self.label_ids, self.vocabulary),
            self.vocabulary,
            self.top_k,
            has_own_rows=self.has_label_rows,
        )
        return {
            **neighbour_measures(neighbours, self.vocabulary, self.domain),
            **label_measures(labels, self.top_k),
        }

    def random_measures(self, shape: tuple[int, int], *, num_draws: int, seed: int) -> Measures:
        """The mean over draws of as many Gaussian vectors, [P, H]; no label has a row in them."""
        generator = np.random.default_rng(seed)
        draws = [
            self.measures(generator.standard_normal(shape, dtype=np.float32))
            for _ in range(num_draws)
        ]
        names = [name for name in draws[0] if name != "labels_persist"]
        return {name: float(np.mean([draw[name] for draw in draws])) for name in names}


def statistics_of(
    question: Question, prompt: Floats, init: Floats | None, *, num_draws: int, seed: int
) -> dict[str, Any]:
    """The statistics of a record.

    Args:
        question: vocabulary, labels and domain.
        prompt: [P, H].
        init: the same before training; None: not known, and nothing is said about it.
        num_draws: of random vectors.
        seed: of the draws.
    """
    vocabulary, k = question.vocabulary, question.top_k
    cosines = vocabulary.cosines(prompt)
    neighbours = nearest_neighbours(cosines, k)
    own = own_places(question.label_ids, vocabulary)
    labels = find_labels(cosines, own, vocabulary, k, has_own_rows=question.has_label_rows)
    shape = (prompt.shape[0], prompt.shape[1])
    found: dict[str, Any] = {
        "measures": {
            "prompt": question.measures(prompt),
            "init": None if init is None else question.measures(init),
            "random": question.random_measures(shape, num_draws=num_draws, seed=seed),
        },
        "shared_stems": shared_stems(vocabulary),
        "labels": as_json(labels),
        "drift": None if init is None else drift(prompt, init),
        "norms": {
            "prompt": norm_measures(prompt),
            "init": None if init is None else norm_measures(init),
            "embedding": norm_measures(vocabulary.embedding),
        },
    }
    means = [found["norms"][name]["mean"] for name in ("prompt", "embedding")]
    found["norms"]["ratio"] = means[0] / means[1]
    if question.domain:
        found["domain"] = {
            "vocabulary_share": len(question.domain) / len(vocabulary.pieces),
            "top_pieces": most_frequent(neighbours, vocabulary, question.domain, NUM_TOP_PIECES),
        }
    return found


def neighbours_by_row(neighbours: Neighbours, vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Every row with its neighbours, for JSON."""
    return [
        {
            "row": row,
            "neighbours": [
                {"piece": vocabulary.pieces[place], "cosine": round(float(cosine), 4)}
                for place, cosine in zip(places, cosines, strict=True)
            ],
        }
        for row, (places, cosines) in enumerate(
            zip(neighbours.places, neighbours.cosines, strict=True)
        )
    ]


def map_axes(vocabulary: Vocabulary) -> tuple[Floats, Floats]:
    """The centre [H] and the first two principal axes [2, H] of the pieces' directions."""
    centre: Floats = vocabulary.directions.mean(axis=0)
    centred = vocabulary.directions - centre
    _, vectors = np.linalg.eigh(centred.T @ centred)
    axes: Floats = vectors[:, :-3:-1].T.astype(np.float32)
    for i, axis in enumerate(axes):
        if axis[np.abs(axis).argmax()] < 0:
            axes[i] = -axis  # the same way up on every machine
    return centre, axes


def on_map(rows: Floats, centre: Floats, axes: Floats) -> Floats:
    """Where the directions of rows [N, H] are on the map, [N, 2]."""
    return ((unit(rows) - centre) @ axes.T).astype(np.float32)
