"""Figures in the paper's style, PNG and SVG; the same numbers give the same bytes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO, StringIO
from pathlib import Path
from statistics import fmean
from textwrap import fill
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

SAID = "said: "  # begins the id of what becomes a title
INK = "#000000"  # becomes the page's own colour of text
COLOURS = ("#2f7d4f", "#d9822b", "#3a6ea5", "#b5484f", "#7a5aa6", "#6b6b6b")
MARKERS = "osD^vP"
# The same method looks the same in every figure; other curves take their turn.
TURN = ("prompt_tuning", "model_tuning", "gpt3_few_shot", "multitask_model_tuning", "prompt_design")
STYLE: Any = {
    "svg.fonttype": "none",  # text as text, whatever fonts a machine has
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "lines.markersize": 5,
}
SIZE = (7.6, 4.2)  # inches
MAX_COLUMNS = 24  # of panels in one row
BESIDE: Any = {"loc": "upper left", "bbox_to_anchor": (1, 1), "alignment": "left"}  # of a legend


class Curve(NamedTuple):
    """Scores against parameters."""

    series: str
    points: Sequence[tuple[float, float, float]]  # parameters, score, half width of the band
    turn: int  # of the series, which decides how it looks
    label: str
    is_paper: bool = False
    runs: Sequence[tuple[float, float]] = ()  # parameters and score of every run


def tick_models(axes: Any, sizes: Iterable[float]) -> None:
    """Ticks where there are models: within a decade or two, powers of ten say little."""
    ticks = sorted(sizes)
    if ticks:
        texts = [f"{x / 1e6:.1f}M" if x >= 1e6 else f"{x / 1e3:.0f}K" for x in ticks]
        axes.set_xticks(ticks, texts)
        axes.minorticks_off()
        axes.set_xlim(ticks[0] / 1.5, ticks[-1] * 1.5)


def score_figure(
    title: str,
    legend: str,
    y_label: str,
    curves: Iterable[Curve],
    floors: Mapping[str, float],
) -> Figure:
    """Curves with their bands over a logarithmic axis of parameters, and floors by name."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        axes.set_xscale("log")
        for curve in curves:
            if curve.points:
                draw(axes, curve)
        for (name, value), alpha in zip(floors.items(), (0.5, 0.9), strict=False):
            axes.axhline(value, linestyle=":", color=INK, alpha=alpha, label=f"floor: {name}")
        axes.set_xlabel("model parameters")
        axes.set_ylabel(y_label)
        figure.suptitle(fill(title, 90), fontsize=10)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(title=legend, **BESIDE)
        else:
            axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center")
        return figure


def draw(axes: Any, curve: Curve) -> None:
    """A curve with its band, its runs as dots, and its values for the pointer."""
    x, y, spread = zip(*curve.points, strict=True)
    turn = TURN.index(curve.series) if curve.series in TURN else curve.turn % len(COLOURS)
    colour = COLOURS[turn]
    axes.plot(
        *(x, y, "--" if curve.is_paper else "-"),
        marker=MARKERS[turn],
        label=curve.label,
        color=colour,
        alpha=0.7 if curve.is_paper else 1.0,
        markerfacecolor="none" if curve.is_paper else colour,
    )
    for place, score, half in curve.points:
        where = f"{curve.label}, {place:,.0f} parameters"
        say_at(axes, place, score, f"{where}: {score:.1f} ± {half:.1f}")
    for place, score in curve.runs:
        (run,) = axes.plot(place, score, ".", color=colour, alpha=0.45, markersize=4)
        say(run, f"{curve.label}, a run: {score:.1f}")
    low, high = np.subtract(y, spread), np.add(y, spread)
    shade = 0.08 if curve.is_paper else 0.2
    axes.fill_between(x, low, high, color=colour, alpha=shade, linewidth=0)


class Column(NamedTuple):
    """The scores of some runs, side by side with others."""

    name: str
    scores: Sequence[float]
    untrained: Sequence[float] = ()  # of the same runs at step 0
    floor: float | None = None  # what needs no training
    deviation: float | None = None  # of a published mean


class Panel(NamedTuple):
    """Columns on one axis."""

    title: str
    columns: Sequence[Column]
    is_paper: bool = False


def panel_figure(title: str, panels: Sequence[Panel]) -> Figure:
    """Panels in a row: a point a run, a line for their mean, a dotted one for the floor."""
    with mpl.rc_context(STYLE):
        widths = [max(len(panel.columns), 1) + 1 for panel in panels]
        num_rows = 1 if sum(widths) <= MAX_COLUMNS else 2
        a_row = -(-len(panels) // num_rows)
        figure = Figure(figsize=(SIZE[0], 3.0 * num_rows), layout="constrained")
        drawn = figure.subplots(num_rows, a_row, sharey=True, squeeze=False).ravel()
        for axes in drawn[len(panels) :]:
            axes.set_axis_off()
        for axes, panel in zip(drawn, panels, strict=False):
            colour = INK if panel.is_paper else COLOURS[0]
            for x, column in enumerate(panel.columns):
                _draw_column(axes, x, column, colour)
            names = [fill(column.name, 18) for column in panel.columns]
            axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
            axes.set_xlim(-0.7, len(names) - 0.3)
            axes.set_title(panel.title, fontsize=9)
        drawn[0].set_ylabel("score, %")
        handles: dict[str, Any] = {}
        for axes in drawn:
            handles |= dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=4)
        figure.suptitle(fill(title, 90), fontsize=10)
        return figure


