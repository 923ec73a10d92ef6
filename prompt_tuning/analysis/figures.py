"""Figures in the paper's style, PNG and SVG; the same numbers give the same bytes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from prompt_tuning.analysis.artefacts import Artefact
from prompt_tuning.analysis.collecting import Grid
from prompt_tuning.analysis.paper import SIZES, SUPERGLUE, Published, published_scores
from prompt_tuning.analysis.parameter_counts import Count, model_parameters

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
BESIDE: Any = {"loc": "upper left", "bbox_to_anchor": (1, 1), "alignment": "left"}  # of a legend


class Look(NamedTuple):
    """How a curve is drawn."""

    colour: str
    marker: str


def look(series: str, index: int) -> Look:
    """Colour and marker of a curve."""
    turn = TURN.index(series) if series in TURN else index % len(COLOURS)
    return Look(COLOURS[turn], MARKERS[turn])


@dataclass(frozen=True)
class Curve:
    """Scores against parameters."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    spread: Sequence[float]  # half width of the band
    look: Look
    is_paper: bool = False


def paper_figure(artefact: Artefact, grid: Grid) -> Figure:
    """The paper's curves dashed, ours on the same models with bands of a deviation."""
    published = published_scores(artefact.name)
    curves, names = [], dict.fromkeys([*(series for series, _ in published), *grid.series])
    for index, series in enumerate(names):
        points = [point for place, point in published.items() if place[0] == series]
        if points:
            curves.append(_paper_curve(series, points, look(series, index)))
        ours = []
        for size in SIZES:
            cell = grid.cells.get((series, size))
            if cell and (spread := cell.mean_over(SUPERGLUE)):
                ours.append((model_parameters(size), spread.mean, spread.deviation or 0.0))
        if ours:
            x, y, band = zip(*ours, strict=True)
            curves.append(Curve(f"{series}, ours", x, y, band, look(series, index)))
    return _score_figure(artefact, "SuperGLUE score", curves, {})


def _paper_curve(series: str, points: Sequence[Published], shown: Look) -> Curve:
    x, y = [point.num_parameters for point in points], [point.mean for point in points]
    spread = [point.spread or 0.0 for point in points]
    return Curve(f"{series}, paper", x, y, spread, shown, is_paper=True)


def ladder_figure(artefact: Artefact, grid: Grid) -> Figure:
    """The mean over tasks, with its floors as dotted lines."""
    curves = []
    for index, series in enumerate(grid.series):
        points = []
        for size in grid.sizes:
            cell = grid.cells.get((series, size))
            spread = cell and cell.mean_over(grid.tasks)
            if cell and spread and cell.num_parameters:
                points.append((cell.num_parameters, spread.mean, spread.deviation or 0.0))
        if points:
            x, y, band = zip(*sorted(points), strict=True)
            curves.append(Curve(series, x, y, band, look(series, index)))
    floors = grid.mean_floors()
    lines = dict(zip(("majority", "best shortcut"), floors, strict=True)) if floors else {}
    label = f"mean over {len(grid.tasks)} tasks, %"
    figure = _score_figure(artefact, label, curves, lines)
    _tick_models(figure, {x for curve in curves for x in curve.x})
    return figure


def _tick_models(figure: Figure, sizes: Iterable[float]) -> None:
    """Ticks where there are models: within a decade or two, powers of ten say little."""
    (axes,) = figure.axes
    ticks = sorted(sizes)
    if ticks:
        texts = [f"{x / 1e6:.1f}M" if x >= 1e6 else f"{x / 1e3:.0f}K" for x in ticks]
        axes.set_xticks(ticks, texts)
        axes.minorticks_off()
        axes.set_xlim(ticks[0] / 1.5, ticks[-1] * 1.5)


def _score_figure(
    artefact: Artefact, y_label: str, curves: Iterable[Curve], floors: Mapping[str, float]
) -> Figure:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        axes.set_xscale("log")
        for curve in curves:
            style = "--" if curve.is_paper else "-"
            shown: Any = {
                "color": curve.look.colour,
                "alpha": 0.7 if curve.is_paper else 1.0,
            }
            axes.plot(
                curve.x,
                curve.y,
                style,
                marker=curve.look.marker,
                label=curve.label,
                **shown,
                markerfacecolor="none" if curve.is_paper else curve.look.colour,
            )
            low = [y - s for y, s in zip(curve.y, curve.spread, strict=True)]
            high = [y + s for y, s in zip(curve.y, curve.spread, strict=True)]
            shade = 0.08 if curve.is_paper else 0.2
            axes.fill_between(curve.x, low, high, color=curve.look.colour, alpha=shade, linewidth=0)
        for (name, value), alpha in zip(floors.items(), (0.5, 0.9), strict=False):
            axes.axhline(value, linestyle=":", color=INK, alpha=alpha, label=f"floor: {name}")
        axes.set_xlabel("model parameters")
        axes.set_ylabel(y_label)
        axes.set_title(artefact.title, fontsize=10)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(title=", ".join(artefact.series), **BESIDE)
        else:
            axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center")
        return figure


def counts_figure(title: str, counts: Sequence[Count]) -> Figure:
    """Parameters of a task against those of the model: ours as lines, the paper's as rings."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        for index, series in enumerate(dict.fromkeys(count.series for count in counts)):
            of_series = [count for count in counts if count.series == series]
            x = [model_parameters(count.size) for count in of_series]
            colour = COLOURS[index % 6]
            axes.plot(x, [count.ours for count in of_series], "-", color=colour, label=series)
            paper = [count.paper for count in of_series]
            axes.plot(x, paper, MARKERS[index % 6], color=colour, markerfacecolor="none")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("model parameters")
        axes.set_ylabel("parameters of a task")
        axes.set_title(f"{title}; marks: paper", fontsize=10)
        axes.legend(**BESIDE)
        return figure


def save(figure: Figure, folder: Path, name: str) -> None:
    """Writes `<name>.png` and `<name>.svg`."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        png = BytesIO()
        figure.savefig(png, format="png", dpi=150, metadata={"Software": None})
        (folder / f"{name}.png").write_bytes(png.getvalue())
        (folder / f"{name}.svg").write_text(_svg(figure, transparent=False), encoding="utf-8")


def inline_svg(figure: Figure, name: str) -> str:
    """The figure for an HTML page: no background, in the page's colour of text."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": f"{name} inline"}):
        text = _svg(figure, transparent=True)
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="[A-Za-z0-9.]+_[0-9]+"', "", text)  # of no use, and on one page not unique
    return text.replace(INK, "currentColor")


def _svg(figure: Figure, *, transparent: bool) -> str:
    buffer = StringIO()
    figure.savefig(
        buffer, format="svg", transparent=transparent, metadata={"Date": None, "Creator": None}
    )
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"
