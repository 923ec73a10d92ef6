"""Everything that is measured of one prompt, beside its init and random vectors."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from prompt_tuning.inspection.measures import (
    Measures,
    drift,
    neighbour_measures,
    norm_measures,
    shared_stems,
)
from prompt_tuning.inspection.neighbours import (
    Floats,
    Neighbours,
    Vocabulary,
    nearest_neighbours,
    ranks,
)

NUM_TOP_PIECES = 20  # of the task's domain, in a record
Label = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What is found among the neighbours of P rows."""

    neighbours: Neighbours
    labels: Sequence[Label]
    measures: Measures


@dataclass(frozen=True)
class Question:
    """What is asked of a prompt, and of what it stands beside."""

    vocabulary: Vocabulary
    top_k: int  # neighbours a row
    label_ids: Mapping[str, Sequence[int]]  # token ids of every class label; {}: not known
    domain: Collection[int]  # places of the pieces in the task's texts; empty: not known
    has_label_rows: bool  # label i was put into row i before training

    def ask(self, rows: Floats) -> Answer:
        """The measures of some vectors [P, H]."""
        cosines = self.vocabulary.cosines(rows)
        neighbours = nearest_neighbours(cosines, self.top_k)
        labels = self._find_labels(cosines)
        measures = neighbour_measures(neighbours, self.vocabulary, self.domain)
        return Answer(neighbours, labels, measures | label_measures(labels, self.top_k))

    def ask_random(self, shape: tuple[int, ...], *, num_draws: int, seed: int) -> Measures:
        """The mean over draws of as many Gaussian vectors, [P, H]; no label has a row in them."""
        generator = np.random.default_rng(seed)
        draws = [
            self.ask(generator.standard_normal(shape, dtype=np.float32)).measures
            for _ in range(num_draws)
        ]
        names = [name for name in draws[0] if name != "labels_persist"]
        return {name: float(np.mean([draw[name] for draw in draws])) for name in names}

    @cached_property
    def own_places(self) -> dict[str, Sequence[int]]:
        """The pieces that tell a label from the others, as places in the vocabulary.

        One that another label has too says nothing ("entailment" in "not_entailment"), nor does one
        of fewer than two letters.
        """
        places = {word: self.vocabulary.places(ids) for word, ids in self.label_ids.items()}
        labels_with = Counter(place for each in places.values() for place in {*each})
        return {
            word: [
                place
                for place in dict.fromkeys(each)
                if labels_with[place] == 1
                and sum(map(str.isalpha, self.vocabulary.pieces[place])) >= 2
            ]
            for word, each in places.items()
        }

    def _find_labels(self, cosines: Floats) -> list[Label]:
        """Every label of the task among the neighbours of P rows, by cosines [P, V].

        word, pieces: the label, and its own pieces; without any it cannot be looked for.
        rows: that have one of the pieces among their k nearest.
        best_rank: of the nearest piece, in the row that is nearest to it.
        own_rank: in the row that class-label initialisation gave the label, if it did.
        """
        labels = []
        for row, (word, places) in enumerate(self.own_places.items()):
            label: Label = {
                "word": word,
                "pieces": [self.vocabulary.pieces[place] for place in places],
                **dict.fromkeys(("rows", "best_rank", "own_rank")),
            }
            if places:
                best = np.min([ranks(cosines, place) for place in places], axis=0)  # [P]
                label["rows"] = int((best <= self.top_k).sum())
                label["best_rank"] = int(best.min())
                if self.has_label_rows and row < len(best):
                    label["own_rank"] = int(best[row])
            labels.append(label)
        return labels


def label_measures(labels: Sequence[Label], k: int) -> Measures:
    """Shares of the labels that can be looked for; a number without any is absent.

    labels_found, labels_in_several: among the neighbours of one row or more, of two or more.
    label_rows: rows that have a label among their neighbours, mean over labels.
    labels_persist: of those with a row of their own, the ones that are among its neighbours.
    """
    rows = np.array([label["rows"] for label in labels if label["rows"] is not None])
    own_ranks = np.array([label["own_rank"] for label in labels if label["own_rank"] is not None])
    measures = {}
    if len(rows):
        measures["labels_found"] = float((rows >= 1).mean())
        measures["labels_in_several"] = float((rows >= 2).mean())
        measures["label_rows"] = float(rows.mean())
    if len(own_ranks):
        measures["labels_persist"] = float((own_ranks <= k).mean())
    return measures


def statistics_of(
    question: Question, prompt: Floats, init: Floats | None, *, num_draws: int, seed: int
) -> tuple[dict[str, Any], Neighbours]:
    """The statistics of a record, and the neighbours of the rows of a prompt, [P, H].

    Random vectors are drawn `num_draws` times. Without the `init` nothing is said about it.
    """
    vocabulary, answer = question.vocabulary, question.ask(prompt)
    own, of_embedding = norm_measures(prompt), norm_measures(vocabulary.embedding)
    found: dict[str, Any] = {
        "measures": {
            "prompt": answer.measures,
            "init": None if init is None else question.ask(init).measures,
            "random": question.ask_random(prompt.shape, num_draws=num_draws, seed=seed),
        },
        "shared_stems": shared_stems(vocabulary),
        "labels": answer.labels,
        "drift": None if init is None else drift(prompt, init),
        "norms": {
            "prompt": own,
            "init": None if init is None else norm_measures(init),
            "embedding": of_embedding,
            "ratio": own["mean"] / of_embedding["mean"],
        },
    }
    if domain := question.domain:
        places = answer.neighbours.places.ravel().tolist()
        rows_of = Counter(place for place in sorted(places) if place in domain)
        found["domain"] = {
            "vocabulary_share": len(domain) / len(vocabulary.pieces),
            "top_pieces": [
                {"piece": vocabulary.pieces[place], "rows": rows}
                for place, rows in rows_of.most_common(NUM_TOP_PIECES)
            ],
        }
    return found, answer.neighbours
