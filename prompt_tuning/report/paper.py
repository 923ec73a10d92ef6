"""The published numbers (results/paper/, which travels in the wheel), and the verdict on ours."""

import csv
from dataclasses import dataclass
from functools import cache
from math import sqrt
from pathlib import Path

from prompt_tuning.report.statistics import Spread

SIZES = ("small", "base", "large", "xl", "xxl")
QUOTED = ("gpt3_few_shot",)  # a curve that the paper itself took from Brown et al. (2020)
MATCH, OFF, FEW, NOTHING = "match", "off", "too few seeds", "-"
MISPRINT, FITTED = "misprinted in the paper", "fitted to its plot"  # of counts alone
VERDICTS = (MATCH, OFF, MISPRINT, FITTED, FEW, NOTHING)


@dataclass(frozen=True)
class Published:
    """A point of one of the paper's curves."""

    mean: float
    spread: float | None  # standard deviation; of figure 3d half of an asymmetric band
    num_parameters: int

    @property
    def drawn(self) -> tuple[float, float, float]:
        """A point's number of parameters, mean and half the width of its band."""
        return self.num_parameters, self.mean, self.spread or 0.0

    def __str__(self) -> str:
        return f"{self.mean:.2f}" + ("" if self.spread is None else f" ± {self.spread:.2f}")


@dataclass(frozen=True)
class Tolerances:
    """When a mean counts as reproduced, fixed before there was one; README.md has the reasons."""

    min_seeds: int
    min_points: float
    num_deviations: float
    max_points: float

    def band(self, published: float | None, ours: float | None) -> float:
        """The largest difference of two means that is a match, in points, from both deviations."""
        spread = sqrt((published or 0.0) ** 2 + (ours or 0.0) ** 2)
        return min(self.max_points, max(self.min_points, self.num_deviations * spread))

    def verdict(self, published: Published | None, ours: Spread | None) -> str:
        """`match`, `off`, `too few seeds`, or a dash where there is nothing to compare."""
        if published is None or ours is None:
            return NOTHING
        if ours.count < self.min_seeds:
            return FEW
        band = self.band(published.spread, ours.deviation)
        return MATCH if abs(ours.mean - published.mean) <= band else OFF


def paper_dir() -> Path:
    """results/paper/: inside an installed package, or in a checkout."""
    package = Path(__file__).resolve().parent.parent
    packaged = package / "_paper"
    return packaged if packaged.is_dir() else package.parent / "results" / "paper"


def published_rows(name: str, artefact: str | None = None) -> list[dict[str, str]]:
    """The rows of one of the files of published numbers, of one artefact where it has several."""
    with (paper_dir() / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if artefact in (None, row.get("artefact"))]


def published_scores(artefact: str) -> dict[tuple[str, str], Published]:
    """The points of a figure by series and size, in the order of the file."""
    return {
        (row["series"], row["size"]): Published(
            float(row["mean"]),
            float(row["spread"]) if row["spread"] else None,
            int(row["num_parameters"]),
        )
        for row in published_rows("scores", artefact)
    }


@cache
def tolerances() -> Tolerances:
    """Reads tolerances.csv."""
    values = {row["key"]: float(row["value"]) for row in published_rows("tolerances")}
    return Tolerances(int(values.pop("min_seeds")), **values)
