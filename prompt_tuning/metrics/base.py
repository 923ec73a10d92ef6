"""What the metrics share: they are `evaluate.Metric`s, but offline, in memory and of 0 to 100.

`evaluate.load` would fetch a script from the hub; these classes are part of the package instead.
"""

from typing import Any, ClassVar

import evaluate
from datasets import Features, Sequence, Value

CLASS_ID = Value("int32")
TEXT = Value("string")
TEXTS = Sequence(TEXT)


class OfflineMetric(evaluate.Metric):  # type: ignore[misc]
    """An `evaluate.Metric` that needs neither the hub nor a cache folder.

    `compute(predictions=, references=)` returns percentages by reported key. The docstring of a
    subclass is its description.
    """

    prediction: ClassVar[Any]
    reference: ClassVar[Any]
    citation: ClassVar[str] = "Raffel et al. (2020), https://arxiv.org/abs/1910.10683"

    def __init__(self) -> None:
        super().__init__(keep_in_memory=True)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.__doc__ or "",
            citation=self.citation,
            features=Features({"predictions": self.prediction, "references": self.reference}),
        )
