"""What an artefact's experiments plan, beside what there is of it: a row a run, a row a score."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Any

import pandas as pd

from prompt_tuning.files import flat
from prompt_tuning.report.records import Config, Record
from prompt_tuning.report.statistics import Spread, fails_to_learn
from prompt_tuning.run_folder import reported_scores

MULTITASK = "multitask_model_tuning"
CELL = ["series", "model", "task"]  # its runs differ in their seed alone
PLANNED = [*CELL, "method", "seed", "record"]
COUNTS = ["score", "num_unparseable", "num_examples"]
FLOORS = ["majority", "shortcut", "shortcut_name"]  # what needs no fact of the ladder's world
BESIDE = ["floor", "untrained", "report_chooses"]  # what stands beside a score on its split
SCORES = [*CELL, "seed", "substance", "num_parameters", *COUNTS, *FLOORS, *BESIDE]
CEILING = 99.0  # percent
Place = tuple[str, str]  # a series and a model
Case = tuple[str, str]  # a model and what was asked of it


@dataclass(frozen=True, eq=False)
class Grid:
    """Planned runs: a row each, with its record, None where it is missing."""

    planned: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=PLANNED))

    @classmethod
    def of(
        cls,
        plan: Iterable[Config],
        series: Sequence[str],
        find: Callable[[Config], Record | None],
    ) -> "Grid":
        """The runs of a plan; one that two of its sweeps ask for counts once.

        The values of the keys in `series` make a curve.
        """
        rows = []
        for config in plan:
            values = dict(flat(config))
            curve = ", ".join(str(values[key]) for key in series if values.get(key) is not None)
            names = [str(values[key]) for key in ("model.name", "task.name", "method")]
            rows.append([curve, *names, config["seed"], find(config)])
        planned = pd.DataFrame(rows, columns=PLANNED, dtype=object)
        return cls(planned.drop_duplicates([*CELL, "method", "seed"], ignore_index=True))

    @cached_property
    def found(self) -> pd.DataFrame:
        """The runs that have a record."""
        return self.planned[self.planned["record"].notna()]

    @property
    def records(self) -> list[Record]:
        """The records that are there, in the plan's order."""
        return list(self.found["record"])

    @cached_property
    def scores(self) -> pd.DataFrame:
        """A row a task and training run: its answers on the split that chose nothing, if any."""
        rows = []
        for run in self.found.itertuples():
            is_trained = run.record.content["kind"] == "train"
            for task, result in run.record.results.items() if is_trained else ():
                scored, floor = reported_scores(result), result.get("floor") or {}
                row = [run.series, run.model, task, run.seed, run.record.substance]
                row.append(run.record.content["model"]["num_parameters"])
                row += [scored[name] for name in COUNTS] + [floor.get(name) for name in FLOORS]
                row.append(score_to_beat(result))
                beside = [result.get("untrained", {}).get(scored["split"])]
                beside.append(result.get("report_chooses"))
                row += [each and each["score"] for each in beside]
                rows.append(row)
        return pd.DataFrame(rows, columns=SCORES).drop_duplicates([*CELL, "seed"], keep="last")

    @property
    def series(self) -> list[str]:
        """The series' names, in the plan's order."""
        return list(self.planned["series"].unique())

    @property
    def models(self) -> list[str]:
        """The models' names, in the plan's order."""
        return list(self.planned["model"].unique())

    @property
    def tasks(self) -> list[str]:
        """Tasks that runs train on, in the plan's order, without mixtures."""
        return list(self.planned.loc[self.planned["method"] != MULTITASK, "task"].unique())

    @property
    def places(self) -> list[Place]:
        """Series and models of the plan, curve by curve."""
        planned = {*zip(self.planned["series"], self.planned["model"], strict=True)}
        places = [(series, model) for series in self.series for model in self.models]
        return [place for place in places if place in planned]

    @cached_property
    def _cells(self) -> dict[Place, pd.DataFrame]:
        return dict(tuple(self.scores.groupby(CELL[:2])))

    @cached_property
    def _substances(self) -> pd.Series:
        """How many different weights and data the runs of a cell have."""
        return self.scores.groupby(CELL, sort=False)["substance"].nunique()

    def cell(self, place: Place) -> pd.DataFrame:
        """The scores of a series and a model."""
        return self._cells.get(place, self.scores[:0])

    def runs(self, place: Place, task: str) -> pd.DataFrame:
        """The scores of a series and a model on a task."""
        return self.cell(place).query("task == @task")

    def spread(self, place: Place, tasks: Sequence[str]) -> Spread | None:
        """Over seeds, of the unweighted mean over tasks; seeds that lack a task do not count.

        None where a task has no runs, or runs that differ in weights or data.
        """
        if not tasks or any(self._substances.get((*place, task)) != 1 for task in tasks):
            return None
        return Spread.of(means_by_seed(self.cell(place), tasks))

    def curve(self, series: str, tasks: Sequence[str]) -> list[tuple[float, float, float]]:
        """Parameters, mean over tasks and deviation over seeds of every model that has them."""
        spreads = {model: self.spread((series, model), tasks) for model in self.models}
        return [
            (self.num_parameters((series, model)), spread.mean, spread.deviation or 0.0)
            for model, spread in spreads.items()
            if spread
        ]

    def cells(self, series: str) -> dict[Case, list[float]]:
        """The scores of a series by model and task; not those of runs that differ in their data."""
        found = self.scores[self.scores["series"] == series]
        return {
            case: list(cell)
            for case, cell in found.groupby(CELL[1:], sort=False)["score"]
            if self._substances[(series, *case)] == 1
        }

    def at_an_end(self, series: str, model: str) -> str:
        """`floor` if most runs of a place fail to learn, `ceiling` above 99 %; else empty."""
        cell = self.cell((series, model))
        failed, scores = fail(cell), cell["score"]
        if 2 * sum(failed) > len(failed):
            return "floor"
        return "ceiling" if len(scores) and scores.mean() > CEILING else ""

    def num_parameters(self, place: Place) -> int:
        """The model's parameters, as a record has them; 0 without a record."""
        return max(self.cell(place)["num_parameters"], default=0)

    def floors(self, task: str) -> pd.DataFrame:
        """The floors in the records of a task: one, unless they are of different items."""
        floors = self.scores.loc[self.scores["task"] == task, FLOORS]
        return floors.dropna().drop_duplicates().sort_values(FLOORS)

    def mean_floors(self, tasks: Sequence[str]) -> tuple[float, float] | None:
        """Majority and best shortcut, the means over tasks; None if a task has not one of each."""
        floors = [self.floors(task) for task in tasks]
        if not floors or any(len(found) != 1 for found in floors):
            return None
        majority, shortcut, _ = zip(*(found.iloc[0] for found in floors), strict=True)
        return fmean(majority), fmean(shortcut)

    def notes(self) -> list[str]:
        """Cells that must not be averaged, missing runs by name, the commits of the records."""
        kinds = self._substances
        mixed = [f"{series}, {model} on {task}" for series, model, task in kinds[kinds > 1].index]
        told = f"Runs of different weights or data, not averaged: {'; '.join(mixed)}."
        notes = [self._missing(), f"Records by commit: {codes(self.records)}."]
        return [told, *notes] if mixed else notes

    def _missing(self) -> str:
        """Which planned runs have no record: series, models, tasks, seeds."""
        if self.planned.empty:
            return "None of its runs is there."
        missing = self.planned[self.planned["record"].isna()].astype({"seed": str})
        seeds = missing.groupby(CELL, sort=False)["seed"].agg(" ".join).reset_index()
        places = [
            f"{series} on {model}: {', '.join(tasks)}, seed {which}"
            for (series, model, which), tasks in seeds.groupby(
                ["series", "model", "seed"], sort=False
            )["task"]
        ]
        which = f" ({'; '.join(places)})" if places and self.records else ""
        return f"Missing: {len(missing)} of {len(self.planned)} runs{which}."


def means_by_seed(scores: pd.DataFrame, tasks: Sequence[str]) -> list[float]:
    """The unweighted mean over tasks (rows have `seed`, `task`, `score`) of seeds that have all."""
    known = scores[scores["task"].isin(tasks)].dropna(subset="score")
    by_seed = known.groupby("seed")["score"]
    return [fmean(seed) for _, seed in by_seed if len(seed) == len(tasks)]


def fail(scores: pd.DataFrame) -> list[bool]:
    """Whether its run fails to learn, for each score that has a floor."""
    known = scores.dropna(subset="floor")
    return [*map(fails_to_learn, known["score"], known["floor"], known["num_examples"])]


def score_to_beat(result: Mapping[str, Any]) -> float | None:
    """What a score has to beat: on the ladder the better floor, else the best constant answer."""
    floor, constant = result.get("floor"), result.get("constant")
    if floor:
        return max(floor["majority"], floor["shortcut"])
    return constant and constant["score"]


def codes(records: Iterable[Record]) -> str:
    """How many records each commit made."""
    counts = pd.Series([record.code for record in records], dtype=object).value_counts()
    return "; ".join(f"{code}: {count}" for code, count in counts.sort_index().items()) or "none"
