"""The numbers that a measurement's record stands for: medians, ratios, fractions of the floor.

Records hold what was measured; whatever is derived from it, for the terminal or for results/, is
derived here. Knows no torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

Result = Mapping[str, Any]  # record["result"] of a measurement with arms


@dataclass(frozen=True)
class Range:
    """A median with the smallest and the largest value beside it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Range":
        """Of at least one value."""
        return cls(median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.2f}x ({self.low:.2f} to {self.high:.2f})"


def seconds_of(result: Result, arm: str, kind: str = "seconds") -> list[float]:
    """An arm's median over the rounds, for each batch."""
    return [median(rounds) for rounds in result["arms"][arm][kind]]


def mean_seconds(result: Result, arm: str, kind: str = "seconds") -> float:
    """An arm's seconds for a batch, the mean over batches."""
    return fmean(seconds_of(result, arm, kind))


def speed_up(result: Result, slow: str, fast: str, kind: str = "seconds") -> Range:
    """How many times `slow` takes what `fast` takes, batch by batch."""
    pairs = zip(seconds_of(result, slow, kind), seconds_of(result, fast, kind), strict=True)
    return Range.of([slow_s / fast_s for slow_s, fast_s in pairs])


def floor_fraction(result: Result, arm: str) -> float:
    """The share of an arm's time in which its useful operations could have been done."""
    operations = sum(batch["operations"] for batch in result["batches"])
    floor_s = operations / result["matrix_product_rate"]
    return floor_s / sum(seconds_of(result, arm))


def positions_per_s(result: Result, arm: str) -> float:
    """Real encoder positions, prompt included and padding not, that an arm gets through."""
    positions = sum(batch["positions"] for batch in result["batches"])
    return float(positions / sum(seconds_of(result, arm)))


def ms_per_example(result: Result, arm: str) -> float:
    """Milliseconds an example."""
    num_rows = sum(batch["num_rows"] for batch in result["batches"])
    return 1000 * sum(seconds_of(result, arm)) / num_rows


def memory_ratio(result: Result, large: str, small: str) -> float | None:
    """How many times the peak of `small` the peak of `large` is; None if one is not known."""
    peaks = [result["arms"][arm]["peak_memory_gib"] for arm in (large, small)]
    return peaks[0] / peaks[1] if all(peaks) else None


def point_seconds(point: Mapping[str, Any]) -> float:
    """The median of a point of the growth curves, which has one batch."""
    (rounds,) = point["seconds"]
    return float(median(rounds))


def expected_seconds(point: Mapping[str, Any], base: Mapping[str, Any]) -> float:
    """The law of the growth curves: time in proportion to useful operations."""
    return float(point_seconds(base) * point["operations"] / base["operations"])
