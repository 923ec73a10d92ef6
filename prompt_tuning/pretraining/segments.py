"""Which tokens a step of pre-training sees: documents to chunks to segments to rows.

Everything follows from seed and step, so that a resumed run sees what it would have seen.
Source: google-research/text-to-text-transfer-transformer @ 0068fa73, t5/data/preprocessors.py.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from prompt_tuning.pretraining.corpus import Corpus
from prompt_tuning.pretraining.objectives import Ids, Objective, span_corruption_lengths
from prompt_tuning.pretraining.schema import ObjectiveConfig

# First number of a seed: numpy pads short seeds with zeros, so [3, 0] and [3] are one stream.
_ORDER, _NOISE = 1, 2


@dataclass(frozen=True)
class Segmentation:
    """How documents become segments.

    Attributes:
        segment_tokens: of a segment, at most; EOS and sentinels are not in it.
        documents_per_group: so many documents are joined, without a mark between them, before they
            are cut into segments, so that few segments are short. 1 joins none.
        max_document_tokens: of a longer document one such chunk, drawn anew in every epoch.
    """

    segment_tokens: int
    documents_per_group: int
    max_document_tokens: int = 65_536  # T5's `select_random_chunk`


def segmentation_of(objective: ObjectiveConfig) -> Segmentation:
    """T5's: for span corruption 128 documents are joined (`reduce_concat_tokens`), for LM none.

    The inputs of an LM row keep room for EOS.
    """
    if objective.name == "span_corruption":
        density, mean_span = objective.noise_density, objective.mean_span_length
        tokens, _ = span_corruption_lengths(objective.inputs_length, density, mean_span)
        return Segmentation(tokens, documents_per_group=128)
    return Segmentation(objective.inputs_length - 1, documents_per_group=1)


class SegmentOrder:
    """An endless, seeded order of segments, read in batches that run across the epochs.

    An epoch has every document once, in a new order; its segments are shuffled.
    Deviation: T5 shuffles files and a window of examples, this project everything.
    """

    def __init__(
        self, corpus: Corpus, segmentation: Segmentation, batch_size: int, *, seed: int
    ) -> None:
        assert len(corpus) > 0 and batch_size > 0, (len(corpus), batch_size)
        self._batch_size = batch_size
        self._plan = partial(_Epoch, corpus, segmentation, seed)
        self._number, self._first, self._epoch = 0, 0, self._plan(0)

    def __getitem__(self, step: int) -> list[Ids]:
        """The segments of step `step`, counted from 0."""
        first = step * self._batch_size
        return [self._segment(position) for position in range(first, first + self._batch_size)]

    def _segment(self, position: int) -> Ids:
        if position < self._first:
            self._number, self._first, self._epoch = 0, 0, self._plan(0)
        while position >= self._first + len(self._epoch):
            self._first += len(self._epoch)
            self._number += 1
            self._epoch = self._plan(self._number)
        return self._epoch.segment(position - self._first)


class _Epoch:
    """The documents of an epoch as one stream, and the segments as shuffled slices of it."""

    def __init__(self, corpus: Corpus, rules: Segmentation, seed: int, number: int) -> None:
        self._tokens, rng = corpus.tokens, np.random.default_rng([_ORDER, seed, number])
        documents = rng.permutation(len(corpus))
        self._starts, lengths = _chunks(
            corpus.starts[documents], corpus.ends[documents], rules.max_document_tokens, rng
        )
        self._bounds = np.concatenate([[0], np.cumsum(lengths)])  # of the documents in the stream
        groups = np.append(self._bounds[: -1 : rules.documents_per_group], self._bounds[-1])
        first, last = _cut(groups, rules.segment_tokens)
        shuffled = rng.permutation(len(first))
        self._first, self._last = first[shuffled], last[shuffled]

    def __len__(self) -> int:
        return len(self._first)

    def segment(self, index: int) -> Ids:
        first, last = self._first[index], self._last[index]
        document = int(np.searchsorted(self._bounds, first, side="right")) - 1
        parts = []
        while first < last:
            stop = min(last, self._bounds[document + 1])
            offset = self._starts[document] - self._bounds[document]
            parts.append(self._tokens[first + offset : stop + offset])
            first, document = stop, document + 1
        return np.concatenate(parts).astype(np.int32)


def _chunks(
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    max_tokens: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and lengths of the documents, or of one chunk of each that is too long.

    Source: T5's `select_random_chunk`: chunks begin at multiples of `max_tokens`.
    """
    num_chunks = -(-(ends - starts) // max_tokens)
    starts = starts + max_tokens * rng.integers(num_chunks)
    return starts, np.minimum(ends - starts, max_tokens)


def _cut(bounds: NDArray[np.int64], max_tokens: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends of the segments between the bounds; only a last one is shorter.

    Source: T5's `split_tokens`.
    """
    counts = -(-np.diff(bounds) // max_tokens)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    first = np.repeat(bounds[:-1], counts) + place * max_tokens
    return first, np.minimum(first + max_tokens, np.repeat(bounds[1:], counts))


def make_rows(
    order: SegmentOrder, step: int, objective: Objective, *, seed: int
) -> list[tuple[Ids, Ids]]:
    """Inputs and targets of a step; the noise of a row follows from seed, step and row."""
    return [
        objective(segment, np.random.default_rng([_NOISE, seed, step, row]))
        for row, segment in enumerate(order[step])
    ]
