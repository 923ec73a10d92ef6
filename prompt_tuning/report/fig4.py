"""Figure 4: the parameters that a task has of its own, by method."""

from dataclasses import replace
from functools import cached_property
from statistics import fmean

import matplotlib as mpl
from matplotlib.figure import Figure

from prompt_tuning.report.counts import Count, Counts, method_parameters, model_parameters
from prompt_tuning.report.figures import BESIDE, COLOURS, MARKERS, SIZE, STYLE
from prompt_tuning.report.names import human
from prompt_tuning.report.paper import SIZES, rows
from prompt_tuning.report.tables import Table

LENGTHS = range(1, 101)  # of prompts: the figure shows the mean over these
READING_ERROR = 1e-5  # it is read off a drawing: five to six digits


def figure4() -> list[Count]:
    """The mean over lengths of every method's count, within the error of reading the drawing."""
    counts = []
    for row in rows("figure4"):
        for size in SIZES:
            method, paper = row["method"], float(row[size])
            ours = fmean(method_parameters(method, size, length) for length in LENGTHS)
            counts.append(Count(method, size, paper, ours, READING_ERROR))
    return counts


def shares() -> dict[str, float]:
    """Of a prompt of 100 positions among the parameters of each model, in percent."""
    return {
        size: 100 * method_parameters("prompt_tuning", size, LENGTHS[-1]) / model_parameters(size)
        for size in SIZES
    }


class Figure4(Counts):
    """The counts as curves over the size of the model."""

    @cached_property
    def table(self) -> Table:
        """And the paper's sentence on them: below 0.01 % beyond a billion parameters."""
        listed = ", ".join(f"{human(size)} {share:.4f} %" for size, share in shares().items())
        note = (
            "The paper, on this figure: less than 0.01 % task-specific parameters for models over "
            f"a billion parameters (XL and XXL). A prompt of {LENGTHS[-1]} positions: {listed}."
        )
        return replace(super().table, notes=(*super().table.notes, note))

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
)
