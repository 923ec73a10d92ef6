"""Mean and deviation over seeds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

import pandas as pd
from scipy.stats import t


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

    @classmethod
    def over_parts(
        cls, scores: pd.DataFrame, part: str, parts: Sequence[str] | None = None
    ) -> "Spread | None":
        """Over seeds, of the unweighted mean over parts; seeds that lack one do not count.

        Args:
            scores: a row a `seed` and part, with a `score`.
            part: the column of the parts, such as tasks.
            parts: all that there are to be; None: those there are.
        """
        known = scores.dropna(subset="score")
        if parts is not None:
            known = known[known[part].isin(parts)]
        num_parts = known[part].nunique() if parts is None else len(parts)
        by_seed = (seed for _, seed in known.groupby("seed")["score"])
        return cls.of(fmean(seed) for seed in by_seed if len(seed) == num_parts)

    @property
    def half_width(self) -> float:
        """Of the 95 % interval of the mean, by Student's t; 0 for a single seed."""
        if not self.deviation:
            return 0.0
        return float(t.ppf(0.975, self.count - 1) * self.deviation / sqrt(self.count))

    def __str__(self) -> str:
        deviation = "-" if self.deviation is None else f"{self.deviation:.1f}"
        return f"{self.mean:.1f} ± {deviation} ({self.count})"
