"""Table 5: steps and seconds until a run is within 1 % of its configuration's mean score."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from prompt_tuning.analysis.collecting import Found, Grid, flat
from prompt_tuning.analysis.paper import NOTHING, rows
from prompt_tuning.analysis.spread import Spread
from prompt_tuning.analysis.tables import Table, common_notes, with_mark

WITHIN = 0.01  # of the mean score (paper, table 5)
HEADER = ("step", "score", "duration_s")


@dataclass(frozen=True)
class Point:
    """An evaluation on the split that chooses the best step."""

    step: int
    score: float
    duration_s: float | None  # of training so far, evaluations included; None: not logged


def history(found: Found) -> list[Point]:
    """A run's evaluations, from its metrics.jsonl or from what was kept of it; else none."""
    curves = found.path.parent / "metrics.jsonl"
    if not found.is_committed and curves.exists():
        logged = map(json.loads, _lines(curves))
        return [
            Point(values["step"], values["eval/score"], values.get("time/duration_s"))
            for values in logged
            if "eval/score" in values
        ]
    kept = committed_history(found.path)
    if not kept.exists():
        return []
    return [
        Point(int(step), float(score), float(seconds) if seconds else None)
        for step, score, seconds in (line.split(",") for line in _lines(kept)[1:])
    ]


def history_text(points: Sequence[Point]) -> str:
    """What is kept of a run's evaluations beside its committed record."""
    lines = [",".join(HEADER)]
    for point in points:
        seconds = "" if point.duration_s is None else point.duration_s
        lines.append(f"{point.step},{point.score},{seconds}")
    return "\n".join(lines) + "\n"


def committed_history(record: Path) -> Path:
    """Where the evaluations of a committed record's run are."""
    return record.with_suffix(".history.csv")


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


@dataclass(frozen=True)
class Reached:
    """When a run was first within reach of its configuration's mean."""

    step: int
    seconds: float
    is_share: bool  # no clock was logged: the run's seconds, shared evenly over its steps


def reached(found: Found, mean_score: float) -> Reached | None:
    """The first evaluation at 99 % of a score or more; None if there was none."""
    for point in history(found):
        if point.score >= (1 - WITHIN) * mean_score:
            if point.duration_s is not None:
                return Reached(point.step, point.duration_s, is_share=False)
            share = point.step / found.record["config"]["training"]["num_steps"]
            return Reached(point.step, share * found.record["duration_s"], is_share=True)
    return None


def times_table(grid: Grid, *, with_paper: bool, min_seeds: int) -> Table:
    """Steps and seconds of every configuration; the paper's seconds beside them, not compared."""
    paper = {
        (row["prompt_length"], row["size"]): f"{row['mean_s']} ± {row['sd_s']}"
        for row in rows("table5")
        if with_paper
    }
    body, runs = [], _runs_by_place(grid)
    shared = False
    places = [(cell.series, cell.size) for cell in grid.rows]
    for place in dict.fromkeys([*places, *paper]):
        times, num_runs, score = _times(runs.get(place, []))
        shared |= any(time.is_share for time in times)
        seconds = [time.seconds for time in times]
        sign = "≈ " if any(time.is_share for time in times) else ""
        body.append(
            [
                *place,
                *([paper.get(place, NOTHING)] if with_paper else []),
                with_mark(Spread.of([time.step for time in times]), min_seeds),
                sign + with_mark(Spread.of(seconds), min_seeds) if seconds else NOTHING,
                f"{len(times)} of {num_runs}" if num_runs else NOTHING,
                NOTHING if score is None else f"{score:.1f}",
            ]
        )
    header = ["prompt.length", "model", *(["paper, seconds"] if with_paper else [])]
    notes = [
        "The first evaluation at 99 % or more of the mean, over seeds, of the best score on the "
        "split that chooses the step: mean ± sample standard deviation (number of runs that got "
        "there). Steps are as fine as the interval between evaluations."
    ]
    if shared:
        notes.append("≈: no clock was logged; the run's seconds, in proportion to its steps.")
    if with_paper:
        notes.append("The paper's seconds are those of TPUs: a verdict on them would mean nothing.")
    columns = (*header, "ours, steps", "ours, seconds", "runs that got there", "mean score")
    return Table(columns, body, (*notes, *common_notes(grid)))


def _runs_by_place(grid: Grid) -> Mapping[tuple[str, str], list[Found]]:
    places: dict[tuple[str, str], list[Found]] = {}
    for config, found in grid.found:
        values: Mapping[str, Any] = dict(flat(config))
        place = str(values["prompt.length"]), str(values["model.name"])
        places.setdefault(place, []).append(found)
    return places


def _times(runs: Sequence[Found]) -> tuple[list[Reached], int, float | None]:
    """Of the runs whose history is there: when they got there, their number, the mean score."""
    runs = [run for run in runs if history(run)]
    if not runs or len({run.substance for run in runs}) > 1:
        return [], 0, None
    mean = fmean(run.record["result"]["score"] for run in runs)
    times = [time for run in runs if (time := reached(run, mean)) is not None]
    return times, len(runs), mean
