"""Tables: published and measured numbers side by side; what was not measured is a dash."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prompt_tuning.analysis.artefacts import Artefact
from prompt_tuning.analysis.collecting import Cell, Grid
from prompt_tuning.analysis.paper import (
    NOTHING,
    QUOTED,
    SUPERGLUE,
    Published,
    Tolerances,
    published_scores,
)
from prompt_tuning.analysis.parameter_counts import Count
from prompt_tuning.analysis.spread import Spread

SHOWN_ILLEGAL_SHARE = 0.01  # of a cell's answers
FEW_SEEDS = "†"


@dataclass(frozen=True)
class Table:
    """A table; the column `verdict`, where there is one, is counted on the page."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()  # below it

    @property
    def verdicts(self) -> list[str]:
        """One a row that can be measured; none of a table without them."""
        if "verdict" not in self.header:
            return []
        column = list(self.header).index("verdict")
        return [row[column] for row in self.rows if row[0] not in QUOTED]


def markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A table; what is missing is a dash."""
    lines = []
    for row in (header, ["---"] * len(header), *rows):
        cells = ["-" if value is None else str(value) for value in row]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def paper_table(artefact: Artefact, grid: Grid, tolerances: Tolerances) -> Table:
    """SuperGLUE scores of the paper's models: paper, ours, difference and verdict."""
    published = published_scores(artefact.name)
    places = dict.fromkeys((*published, *grid.cells))
    rows = [
        _paper_row(place, published.get(place), grid.cells.get(place), tolerances)
        for place in places
    ]
    header = ("series", "model", "paper", "ours mean", "ours sd", "n", "difference", "verdict")
    notes = [
        "SuperGLUE score: the unweighted mean over 8 tasks, for every seed; mean and sample "
        "standard deviation over n seeds. With a task missing there is none, and the last column "
        "has what is there."
    ]
    if artefact.name == "fig1":
        notes.append(f"{', '.join(QUOTED)} is what the paper quotes of GPT-3: it has no verdict.")
    if artefact.name == "fig3d":
        notes.append("The paper's deviations here are half of a band that is not symmetric.")
    return Table((*header, "tasks there"), rows, (*notes, *common_notes(grid)))


def _paper_row(
    place: tuple[str, str], paper: Published | None, cell: Cell | None, tolerances: Tolerances
) -> list[str]:
    ours = cell.mean_over(SUPERGLUE) if cell else None
    there = [f"{task} {cell.of_task(task) or 'mixed'}" for task in cell.runs] if cell else []
    return [
        *place,
        _paper_text(paper),
        number(ours.mean if ours else None),
        number(ours.deviation if ours else None),
        str(ours.count if ours else 0),
        f"{ours.mean - paper.mean:+.2f}" if ours and paper else NOTHING,
        tolerances.verdict(paper, ours),
        ", ".join(there) or NOTHING,
    ]


def _paper_text(paper: Published | None) -> str:
    if paper is None:
        return NOTHING
    return f"{paper.mean:.2f}" + ("" if paper.spread is None else f" ± {paper.spread:.2f}")


def number(value: float | None, digits: int = 2) -> str:
    """Some digits after the point, or a dash."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def counts_table(counts: Sequence[Count]) -> Table:
    """Parameters: exact ones beside published ones."""
    rows = [
        [
            count.series,
            count.size,
            f"{count.paper:,.12g}",
            f"{count.ours:,.12g}",
            f"{count.ours - count.paper:+,.10g}",
            count.verdict,
        ]
        for count in counts
    ]
    note = "Ours is computed from the shapes of the models; it needs no run."
    return Table(("series", "model", "paper", "ours", "difference", "verdict"), rows, (note,))


def ladder_table(artefact: Artefact, grid: Grid, tolerances: Tolerances) -> Table:
    """Scores on the ladder by task, with floors below and the mean over tasks at the end."""
    min_seeds = tolerances.min_seeds
    rows = [
        [
            cell.series,
            cell.size,
            *(cell_text(cell, task, min_seeds) for task in grid.tasks),
            with_mark(cell.mean_over(grid.tasks), min_seeds),
        ]
        for cell in grid.rows
    ]
    rows += _floor_rows(grid)
    note = (
        "Percent on test: mean ± sample standard deviation over seeds (number of seeds); "
        f"{FEW_SEEDS} has fewer than {min_seeds}, and no claim rests on it. The mean over tasks is "
        "that of every seed that has all of them. Illegal answers are none of the task's, and "
        f"wrong; their share is shown above {100 * SHOWN_ILLEGAL_SHARE:.0f} %. No number here "
        "compares with one of the paper."
    )
    header = (", ".join(artefact.series), "model", *grid.tasks, "mean over tasks")
    return Table(header, rows, (note, *common_notes(grid)))


def _floor_rows(grid: Grid) -> list[list[str]]:
    """Two lines below a table; a task with floors of different items shows them all."""
    floors = [grid.floors(task) for task in grid.tasks]
    means = grid.mean_floors() or (None, None)
    majorities = ["; ".join(f"{f.majority:.1f}" for f in of_task) for of_task in floors]
    shortcuts = [
        "; ".join(f"{f.shortcut:.1f} ({f.shortcut_name})" for f in of_task) for of_task in floors
    ]
    lines = (("floor: majority", majorities), ("floor: best shortcut", shortcuts))
    return [
        [name, NOTHING, *(text or NOTHING for text in texts), number(mean, digits=1)]
        for (name, texts), mean in zip(lines, means, strict=True)
    ]


def cell_text(cell: Cell, task: str, min_seeds: int) -> str:
    """Mean, deviation, seeds, a dagger if they are few, and the share of illegal answers."""
    spread = cell.of_task(task)
    share = cell.illegal_share(task) if spread else 0.0
    illegal = f", illegal {100 * share:.1f} %" if share > SHOWN_ILLEGAL_SHARE else ""
    return with_mark(spread, min_seeds) + illegal


def with_mark(spread: Spread | None, min_seeds: int) -> str:
    """A spread with a dagger if its seeds are few; a dash without one."""
    if spread is None:
        return NOTHING
    return f"{spread}{FEW_SEEDS if spread.count < min_seeds else ''}"


def common_notes(grid: Grid) -> list[str]:
    """Missing runs by name, cells that must not be averaged, and the commits of the records."""
    notes = [missing_text(grid), f"Records by commit: {grid.codes()}."]
    if mixed := grid.mixed():
        notes.insert(0, f"Runs of different weights or data, not averaged: {'; '.join(mixed)}.")
    return notes


def missing_text(grid: Grid) -> str:
    """Which planned runs have no record: series, models, tasks, seeds."""
    seeds: dict[tuple[str, str, str], list[str]] = {}
    for series, size, task, seed in grid.missing:
        seeds.setdefault((series, size, task), []).append(str(seed))
    tasks: dict[tuple[str, str, str], list[str]] = {}
    for (series, size, task), of in seeds.items():
        tasks.setdefault((series, size, " ".join(of)), []).append(task)
    places = [
        f"{series} on {size}: {', '.join(names)}, seed {of}"
        for (series, size, of), names in tasks.items()
    ]
    which = f" ({'; '.join(places)})" if places and grid.found else ""
    if not grid.num_planned:
        return "None of its runs is there."
    return f"Missing: {len(grid.missing)} of {grid.num_planned} runs{which}."


def count_verdicts(tables: Iterable[Table]) -> Mapping[str, int]:
    """How often each verdict stands in some tables."""
    verdicts = [verdict for table in tables for verdict in table.verdicts]
    return {verdict: verdicts.count(verdict) for verdict in sorted({*verdicts})}
