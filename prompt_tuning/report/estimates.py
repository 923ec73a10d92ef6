"""Mean and deviation over seeds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

import pandas as pd
from scipy.stats import t


def means_by_seed(scores: pd.DataFrame, tasks: Sequence[str]) -> list[float]:
    """The unweighted mean over tasks (rows have `seed`, `task`, `score`) of seeds that have all."""
    known = scores[scores["task"].isin(tasks)].dropna(subset="score")
    by_seed = known.groupby("seed")["score"]
    return [fmean(seed) for _, seed in by_seed if len(seed) == len(tasks)]


@dataclass(frozen=True)
class Spread:
    """What some seeds scored."""

    mean: float
    deviation: float | None  # sample standard deviation (ddof=1); None: of a single seed
    count: int

    @classmethod
    def of(cls, scores: Iterable[float]) -> "Spread | None":
        """Mean and deviation of one score a seed; None if there are none."""
        found = [*scores]
        if not found:
            return None
        return cls(fmean(found), stdev(found) if len(found) > 1 else None, len(found))

    @property
    def half_width(self) -> float:
        """Half of the mean's 95 % interval, by Student's t; 0 for a single seed."""
        if not self.deviation:
            return 0.0
        return float(t.ppf(0.975, self.count - 1) * self.deviation / sqrt(self.count))

    def __str__(self) -> str:
        deviation = "-" if self.deviation is None else f"{self.deviation:.1f}"
        return f"{self.mean:.1f} ± {deviation} ({self.count})"
