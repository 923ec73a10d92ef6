"""Exact parameter counts, from the shapes of T5 v1.1: figure 4 and table 4."""

from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import ClassVar, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from prompt_tuning.report.artefact import COUNTS, Artefact
from prompt_tuning.report.claims import Claim
from prompt_tuning.report.figures import BESIDE, COLOURS, MARKERS, SIZE, STYLE, say_at
from prompt_tuning.report.names import human
from prompt_tuning.report.paper import FITTED, MATCH, MISPRINT, OFF, SIZES, published_rows
from prompt_tuning.report.tables import Table
from prompt_tuning.shapes import SHAPES, num_parameters

VOCABULARY_ROWS = 32_128
REPARAMETERISATION = 512  # hidden width of prefix tuning's own network (Li and Liang, 2021)
WARP_VECTORS = 76  # what figure 4 plots, whatever the length
FITTED_METHODS = ("prefix_tuning_train", "prefix_tuning_infer", "warp")
LENGTHS = range(1, 101)  # of prompts: figure 4 shows the mean over these
READING_ERROR = 1e-5  # it is read off a drawing: five to six digits
BILLION, MOST_PERCENT_OF_LARGE = 1e9, 0.01
NUM_TASKS = 5
MOST_PERCENT_OF_TUNED = 100 / NUM_TASKS + 1


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


def shares() -> dict[str, float]:
    """How much of each model's parameters a prompt of 100 positions has, in percent."""
    return {
        size: 100 * method_parameters("prompt_tuning", size, LENGTHS[-1]) / model_parameters(size)
        for size in SIZES
    }


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

    group: ClassVar[str] = COUNTS

    def counts(self) -> list[Count]:
        """A published count after the other, with ours."""
        raise NotImplementedError(self.name)

    @cached_property
    def table(self) -> Table:
        """Exact counts beside published ones."""
        lines = [
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
        return Table(("series", "model", "paper", "ours", "difference", "verdict"), lines, (note,))


class Figure4(Counts):
    """The counts as curves over the size of the model."""

    def counts(self) -> list[Count]:
        """The mean over lengths of every method's count, within the error of reading the plot."""
        counts = []
        for row in published_rows("figure4"):
            for size in SIZES:
                method, paper = row["method"], float(row[size])
                ours = fmean(method_parameters(method, size, length) for length in LENGTHS)
                fitted = method in FITTED_METHODS
                counts.append(Count(method, size, paper, ours, READING_ERROR, is_fitted=fitted))
        return counts

    @cached_property
    def claims(self) -> list[Claim]:
        """The paper's sentence on this figure, counted."""
        question = (
            "Is a prompt less than 0.01 % of the parameters of a model of over a billion of them?"
        )
        listed = ", ".join(f"{human(size)} {share:.4f} %" for size, share in shares().items())
        detail = f"A prompt of {LENGTHS[-1]} positions: {listed}. Counted: no run is needed."
        large = [share for size, share in shares().items() if model_parameters(size) > BILLION]
        counted = max(large) < MOST_PERCENT_OF_LARGE
        return [Claim(question, "less than 0.01 %", detail=detail, counted=counted)]

    @cached_property
    def figure(self) -> Figure:
        """Ours as lines, the paper's as rings."""
        counts = self.counts()
        with mpl.rc_context(STYLE):
            figure = Figure(figsize=SIZE, layout="constrained")
            axes = figure.subplots()
            for index, series in enumerate(dict.fromkeys(count.series for count in counts)):
                shown = [count for count in counts if count.series == series]
                x = [model_parameters(count.size) for count in shown]
                colour = COLOURS[index % 6]
                axes.plot(
                    x, [count.ours for count in shown], "-", color=colour, label=human(series)
                )
                for place, count in zip(x, shown, strict=True):
                    text = f"{human(series)}, {human(count.size)}: {count.ours:,.12g}"
                    say_at(axes, place, count.ours, text)
                paper = [count.paper for count in shown]
                axes.plot(x, paper, MARKERS[index % 6], color=colour, markerfacecolor="none")
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xlabel("model parameters")
            axes.set_ylabel("parameters of a task")
            axes.set_title(f"{self.title}; marks: paper", fontsize=10)
            axes.legend(**BESIDE)
            return figure


FIG4 = Figure4(
    "fig4",
    "Figure 4: parameters of a task, by method",
    remark="Model tuning, prompt tuning and prompt design follow from their definitions. The "
    "formulas of prefix tuning (512 hidden units, 6 layers of Small) and WARP (76 vectors) were "
    "fitted to the drawing: that they match says that the drawing was read right, no more. "
    "The paper has its marks of WARP at the sizes of the encoders alone; here all are at those of "
    "the whole models.",
    caption="To see: the line of prompts lies three to five powers of ten below that of model "
    "tuning, further the larger the model. Lines: counted here; marks: the paper's. Both axes are "
    "logarithmic.",
)


class Table4(Counts):
    """The counts, and what follows from them for a server of several tasks."""

    def counts(self) -> list[Count]:
        """Trainable and total parameters, to the last digit."""
        counts = []
        for row in published_rows("table4"):
            size, length = row["size"], int(row["prompt_length"])
            trainable = method_parameters("prompt_tuning", size, length)
            computed = {"trainable": trainable, "total": trainable + model_parameters(size)}
            for what, ours in computed.items():
                series, printed = f"P={length}, {what}", row[f"{what}_printed"]
                counts.append(Count(series, size, int(row[what]), ours, printed=printed))
        return counts

    @cached_property
    def claims(self) -> list[Claim]:
        """The paper's first sentence on deployment, counted; time is in results/bench.md."""
        question = (
            f"Do {NUM_TASKS} tasks on one frozen model take about the parameters of one model, and "
            f"not of {NUM_TASKS}?"
        )
        # (model + n prompts) / (n models): a prompt's own share comes on top of one model in n.
        taken = {size: 100 / NUM_TASKS + share for size, share in shares().items()}
        listed = ", ".join(f"{human(size)} {share:.2f} %" for size, share in taken.items())
        detail = (
            f"One model and {NUM_TASKS} prompts of {LENGTHS[-1]} positions, of {NUM_TASKS} tuned "
            f"models: {listed}. Counted: no run is needed. Time is measured in results/bench.md."
        )
        counted = max(taken.values()) < MOST_PERCENT_OF_TUNED
        return [Claim(question, "one frozen model", detail=detail, counted=counted)]


TABLE4 = Table4(
    "table4",
    "Table 4: parameters of prompts, by length",
    remark="Four counts are printed wrongly in the paper; the verdict is on what its shapes give.",
)
