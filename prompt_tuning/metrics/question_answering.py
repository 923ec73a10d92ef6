"""Metrics of predicted texts. A prediction that is no answer is the empty text."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

from prompt_tuning.metrics.base import TEXT, TEXTS, OfflineMetric
from prompt_tuning.metrics.classification import mean_percent

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class ExactText(OfflineMetric):
    """Accuracy of texts: share of predictions that are an accepted answer to the letter.

    Source: T5's `metrics.accuracy` on texts (definite pronoun resolution).
    """

    prediction, reference = TEXT, TEXTS

    def _compute(
        self, predictions: Sequence[str], references: Sequence[Sequence[str]]
    ) -> dict[str, float]:
        return {
            "accuracy": mean_percent([p in r for p, r in zip(predictions, references, strict=True)])
        }


class Squad(OfflineMetric):
    """Word F1 and exact match of normalised texts, each the best over the accepted answers.

    Source: T5's `metrics.squad`, which follows the official SQuAD 1.1 script.
    """

    prediction, reference = TEXT, TEXTS
    citation = "Rajpurkar et al. (2016), https://arxiv.org/abs/1606.05250"

    def _compute(
        self, predictions: Sequence[str], references: Sequence[Sequence[str]]
    ) -> dict[str, float]:
        f1s, matches = [], []
        for prediction, answers in zip(predictions, references, strict=True):
            predicted = normalise(prediction)
            accepted = [normalise(answer) for answer in answers]
            f1s.append(max(word_f1(predicted, answer) for answer in accepted))
            matches.append(predicted in accepted)
        return {"f1": mean_percent(f1s), "exact_match": mean_percent(matches)}


class SquadByQuery(Squad):
    """`Squad` on the first prediction of each query: ReCoRD's metric.

    Source: T5's `metrics.deduplicate_metric(metrics.squad)`; its rows repeat a query per answer.
    """

    reference: ClassVar = {"answers": TEXTS, "group": TEXT}
    citation = "Zhang et al. (2018), https://arxiv.org/abs/1810.12885"

    def _compute(self, predictions: Sequence[str], references: Sequence[Any]) -> dict[str, float]:
        first: dict[str, tuple[str, Sequence[str]]] = {}
        for prediction, reference in zip(predictions, references, strict=True):
            first.setdefault(reference["group"], (prediction, reference["answers"]))
        return super()._compute(*zip(*first.values(), strict=True))


def normalise(text: str) -> str:
    """The text in lower case without punctuation, articles and superfluous white space."""
    text = text.lower().translate(_NO_PUNCTUATION)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def word_f1(prediction: str, answer: str) -> float:
    """F1 of the bag of words, 0..1; 0 if they share none, be they both empty."""
    predicted, expected = prediction.split(), answer.split()
    shared = (Counter(predicted) & Counter(expected)).total()
    return 2 * shared / (len(predicted) + len(expected)) if shared else 0.0