def _draw_column(axes: Any, x: int, column: Column, colour: str) -> None:
    if column.floor is not None:
        label = "best constant answer"
        axes.hlines(column.floor, x - 0.4, x + 0.4, linestyle=":", color=INK, label=label)
    if column.untrained:
        places = [x] * len(column.untrained)
        axes.plot(places, column.untrained, "x", color=COLOURS[5], label="step 0, untrained")
    for score in column.scores:
        say_at(axes, x, score, f"{column.name}: {score:.1f}")
    if column.deviation is not None:
        axes.errorbar(x, column.scores, column.deviation, fmt="D", color=colour, label="published")
    elif column.scores:
        axes.plot([x] * len(column.scores), column.scores, "o", color=colour, label="a run")
        mean = fmean(column.scores)
        axes.hlines(mean, x - 0.3, x + 0.3, color=colour, label="their mean")


class Bars(NamedTuple):
    """The mean of one series in each group; None: not measured. Whiskers may be of length 0."""

    label: str
    bars: Sequence[tuple[float, float] | None]  # mean, half width of its interval


def bar_figure(
    title: str, legend: str, groups: Sequence[str], series: Sequence[Bars], floors: Sequence[float]
) -> Figure:
    """Bars with their intervals side by side in each group, and the group's floor over them."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        width, whiskers = 0.8 / max(len(series), 1), "95 % interval of the mean over seeds"
        for turn, each in enumerate(series):
            colour, label = COLOURS[turn % len(COLOURS)], each.label
            for group, bar in enumerate(each.bars):
                if bar is None:
                    continue
                place = group - 0.4 + (turn + 0.5) * width
                (drawn,) = axes.bar(place, bar[0], 0.9 * width, color=colour, label=label)
                axes.errorbar(place, *bar, color=INK, linewidth=1, capsize=2, label=whiskers)
                whiskers = "_again"
                say(drawn, f"{each.label}, {groups[group]}: {bar[0]:.1f} ± {bar[1]:.1f}")
                label = "_again"  # a legend leaves out what begins so
        for group, floor in enumerate(floors):
            label = "floor: best shortcut" if group == 0 else "_again"
            axes.hlines(floor, group - 0.45, group + 0.45, linestyle=":", color=INK, label=label)
        axes.set_xticks(range(len(groups)), groups)
        axes.set_ylim(0, 100)
        axes.set_ylabel("test score, %")
        figure.suptitle(fill(title, 90), fontsize=10)
        figure.legend(title=legend, loc="outside lower center", ncols=2)
        return figure


def say(artist: Any, text: str) -> None:
    """Text that a browser shows over a point."""
    artist.set_gid(f"{SAID}{text}")


def say_at(axes: Any, x: float, y: float, text: str) -> None:
    """Text that a browser shows over a place of a line or a bar."""
    (over,) = axes.plot(x, y, "o", markersize=12, alpha=0)
    say(over, text)


def save(figure: Figure, folder: Path, name: str) -> None:
    """Writes `<name>.png` and `<name>.svg`."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        png = BytesIO()
        figure.savefig(png, format="png", dpi=150, metadata={"Software": None})
        (folder / f"{name}.png").write_bytes(png.getvalue())
        (folder / f"{name}.svg").write_text(_svg(figure, name, transparent=False), encoding="utf-8")


def inline_svg(figure: Figure, name: str) -> str:
    """The figure for an HTML page: no background, in the page's colour of text."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": f"{name} inline"}):
        text = _svg(figure, name, transparent=True)
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="[A-Za-z0-9.]+_[0-9]+"', "", text)  # of no use, and on one page not unique
    return text.replace(INK, "currentColor")


def _svg(figure: Figure, name: str, *, transparent: bool) -> str:
    """The drawing as text, the same every time; its ids begin with `name`.

    Matplotlib names a part by a hash of its exact coordinates, whose last bits were seen to change
    from process to process where the six printed digits do not: parts are counted instead.
    """
    buffer = StringIO()
    figure.savefig(
        buffer, format="svg", transparent=transparent, metadata={"Date": None, "Creator": None}
    )
    text = re.sub(rf'<g id="{SAID}([^"]*)">', r"<g><title>\1</title>", buffer.getvalue())
    hashed = dict.fromkeys(re.findall(r'\bid="([a-z][0-9a-f]{10})"', text))
    counted = {old: f"{name}-{number}" for number, old in enumerate(hashed)}
    text = re.sub(r"\b[a-z][0-9a-f]{10}\b", lambda found: counted.get(found[0], found[0]), text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
