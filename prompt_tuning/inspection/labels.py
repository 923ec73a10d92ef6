"""Where the class labels of a task are among a prompt's neighbours."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from prompt_tuning.inspection.measures import Measures
from prompt_tuning.inspection.neighbours import Floats, Vocabulary, ranks


@dataclass(frozen=True)
class Label:
    """A class label among the neighbours of P rows."""

    word: str
    pieces: Sequence[str]  # that are its own; none: it cannot be looked for
    rows: int | None  # that have one of them among their k nearest pieces
    best_rank: int | None  # of its nearest piece, in the row that is nearest to it
    own_rank: int | None  # in the row that class-label initialisation gave it; None: there is none


def own_places(
    words: Mapping[str, Sequence[int]], vocabulary: Vocabulary
) -> dict[str, Sequence[int]]:
    """The pieces that tell a label from the others, as places in the vocabulary.

    One that another label has too says nothing ("entailment" in "not_entailment"), nor does one of
    fewer than two letters.

    Args:
        words: the token ids of every label.
        vocabulary: that neighbours are looked for in.
    """
    places = {word: vocabulary.places(ids) for word, ids in words.items()}
    own: dict[str, Sequence[int]] = {}
    for word, of_word in places.items():
        others = {place for other in words if other != word for place in places[other]}
        own[word] = [
            place
            for place in dict.fromkeys(of_word)
            if place not in others and sum(map(str.isalpha, vocabulary.pieces[place])) >= 2
        ]
    return own


def find_labels(
    cosines: Floats,
    own: Mapping[str, Sequence[int]],
    vocabulary: Vocabulary,
    k: int,
    *,
    has_own_rows: bool,
) -> list[Label]:
    """Every label of a task, in the order of the task.

    Args:
        cosines: of rows to pieces, [P, V].
        own: places of the pieces of every label.
        vocabulary: V pieces.
        k: so many nearest pieces count.
        has_own_rows: label i was put into row i before training.
    """
    labels = []
    for row, (word, places) in enumerate(own.items()):
        pieces = [vocabulary.pieces[place] for place in places]
        if not places:
            labels.append(Label(word, pieces, None, None, None))
            continue
        best = np.min([ranks(cosines, place) for place in places], axis=0)  # [P]
        own_rank = int(best[row]) if has_own_rows and row < len(best) else None
        labels.append(Label(word, pieces, int((best <= k).sum()), int(best.min()), own_rank))
    return labels


def label_measures(labels: Sequence[Label], k: int) -> Measures:
    """Shares of the labels that can be looked for; a number without any is absent.

    labels_found, labels_in_several: among the neighbours of one row or more, of two or more.
    label_rows: rows that have a label among their neighbours, mean over labels.
    labels_persist: of those with a row of their own, the ones that are among its neighbours.
    """
    rows = [label.rows for label in labels if label.rows is not None]
    own_ranks = [label.own_rank for label in labels if label.own_rank is not None]
    measures = {}
    if rows:
        measures["labels_found"] = float(np.mean([count >= 1 for count in rows]))
        measures["labels_in_several"] = float(np.mean([count >= 2 for count in rows]))
        measures["label_rows"] = float(np.mean(rows))
    if own_ranks:
        measures["labels_persist"] = float(np.mean([rank <= k for rank in own_ranks]))
    return measures


def as_json(labels: Sequence[Label]) -> list[dict[str, Any]]:
    """For a record."""
    return [{**asdict(label), "pieces": [*label.pieces]} for label in labels]
