"""Scores against model size, as in figures 1 and 3: on the paper's models and on the ladder.

On the paper's models a score is SuperGLUE's, beside the published one and with a verdict; on the
ladder it is the mean over mini tasks, beside their floors.
"""

from dataclasses import dataclass
from functools import cached_property

from matplotlib.figure import Figure

from prompt_tuning.report.artefact import Artefact
from prompt_tuning.report.figures import Curve, score_figure, tick_models
from prompt_tuning.report.grid import CEILING, Place, fail, means_by_seed
from prompt_tuning.report.names import human
from prompt_tuning.report.paper import NOTHING, SIZES, published_scores, tolerances
from prompt_tuning.report.parameter_counts import model_parameters
from prompt_tuning.report.tables import (
    FEW_SEEDS,
    OURS,
    Table,
    compared,
    failed_text,
    number,
    with_mark,
)
from prompt_tuning.tasks import SUPERGLUE

PAPERS_CURVES = "Dashed: published; solid: ours, where there are runs. Bands: a deviation."
CURVES = "Points: runs; lines: their means; bands: a deviation; dotted: the floors."
SHOWN_ILLEGAL_SHARE = 0.01  # of a cell's answers


@dataclass(frozen=True, eq=False)
class PaperScores(Artefact):
    """A figure on the paper's models."""

    note: str = ""  # on what the paper published

    @cached_property
    def table(self) -> Table:
        """Paper, ours, difference and verdict, of every point."""
        published, rows = published_scores(self.name), []
        for place in dict.fromkeys((*published, *self.grid.places)):
            paper, ours = published.get(place), self.grid.spread(place, SUPERGLUE)
            tasks = self.grid.cell(place)["task"].unique()
            there = [f"{task} {self.grid.spread(place, [task]) or 'mixed'}" for task in tasks]
            row = [*place, str(paper or NOTHING), *compared(paper, ours)]
            rows.append([*row, ", ".join(there) or NOTHING])
        note = (
            "SuperGLUE score: the unweighted mean over 8 tasks, for every seed; mean and sample "
            "standard deviation over n seeds. With a task missing there is none, and the last "
            "column has what is there."
        )
        header = ("series", "model", "paper", *OURS, "tasks there")
        return Table(header, rows, [note, *([self.note] if self.note else []), *self.grid.notes()])

    @cached_property
    def figure(self) -> Figure:
        """The paper's curves dashed, ours on the same models with bands of a deviation."""
        published, curves = published_scores(self.name), []
        names = dict.fromkeys([*(series for series, _ in published), *self.grid.series])
        for index, series in enumerate(names):
            points = [point.drawn for (of, _), point in published.items() if of == series]
            ours = [
                (model_parameters(size), spread.mean, spread.deviation or 0.0)
                for size in SIZES
                if (spread := self.grid.spread((series, size), SUPERGLUE))
            ]
            name = human(series)
            curves.append(Curve(series, points, index, f"{name}, paper", is_paper=True))
            curves.append(Curve(series, ours, index, f"{name}, ours"))
        return score_figure(self.title, self.legend, "SuperGLUE score", curves, {})


@dataclass(frozen=True, eq=False)
class LadderScores(Artefact):
    """A figure on the ladder."""

    @cached_property
    def table(self) -> Table:
        """Scores by task, with floors below and the mean over tasks at the end."""
        grid, few = self.grid, tolerances().min_seeds
        rows = [
            [
                *place,
                *(self._task_text(place, task) for task in grid.tasks),
                with_mark(grid.spread(place, grid.tasks)),
                failed_text(fail(grid.cell(place))),
                grid.at_an_end(*place) or NOTHING,
            ]
            for place in grid.places
        ]
        note = (
            "Percent on test: mean ± sample standard deviation over seeds (number of seeds); "
            f"{FEW_SEEDS} has fewer than {few}, and no claim rests on it. The mean over tasks is "
            "that of every seed that has all of them. Illegal answers are none of the task's, and "
            f"wrong; their share is shown above {100 * SHOWN_ILLEGAL_SHARE:.0f} %. A run fails to "
            "learn if guessing by the task's floor could score as much; in brackets Wilson's 95 % "
            "interval of the share. At the floor: most runs fail; at the ceiling: the mean is "
            f"above {CEILING:.0f}. No number here compares with one of the paper."
        )
        header = (
            *(", ".join(self.series), "model", *grid.tasks),
            *("mean over tasks", "fail to learn", "at floor or ceiling"),
        )
        return Table(header, [*rows, *self._floor_rows()], (note, *grid.notes()))

    def _task_text(self, place: Place, task: str) -> str:
        """Mean, deviation, seeds, a dagger if they are few, and the share of illegal answers."""
        spread = self.grid.spread(place, [task])
        answers = self.grid.runs(place, task)[["num_unparseable", "num_examples"]].sum()
        share = answers["num_unparseable"] / answers["num_examples"] if spread else 0.0
        illegal = f", illegal {100 * share:.1f} %" if share > SHOWN_ILLEGAL_SHARE else ""
        return with_mark(spread) + illegal

    def _floor_rows(self) -> list[list[str]]:
        """Two lines below a table; a task with floors of different items shows them all."""
        lines = [["floor: majority", NOTHING], ["floor: best shortcut", NOTHING]]
        for task in self.grid.tasks:
            floors = [*self.grid.floors(task).itertuples()]
            majorities = (f"{floor.majority:.1f}" for floor in floors)
            shortcuts = (f"{floor.shortcut:.1f} ({floor.shortcut_name})" for floor in floors)
            for line, texts in zip(lines, (majorities, shortcuts), strict=True):
                line.append("; ".join(texts) or NOTHING)
        means = self.grid.mean_floors(self.grid.tasks) or (None, None)
        for line, mean in zip(lines, means, strict=True):
            line += [number(mean, digits=1), NOTHING, NOTHING]
        return lines

    @cached_property
    def figure(self) -> Figure:
        """The mean over the tasks that every series has; their floors as dotted lines."""
        grid, curves = self.grid, []
        there = [{task for _, task in grid.cells(series)} for series in grid.series]
        tasks = [task for task in grid.tasks if all(task in found for found in there if found)]
        for index, series in enumerate(grid.series):
            runs = [
                (grid.num_parameters((series, model)), score)
                for model in grid.models
                for score in means_by_seed(grid.cell((series, model)), tasks)
            ]
            points = sorted(grid.curve(series, tasks))
            curves.append(Curve(series, points, index, human(series), runs=runs))
        floors = grid.mean_floors(tasks)
        lines = dict(zip(("majority", "best shortcut"), floors, strict=True)) if floors else {}
        left_out = [human(task) for task in grid.tasks if task not in tasks]
        without = f" (without {', '.join(left_out)})" if left_out else ""
        label = f"mean over {len(tasks)} tasks{without}, %"
        figure = score_figure(self.title, self.legend, label, curves, lines)
        tick_models(figure.axes[0], {x for curve in curves for x, _, _ in curve.points})
        return figure
