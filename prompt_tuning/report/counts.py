"""Exact parameter counts, from the shapes of T5 v1.1: figure 4 and table 4."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

from prompt_tuning.report.artefact import COUNTS, Artefact
from prompt_tuning.report.paper import FITTED, MATCH, MISPRINT, OFF
from prompt_tuning.report.tables import Table
from prompt_tuning.shapes import SHAPES, num_parameters

VOCABULARY_ROWS = 32_128
REPARAMETERISATION = 512  # hidden width of prefix tuning's own network (Li and Liang, 2021)
WARP_VECTORS = 76  # what figure 4 plots, whatever the length
FITTED_METHODS = ("prefix_tuning_train", "prefix_tuning_infer", "warp")


def model_parameters(size: str) -> int:
    """The number of weights of a T5 v1.1."""
    return num_parameters(SHAPES[size], VOCABULARY_ROWS)


def method_parameters(method: str, size: str, length: int) -> int:
    """Parameters that a task has of its own, for a prompt or prefix of `length` positions.

    Source: figure 4 of the paper and its appendix; the formulas are in results/paper/figure4.csv.
    """
    width = SHAPES[size].d_model
    layers = 6 if size == "small" else SHAPES[size].num_layers  # those of T5's first small
    counts = {
        "model_tuning": model_parameters(size),
        "prefix_tuning_train": width * (length + REPARAMETERISATION * (1 + 2 * layers)),
        "prefix_tuning_infer": width * length * (2 * layers + 1),
        "warp": width * WARP_VECTORS,
        "prompt_tuning": width * length,
        "prompt_design": length,
    }
    return counts[method]


class Count(NamedTuple):
    """A published count beside the computed one."""

    series: str
    size: str
    paper: float
    ours: float
    error: float = 0.0  # of reading the paper's, as a share
    printed: str = ""  # where the paper has a misprint: what it prints
    is_fitted: bool = False  # our formula was chosen by this very number

    @property
    def verdict(self) -> str:
        """Compares to the last digit published; says where a match means less than it seems."""
        if abs(self.ours - self.paper) > self.error * self.paper:
            return OFF
        if self.is_fitted:
            return FITTED
        return MISPRINT if self.printed else MATCH


@dataclass(frozen=True, eq=False)
class Counts(Artefact):
    """A figure or table of counts, which need no run."""

    counts: Callable[[], list[Count]] = list
    group: ClassVar[str] = COUNTS

    @cached_property
    def table(self) -> Table:
        """Exact counts beside published ones."""
        rows = [
            [
                count.series,
                count.size,
                f"{count.paper:,.12g}" + (f" (printed: {count.printed})" if count.printed else ""),
                f"{count.ours:,.12g}",
                f"{count.ours - count.paper:+,.10g}",
                count.verdict,
            ]
            for count in self.counts()
        ]
        note = "Ours is computed from the shapes of the models; it needs no run."
        return Table(("series", "model", "paper", "ours", "difference", "verdict"), rows, (note,))
