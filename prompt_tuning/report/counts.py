"""Exact parameter counts, in closed form from the shapes of T5 v1.1: figure 4 and table 4."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

from prompt_tuning.report.artefact import COUNTS, Artefact
from prompt_tuning.report.paper import MATCH, OFF
from prompt_tuning.report.tables import Table

VOCABULARY_ROWS = 32_128
POSITION_BUCKETS = 32  # of the relative position bias, one table in encoder and one in decoder
REPARAMETERISATION = 512  # hidden width of prefix tuning's own network (Li and Liang, 2021)
WARP_VECTORS = 76  # what figure 4 plots, whatever the length


@dataclass(frozen=True)
class Sizes:
    """The sizes of a T5 v1.1; encoder and decoder have `num_layers` each."""

    d_model: int
    num_layers: int
    num_heads: int
    d_ff: int
    prefix_layers: int  # as prefix tuning is counted in figure 4
    d_kv: int = 64


# Source: google-research/prompt-tuning configs/models/sizes.
# Figure 4 counts prefix tuning on Small with the 6 layers of T5's first small.
SHAPES = {
    "small": Sizes(512, 8, 6, 1024, 6),
    "base": Sizes(768, 12, 12, 2048, 12),
    "large": Sizes(1024, 24, 16, 2816, 24),
    "xl": Sizes(2048, 24, 32, 5120, 24),
    "xxl": Sizes(4096, 24, 64, 10240, 24),
}


def model_parameters(size: str) -> int:
    """Every weight: two embeddings, the layers, their norms, two tables of position biases."""
    shape = SHAPES[size]
    width, inner = shape.d_model, shape.num_heads * shape.d_kv
    attention, feed_forward = 4 * width * inner + width, 3 * width * shape.d_ff + width
    encoder = shape.num_layers * (attention + feed_forward)
    decoder = shape.num_layers * (2 * attention + feed_forward)
    tables = 2 * POSITION_BUCKETS * shape.num_heads
    return 2 * VOCABULARY_ROWS * width + encoder + decoder + 2 * width + tables


def method_parameters(method: str, size: str, length: int) -> int:
    """Parameters that a task has of its own, for a prompt or prefix of `length` positions.

    Source: figure 4 of the paper and its appendix; the formulas are in results/paper/figure4.csv.
    """
    width, layers = SHAPES[size].d_model, SHAPES[size].prefix_layers
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

    @property
    def verdict(self) -> str:
        """To the last digit that was published."""
        return MATCH if abs(self.ours - self.paper) <= self.error * self.paper else OFF


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
