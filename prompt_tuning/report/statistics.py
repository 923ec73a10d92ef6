"""Mean and deviation over seeds, and what claims are judged by: results/paper/rule.md in code.

An effect is a linear combination of cell means (a difference of two arms, a trend over sizes, an
interaction); a cell is the scores of its seeds. Seeds of different cells are different runs.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
BOOTSTRAP_DRAWS = 10_000
MIN_SEEDS_OF_BOOTSTRAP = 8
PERMUTATIONS = 10_000
MIN_SEEDS = 3

Cell = Sequence[float]
Cells = Mapping[str, Cell]  # by task


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
        return float(stats.t.ppf(0.975, self.count - 1) * self.deviation / math.sqrt(self.count))

    def __str__(self) -> str:
        deviation = "-" if self.deviation is None else f"{self.deviation:.1f}"
        return f"{self.mean:.1f} ± {deviation} ({self.count})"


class Answer(StrEnum):
    """What is said of a claim; rule.md has the table."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"
    NOT_TESTABLE = "not testable here"


@dataclass(frozen=True)
class Effect:
    """An estimate in points with its 95 % interval; without one if a cell has a single seed.

    `error` is its standard error and `df` Satterthwaite's degrees of freedom.
    """

    value: float
    error: float = math.nan
    df: float = math.nan
    low: float = math.nan
    high: float = math.nan

    def __str__(self) -> str:
        interval = f" [{self.low:+.1f}, {self.high:+.1f}]" if self.has_interval else ""
        return f"{self.value:+.1f}{interval}"

    @property
    def has_interval(self) -> bool:
        """Whether a test of it is possible."""
        return not math.isnan(self.error)

    def p_value(self, *, above: float = 0.0) -> float:
        """One-sided: how likely such a value or a larger one is if the truth is `above`."""
        if self.error == 0.0:
            return 1.0 if self.value <= above else 0.0
        return float(stats.t.sf((self.value - above) / self.error, self.df))

    def two_sided_p(self) -> float:
        """Two-sided, against no effect."""
        up = self.p_value()
        return min(1.0, 2 * min(up, 1 - up)) if self.error else float(self.value == 0.0)

    def equivalence_p(self, margin: float) -> float:
        """p of two one-sided tests that the truth lies within `margin` points of nothing."""
        mirrored = Effect(-self.value, self.error, self.df)
        return max(self.p_value(above=-margin), mirrored.p_value(above=-margin))


def combination(terms: Sequence[tuple[float, Cell]]) -> Effect:
    """The weighted sum of cell means, its variance the weighted sum of the cells' own.

    If every cell has enough seeds, a bootstrap makes the interval.
    """
    value = sum(weight * float(np.mean(cell)) for weight, cell in terms)
    if any(len(cell) < 2 for _, cell in terms):
        return Effect(value)
    parts = [(w**2 * float(np.var(cell, ddof=1)) / len(cell), len(cell)) for w, cell in terms]
    variance = sum(part for part, _ in parts)
    if variance == 0.0:
        return Effect(value, 0.0, math.inf, value, value)
    df = variance**2 / sum(part**2 / (size - 1) for part, size in parts)
    error = math.sqrt(variance)
    half = error * float(stats.t.ppf((1 + CONFIDENCE) / 2, df))
    low, high = value - half, value + half
    if all(len(cell) >= MIN_SEEDS_OF_BOOTSTRAP for _, cell in terms):
        low, high = np.percentile(_bootstrap(terms), [2.5, 97.5]).tolist()
    return Effect(value, error, df, low, high)


def trend(differences: Mapping[float, Sequence[tuple[float, Cell]]]) -> Effect:
    """The slope of values over numbers of parameters, in points per factor of ten of these."""
    places = np.log10(np.array(list(differences)))
    centred = places - places.mean()
    weights = centred / (centred**2).sum()
    return combination(
        [
            (float(weight) * share, cell)
            for weight, terms in zip(weights, differences.values(), strict=True)
            for share, cell in terms
        ]
    )


def spread_beyond_chance(arms: Mapping[str, Cells]) -> tuple[float, float, float]:
    """Best minus worst arm: what was seen, its mean if the arms were equal, and the p-value.

    The null gives every score of a task to a random arm, 10,000 times.
    """
    tasks = list(next(iter(arms.values())))
    sizes = {task: [len(cells[task]) for cells in arms.values()] for task in tasks}
    pooled = {task: np.concatenate([cells[task] for cells in arms.values()]) for task in tasks}
    rng = np.random.default_rng(0)

    def spread(values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Best minus worst mean, [...], of arrays [..., score], one a task."""
        parts = [
            np.split(scores, np.cumsum(sizes[task])[:-1], axis=-1)
            for task, scores in zip(tasks, values, strict=True)
        ]
        means = np.array([[p.mean(axis=-1) for p in of_task] for of_task in parts]).mean(axis=0)
        return means.max(axis=0) - means.min(axis=0)

    seen = float(spread([pooled[task] for task in tasks]))
    drawn = [[rng.permutation(pooled[task]) for task in tasks] for _ in range(PERMUTATIONS)]
    null = spread([np.array(of_task) for of_task in zip(*drawn, strict=True)])
    p = (1 + int((null >= seen - 1e-9).sum())) / (1 + PERMUTATIONS)
    return seen, float(null.mean()), p


def fails_to_learn(score: float, floor: float, num_examples: int) -> bool:
    """Whether a score, in percent, is no better than guessing by the floor on so many examples."""
    guessing = math.sqrt(max(floor * (100 - floor), 0.0) / num_examples)
    return score <= floor + float(stats.norm.ppf(CONFIDENCE)) * guessing


def wilson(count: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    interval = stats.binomtest(count, total).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of all claims of a page, corrected together (Holm, 1979)."""
    from statsmodels.stats.multitest import multipletests  # slow to import

    return list(map(float, multipletests(p_values, method="holm")[1])) if p_values else []


def answer(effect: Effect, corrected_p: float, *, sign: int, margin: float | None) -> Answer:
    """Answers the claim that an effect has a sign or, with a margin, is nothing within it.

    The p-value is corrected: two-sided or, with a margin, `equivalence_p`.
    """
    if not effect.has_interval:
        return Answer.NOT_TESTABLE
    if corrected_p < 1 - CONFIDENCE:
        holds = margin is not None or effect.value * sign > 0
        return Answer.SUPPORTED if holds else Answer.CONTRADICTED
    outside = margin is not None and (effect.low > margin or effect.high < -margin)
    return Answer.CONTRADICTED if outside else Answer.INCONCLUSIVE


def _bootstrap(terms: Sequence[tuple[float, Cell]]) -> NDArray[np.float64]:
    """The sum with the seeds of every cell drawn again, with replacement."""
    rng = np.random.default_rng(0)
    total = np.zeros(BOOTSTRAP_DRAWS)
    for weight, cell in terms:
        values = np.asarray(cell, dtype=float)
        draws = rng.integers(len(values), size=(BOOTSTRAP_DRAWS, len(values)))
        total += weight * values[draws].mean(axis=1)
    return total
