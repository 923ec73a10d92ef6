"""The first picture: prompts and model tuning in the paper, on the real T5 and on the ladder."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from prompt_tuning.report.artefact import Artefact
from prompt_tuning.report.claims import PROMPTS, TUNED
from prompt_tuning.report.figures import COLOURS, INK, STYLE, Curve, draw, say, tick_models
from prompt_tuning.report.names import human
from prompt_tuning.report.paper import SIZES, published_scores

METHODS = ("prompt_tuning", "model_tuning")
REAL_FIGURE, LADDER_FIGURE = "fig1_flan", "fig1_ladder_fresh"
CAPTION = (
    "Score of prompts (green) and of tuning all weights (orange). Left: published. Middle and "
    "right: measured here, on other models and other tasks, so that only shapes compare, no "
    "numbers. Dotted: the floor, which needs no learning. Bands: a standard deviation over runs."
)


def overview(artefacts: Sequence[Artefact]) -> tuple[Figure, str] | None:
    """The first picture and its caption: parts side by side that share no axis but the percent.

    None where a part is not shown.
    """
    known = {artefact.name: artefact for artefact in artefacts}
    if not known.keys() >= {REAL_FIGURE, LADDER_FIGURE}:
        return None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 2.7), layout="constrained")
        paper, real, toy = figure.subplots(1, 3, sharey=True)
        _draw_paper(paper)
        _draw_real(real, known[REAL_FIGURE])
        _draw_ladder(toy, known[LADDER_FIGURE])
        paper.set_ylabel("score, %")
        handles, labels = paper.get_legend_handles_labels()
        floor = Line2D([], [], linestyle=":", color=INK)
        entries = [*handles, floor], [*labels, "floor: needs no learning"]
        figure.legend(*entries, loc="outside upper center", ncols=3)
        return figure, f"{CAPTION}{_not_run(known[REAL_FIGURE])}"


def _not_run(artefact: Artefact) -> str:
    """Which points of the middle are missing, because nobody has run them."""
    planned, told = artefact.grid.planned, []
    for method in METHODS:
        of_method = planned[planned["series"] == method]
        runs = of_method.groupby("task", sort=False)["record"].count()  # those that are there
        if missing := [human(task) for task in runs[runs == 0].index]:
            told.append(f"{human(method)} on {', '.join(missing)}")
    return f" Middle, not run yet: {'; '.join(told)}." if told else ""


def _draw_paper(axes: Any) -> None:
    published = published_scores("fig1")
    for turn, method in enumerate(METHODS):
        points = [published[method, size].drawn for size in SIZES]
        draw(axes, Curve(method, points, turn, human(method)))
    axes.set_xscale("log")
    axes.set_xlabel("parameters of the model")
    axes.set_title("The paper: T5, SuperGLUE", fontsize=9)


def _draw_real(axes: Any, artefact: Artefact) -> None:
    """Task by task; the dotted lines are the best constant answers."""
    grid = artefact.grid
    measured = [{task: cell for (_, task), cell in grid.cells(m).items()} for m in METHODS]
    tasks = [task for task in grid.tasks if any(task in cells for cells in measured)]
    for turn, (method, cells) in enumerate(zip(METHODS, measured, strict=True)):
        for x, task in enumerate(tasks):
            for score in cells.get(task, ()):
                (run,) = axes.plot(x + 0.2 * turn - 0.1, score, "osD"[turn], color=COLOURS[turn])
                say(run, f"{human(method)} on {human(task)}: {score:.1f}")
    for x, task in enumerate(tasks):
        for floor in grid.scores.loc[grid.scores["task"] == task, "floor"].dropna().head(1):
            axes.hlines(floor, x - 0.4, x + 0.4, linestyle=":", color=INK)
    axes.set_xticks(range(len(tasks)), [human(task) for task in tasks])
    if not tasks:
        axes.text(0.5, 0.5, "not run yet", transform=axes.transAxes, ha="center")
    axes.set_title("Measured: a real T5 Small, each point a run", fontsize=9)


def _draw_ladder(axes: Any, artefact: Artefact) -> None:
    """Draws the means over all formats, on the same LM-adapted weights."""
    grid, sizes = artefact.grid, []
    axes.set_xscale("log")
    for turn, (method, series) in enumerate(zip(METHODS, (PROMPTS, TUNED), strict=True)):
        if points := grid.curve(series, grid.tasks):
            draw(axes, Curve(method, points, turn, human(method)))
            sizes += [x for x, *_ in points]
    for floor in (grid.mean_floors(grid.tasks) or ())[1:]:
        axes.axhline(floor, linestyle=":", color=INK)
    tick_models(axes, sizes)
    axes.set_xlabel("parameters of the model")
    num_formats, seeds = len(grid.tasks), sorted({*grid.scores["seed"]})
    which = f"seeds {seeds[0]} to {seeds[-1]}" if seeds else "not run yet"
    title = f"Measured: four toys, {num_formats} formats, {which}"
    axes.set_title(title, fontsize=9)
