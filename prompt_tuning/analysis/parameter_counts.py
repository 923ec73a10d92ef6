"""Exact parameter counts of table 4 and figure 4, in closed form from the shapes of T5 v1.1."""

from dataclasses import dataclass
from statistics import fmean

from prompt_tuning.analysis.paper import MATCH, OFF, SIZES, rows

LENGTHS = (1, 5, 20, 50, 100, 150)  # of table 4
FIGURE_LENGTHS = range(1, 101)  # figure 4 shows the mean over these
VOCABULARY_ROWS = 32_128
POSITION_BUCKETS = 32  # of the relative position bias, one table in encoder and one in decoder
REPARAMETERISATION = 512  # hidden width of prefix tuning's own network (Li and Liang, 2021)
WARP_VECTORS = 76  # what figure 4 plots, whatever the length
READING_ERROR = 1e-5  # figure 4 is read off a drawing: five to six digits


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


@dataclass(frozen=True)
class Count:
    """A published count beside the computed one."""

    series: str
    size: str
    paper: float
    ours: float
    verdict: str


def table4() -> list[Count]:
    """Trainable and total parameters, to the last digit."""
    counts = []
    for row in rows("table4"):
        size, length = row["size"], int(row["prompt_length"])
        trainable = method_parameters("prompt_tuning", size, length)
        computed = {"trainable": trainable, "total": trainable + model_parameters(size)}
        for what, ours in computed.items():
            paper = int(row[what])
            verdict = MATCH if ours == paper else OFF
            counts.append(Count(f"P={length}, {what}", size, paper, ours, verdict))
    return counts


def figure4() -> list[Count]:
    """The mean over lengths of every method's count, within the error of reading the drawing."""
    counts = []
    for row in rows("figure4"):
        for size in SIZES:
            method, paper = row["method"], float(row[size])
            ours = fmean(method_parameters(method, size, length) for length in FIGURE_LENGTHS)
            verdict = MATCH if abs(ours - paper) <= READING_ERROR * paper else OFF
            counts.append(Count(method, size, paper, ours, verdict))
    return counts
