"""Scores against model size, which figures 1 and 3 are made of: on the paper's models, the ladder.

On the paper's models a score is SuperGLUE's, beside the published one and with a verdict; on the
ladder it is the mean over mini tasks, beside their floors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
from matplotlib.figure import Figure

from prompt_tuning.report.artefact import Artefact
from prompt_tuning.report.claims import Claim, means
from prompt_tuning.report.counts import model_parameters
from prompt_tuning.report.figures import Curve, score_figure, tick_models
from prompt_tuning.report.grid import Place
from prompt_tuning.report.paper import NOTHING, SIZES, SUPERGLUE, published_scores
from prompt_tuning.report.tables import FEW_SEEDS, OURS, Table, compared, number, with_mark

SHOWN_ILLEGAL_SHARE = 0.01  # of a cell's answers
Asked = Callable[[pd.DataFrame], list[Claim]]  # what follows from `claims.means`


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
            row = [*place, str(paper or NOTHING), *compared(paper, ours, self.limits)]
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
            points = [
                (point.num_parameters, point.mean, point.spread or 0.0)
                for (of_series, _), point in published.items()
                if of_series == series
            ]
            ours = [
                (model_parameters(size), spread.mean, spread.deviation or 0.0)
                for size in SIZES
                if (spread := self.grid.spread((series, size), SUPERGLUE))
            ]
            curves.append(Curve(series, points, index, f"{series}, paper", is_paper=True))
            curves.append(Curve(series, ours, index, f"{series}, ours"))
        return score_figure(self.title, ", ".join(self.series), "SuperGLUE score", curves, {})


@dataclass(frozen=True, eq=False)
class LadderScores(Artefact):
    """A figure on the ladder."""

    asked: Asked = lambda means: []

    @cached_property
    def table(self) -> Table:
        """Scores by task, with floors below and the mean over tasks at the end."""
        grid, few = self.grid, self.limits.min_seeds
        rows = [
            [
                *place,
                *(self._task_text(place, task) for task in grid.tasks),
                with_mark(grid.spread(place, grid.tasks), few),
            ]
            for place in grid.places
        ]
        note = (
            "Percent on test: mean ± sample standard deviation over seeds (number of seeds); "
            f"{FEW_SEEDS} has fewer than {few}, and no claim rests on it. The mean over tasks is "
            "that of every seed that has all of them. Illegal answers are none of the task's, and "
            f"wrong; their share is shown above {100 * SHOWN_ILLEGAL_SHARE:.0f} %. No number here "
            "compares with one of the paper."
        )
        header = (", ".join(self.series), "model", *grid.tasks, "mean over tasks")
        return Table(header, [*rows, *self._floor_rows()], (note, *grid.notes()))

    def _task_text(self, place: Place, task: str) -> str:
        """Mean, deviation, seeds, a dagger if they are few, and the share of illegal answers."""
        spread, cell = self.grid.spread(place, [task]), self.grid.cell(place)
        answers = cell[cell["task"] == task][["num_unparseable", "num_examples"]].sum()
        share = answers["num_unparseable"] / answers["num_examples"] if spread else 0.0
        illegal = f", illegal {100 * share:.1f} %" if share > SHOWN_ILLEGAL_SHARE else ""
        return with_mark(spread, self.limits.min_seeds) + illegal

    def _floor_rows(self) -> list[list[str]]:
        """Two lines below a table; a task with floors of different items shows them all."""
        lines = [["floor: majority", NOTHING], ["floor: best shortcut", NOTHING]]
        for task in self.grid.tasks:
            floors = [*self.grid.floors(task).itertuples()]
            majorities = (f"{floor.majority:.1f}" for floor in floors)
            shortcuts = (f"{floor.shortcut:.1f} ({floor.shortcut_name})" for floor in floors)
            for line, texts in zip(lines, (majorities, shortcuts), strict=True):
                line.append("; ".join(texts) or NOTHING)
        for line, mean in zip(lines, self.grid.mean_floors() or (None, None), strict=True):
            line.append(number(mean, digits=1))
        return lines

    @cached_property
    def claims(self) -> list[Claim]:
        """What the means over tasks have to say."""
        return self.asked(means(self.grid, self.limits.min_seeds))

    @cached_property
    def figure(self) -> Figure:
        """The mean over tasks, with its floors as dotted lines."""
        grid, curves = self.grid, []
        for index, series in enumerate(grid.series):
            points = [
                (grid.num_parameters((series, model)), spread.mean, spread.deviation or 0.0)
                for model in grid.models
                if (spread := grid.spread((series, model), grid.tasks))
            ]
            curves.append(Curve(series, sorted(points), index, series))
        floors = grid.mean_floors()
        lines = dict(zip(("majority", "best shortcut"), floors, strict=True)) if floors else {}
        label = f"mean over {len(grid.tasks)} tasks, %"
        figure = score_figure(self.title, ", ".join(self.series), label, curves, lines)
        tick_models(figure, {x for curve in curves for x, _, _ in curve.points})
        return figure
