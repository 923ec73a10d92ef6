"""Mean and deviation over seeds, and whether a difference of means is beyond their spread."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev


@dataclass(frozen=True)
class Spread:
    """What some seeds scored."""

    mean: float
    deviation: float | None  # sample standard deviation (ddof=1); None: of a single seed
    count: int

    @classmethod
    def of(cls, scores: Sequence[float]) -> "Spread | None":
        """Of scores, one a seed; None if there are none."""
        if not scores:
            return None
        return cls(fmean(scores), stdev(scores) if len(scores) > 1 else None, len(scores))

    def __str__(self) -> str:
        deviation = "-" if self.deviation is None else f"{self.deviation:.1f}"
        return f"{self.mean:.1f} ± {deviation} ({self.count})"


@dataclass(frozen=True)
class Estimate:
    """A number made of means, with its standard error."""

    value: float
    variance: float  # of the value: squared standard error

    @classmethod
    def of(cls, spread: Spread) -> "Estimate":
        """A mean; of a single seed the error is not known, and counts as none."""
        return cls(spread.mean, (spread.deviation or 0.0) ** 2 / spread.count)

    def __sub__(self, other: "Estimate") -> "Estimate":
        return Estimate(self.value - other.value, self.variance + other.variance)

    @property
    def sign(self) -> int:
        """1 or -1 where the value is further from 0 than twice its standard error, else 0."""
        if abs(self.value) <= 2 * sqrt(self.variance):
            return 0
        return 1 if self.value > 0 else -1

    def __str__(self) -> str:
        return f"{self.value:+.1f} (standard error {sqrt(self.variance):.1f})"


def num_of_sign(estimates: Iterable[Estimate], sign: int) -> int:
    """How many are beyond their error on one side: 1 above 0, -1 below."""
    return sum(estimate.sign == sign for estimate in estimates)
