"""Figure 4: the parameters that a task has of its own, by method."""

from functools import cached_property
from statistics import fmean

import matplotlib as mpl
from matplotlib.figure import Figure

from prompt_tuning.report.claims import Claim
from prompt_tuning.report.counts import (
    FITTED_METHODS,
    Count,
    Counts,
    method_parameters,
    model_parameters,
)
from prompt_tuning.report.figures import BESIDE, COLOURS, MARKERS, SIZE, STYLE, say_at
from prompt_tuning.report.names import human
from prompt_tuning.report.paper import SIZES, rows

LENGTHS = range(1, 101)  # of prompts: the figure shows the mean over these
BILLION, MOST_PERCENT = 1e9, 0.01
READING_ERROR = 1e-5  # it is read off a drawing: five to six digits


def figure4() -> list[Count]:
    """The mean over lengths of every method's count, within the error of reading the drawing."""
    counts = []
    for row in rows("figure4"):
        for size in SIZES:
            method, paper = row["method"], float(row[size])
            ours = fmean(method_parameters(method, size, length) for length in LENGTHS)
            fitted = method in FITTED_METHODS
            counts.append(Count(method, size, paper, ours, READING_ERROR, is_fitted=fitted))
    return counts


def shares() -> dict[str, float]:
    """How much of each model's parameters a prompt of 100 positions has, in percent."""
    return {
        size: 100 * method_parameters("prompt_tuning", size, LENGTHS[-1]) / model_parameters(size)
        for size in SIZES
    }


class Figure4(Counts):
    """The counts as curves over the size of the model."""

    @cached_property
    def claims(self) -> list[Claim]:
        """The paper's sentence on this figure, counted."""
        question = (
            "Is a prompt less than 0.01 % of the parameters of a model of over a billion of them?"
        )
        listed = ", ".join(f"{human(size)} {share:.4f} %" for size, share in shares().items())
        detail = f"A prompt of {LENGTHS[-1]} positions: {listed}. Counted: no run is needed."
        large = [share for size, share in shares().items() if model_parameters(size) > BILLION]
        counted = max(large) < MOST_PERCENT
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
    "fitted to the drawing: that they match says that the drawing was read right, no more.",
    counts=figure4,
    caption="To see: the line of prompts lies three to five powers of ten below that of model "
    "tuning, further the larger the model. Lines: counted here; marks: the paper's. Both axes are "
    "logarithmic.",
)
