"""Metrics of predicted classes. A prediction that named no class is -1, and always wrong."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, ClassVar

from prompt_tuning.metrics.base import CLASS_ID, TEXT, OfflineMetric


class Accuracy(OfflineMetric):
    """Share of predictions equal to their reference.

    Source: T5's `metrics.accuracy`.
    """

    prediction = reference = CLASS_ID

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        hits = [p == r for p, r in zip(predictions, references, strict=True)]
        return {"accuracy": mean_percent(hits)}


class Mean3ClassF1(OfflineMetric):
    """Unweighted mean of the F1 of the classes 0, 1, 2; a class that never occurs counts as 0.

    Source: T5's `metrics.mean_multiclass_f1(num_classes=3)`, CB's metric.
    """

    prediction = reference = CLASS_ID

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        return {"mean_3class_f1": mean_percent([f1(predictions, references, c) for c in range(3)])}


class BinaryF1(OfflineMetric):
    """F1 of class 1; a prediction that is neither 0 nor 1 counts as the wrong one of the two.

    Source: T5's `metrics.f1_score_with_invalid`.
    """

    prediction = reference = CLASS_ID
    key: ClassVar[str] = "f1"

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        pairs = zip(predictions, references, strict=True)
        valid = [p if p in (0, 1) else 1 - r for p, r in pairs]
        return {self.key: 100 * f1(valid, references, 1)}


class F1a(BinaryF1):
    """MultiRC's F1 over all answers of all questions; the computation of `BinaryF1`.

    Source: T5's `metrics.multirc_f1_over_all_answers`.
    """

    key = "f1a"


class ExactMatchByQuestion(OfflineMetric):
    """Share of MultiRC's questions with every answer judged right.

    Source: T5's `metrics.mean_group_metric(metrics.all_match)`, grouped by `idx/question`.
    """

    prediction = CLASS_ID
    reference: ClassVar = {"label": CLASS_ID, "group": TEXT}

    def _compute(
        self, predictions: Sequence[int], references: Sequence[dict[str, Any]]
    ) -> dict[str, float]:
        all_right: dict[str, bool] = defaultdict(lambda: True)
        for prediction, reference in zip(predictions, references, strict=True):
            all_right[reference["group"]] &= prediction == reference["label"]
        return {"exact_match": mean_percent(list(all_right.values()))}


def f1(predictions: Sequence[int], references: Sequence[int], positive: int) -> float:
    """F1 of one class, 0..1; 0 where it is undefined, as in scikit-learn."""
    hits = sum(p == r == positive for p, r in zip(predictions, references, strict=True))
    claims = sum(p == positive for p in predictions) + sum(r == positive for r in references)
    return 2 * hits / claims if claims else 0.0


def mean_percent(values: Sequence[float]) -> float:
    """100 times the mean."""
    return 100 * sum(values) / len(values)
