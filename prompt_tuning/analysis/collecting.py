"""Finished runs for what an experiment plans, in cells that differ in task and seed alone."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from prompt_tuning.analysis.spread import Spread
from prompt_tuning.errors import UserError

# Where data lies is no part of a run's identity: its record has the hash of every file.
PLACES = (
    "seed",
    "data.dir",
    "data.source",
    *(f"data.{split}_file" for split in ("train", "validation", "test")),
)
MULTITASK = "multitask_model_tuning"
Config = Mapping[str, Any]


class Floor(NamedTuple):
    """What needs no fact of the ladder's world, in percent."""

    majority: float
    shortcut: float
    shortcut_name: str  # of the best one


@dataclass(frozen=True)
class Scored:
    """A run's answers to one task, on the split that it reports."""

    score: float  # percent
    num_unparseable: int
    num_examples: int
    floor: Floor | None  # of the mini tasks


@dataclass(frozen=True)
class Found:
    """A finished run."""

    name: str
    path: Path
    text: str  # of the record
    record: Mapping[str, Any]

    @property
    def is_committed(self) -> bool:
        """Whether it is one of results/runs, not of the user's runs."""
        return self.path.name != "record.json"

    @property
    def code(self) -> str:
        """The commit it was made with, and whether that was changed."""
        commit = self.record.get("commit") or "no checkout"
        return commit[:12] + (", changed" if self.record.get("dirty") else "")

    @property
    def scores(self) -> dict[str, Scored]:
        """By task; a multi-task run has several."""
        result, config = self.record["result"], self.record["config"]
        return {
            task: _scored(of_task)
            for task, of_task in (
                result["tasks"] if "tasks" in result else {config["task"]["name"]: result}
            ).items()
        }

    @property
    def substance(self) -> str:
        """Weights, their precision and the data: what a config only names."""
        model, data = self.record["model"], self.record["data"]
        facts = {key: value for key, value in flat(data) if key.endswith("sha256")}
        facts |= {key: model.get(key) for key in ("fingerprint", "revision", "dtype")}
        return json.dumps(facts, sort_keys=True)


@dataclass
class Cell:
    """Runs that differ in task and seed alone."""

    series: str
    size: str
    runs: dict[str, dict[int, Scored]] = field(default_factory=lambda: defaultdict(dict))
    substances: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    num_parameters: int | None = None  # of the model, as a record has it

    def of_task(self, task: str) -> Spread | None:
        """Over seeds; None without runs, or with runs that differ in weights or data."""
        if len(self.substances.get(task, ())) > 1:
            return None
        return Spread.of([run.score for _, run in sorted(self.runs.get(task, {}).items())])

    def mean_over(self, tasks: Sequence[str]) -> Spread | None:
        """Over seeds, of the unweighted mean over tasks; seeds that lack a task do not count."""
        if not tasks or any(self.of_task(task) is None for task in tasks):
            return None
        seeds = set.intersection(*({*self.runs[task]} for task in tasks))
        means = [fmean(self.runs[task][seed].score for task in tasks) for seed in sorted(seeds)]
        return Spread.of(means)

    def illegal_share(self, task: str) -> float:
        """Answers that are none of the task's, of all answers."""
        runs = self.runs[task].values()
        return sum(run.num_unparseable for run in runs) / sum(run.num_examples for run in runs)


@dataclass
class Grid:
    """What an artefact's experiments plan, and what of it there is."""

    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)  # by series and size
    tasks: list[str] = field(default_factory=list)  # in the plan's order, without mixtures
    num_planned: int = 0
    found: list[tuple[Config, Found]] = field(default_factory=list)
    missing: list[tuple[str, str, str, int]] = field(default_factory=list)  # series size task seed

    @property
    def series(self) -> list[str]:
        """In the plan's order."""
        return list(dict.fromkeys(series for series, _ in self.cells))

    @property
    def sizes(self) -> list[str]:
        """In the plan's order."""
        return list(dict.fromkeys(size for _, size in self.cells))

    @property
    def rows(self) -> list[Cell]:
        """The cells, curve by curve."""
        places = [(series, size) for series in self.series for size in self.sizes]
        return [self.cells[place] for place in places if place in self.cells]

    def floors(self, task: str) -> list[Floor]:
        """The floors in the records of a task: one, unless they are of different items."""
        runs = (run for cell in self.cells.values() for run in cell.runs.get(task, {}).values())
        return sorted({run.floor for run in runs if run.floor})

    def mean_floors(self) -> tuple[float, float] | None:
        """Majority and best shortcut, the means over tasks; None if a task has not one of each."""
        floors = [self.floors(task) for task in self.tasks]
        if not floors or any(len(of_task) != 1 for of_task in floors):
            return None
        majorities = [of_task[0].majority for of_task in floors]
        shortcuts = [of_task[0].shortcut for of_task in floors]
        return fmean(majorities), fmean(shortcuts)

    def mixed(self) -> list[str]:
        """Cells whose runs differ in weights or data, and have no mean for that."""
        return [
            f"{cell.series}, {cell.size} on {task}"
            for cell in self.cells.values()
            for task, substances in cell.substances.items()
            if len(substances) > 1
        ]

    def codes(self) -> str:
        """How many records each commit made."""
        counts = Counter(run.code for _, run in self.found)
        return "; ".join(f"{code}: {count}" for code, count in sorted(counts.items())) or "none"


class Library:
    """The records of finished training runs, found by what their config asks for.

    Other records are about such runs: an ensemble of them, what a prompt looks like. They are found
    by the runs that they are about.
    """

    def __init__(self, paths: Iterable[Path], ignored: Sequence[str]) -> None:
        """Reads records: `<run>/record.json`, or `<run>.json` once they are committed.

        Args:
            paths: of the records.
            ignored: keys of a config that do not change a result.
        """
        self._ignored = (*ignored, *PLACES)
        self._found: dict[tuple[str, int], list[Found]] = defaultdict(list)
        self._about: dict[tuple[str, frozenset[tuple[str, int]]], list[Found]] = defaultdict(list)
        for path in paths:
            text = path.read_text(encoding="utf-8")
            record = json.loads(text)
            name = path.parent.name if path.name == "record.json" else path.stem
            found = Found(name, path, text, record)
            if record.get("kind") == "train":
                self._found[self._key(record["config"])].append(found)
            elif (members := record.get("members")) and all("config" in of for of in members):
                about = frozenset(self._key(member["config"]) for member in members)
                self._about[record["kind"], about].append(found)

    def find(self, config: Config) -> Found | None:
        """The finished run of a planned config.

        Raises:
            UserError: there are two different ones.
        """
        return _only(self._found.get(self._key(config), []))

    def find_about(self, kind: str, configs: Iterable[Config], **chosen: Any) -> Found | None:
        """The record of a kind (ensemble, inspect) about exactly the runs of these configs.

        Args:
            kind: of the record.
            configs: of the runs, in any order.
            chosen: values that the record's own config must have (tie="first").

        Raises:
            UserError: there are two different ones.
        """
        found = self._about.get((kind, frozenset(map(self._key, configs))), [])
        return _only([run for run in found if chosen.items() <= run.record["config"].items()])

    def has_model(self, names: Iterable[str]) -> bool:
        """Whether any record is of one of these models."""
        found = (run for runs in self._found.values() for run in runs)
        return any(run.record["config"]["model"]["name"] in names for run in found)

    def _key(self, config: Config) -> tuple[str, int]:
        values = {
            key: value
            for key, value in flat(config)
            if value is not None
            and not any(key == name or key.startswith(f"{name}.") for name in self._ignored)
        }
        return json.dumps(values, sort_keys=True), config["seed"]


def _only(found: Sequence[Found]) -> Found | None:
    """One of equal records; those of the user's own runs go before committed ones."""
    found = [run for run in found if not run.is_committed] or found
    if len({run.text for run in found}) > 1:
        first, second = (run.path for run in found[:2])
        raise UserError(
            f"two records of one run: {first} and {second}",
            fix="counted twice, a seed would make the deviation too small: remove one of them",
        )
    return found[0] if found else None


def record_paths(runs: Path, committed: Path) -> list[Path]:
    """The records of the user's runs, then the committed ones."""
    return sorted(runs.glob("*/record.json")) + sorted(committed.glob("*.json"))


def collect(plan: Iterable[Config], series: Sequence[str], library: Library) -> Grid:
    """The runs of a plan.

    Args:
        plan: the config of every run.
        series: keys of the config whose values make a curve.
        library: what there is.
    """
    grid = Grid()
    for config in plan:
        values, task = dict(flat(config)), config["task"]["name"]
        grid.num_planned += 1
        label = ", ".join(str(values[key]) for key in series if values.get(key) is not None)
        place = label, str(config["model"]["name"])
        cell = grid.cells.setdefault(place, Cell(*place))
        if config["method"] != MULTITASK and task not in grid.tasks:
            grid.tasks.append(task)
        run = library.find(config)
        if run is None:
            grid.missing.append((*place, task, config["seed"]))
            continue
        grid.found.append((config, run))
        cell.num_parameters = run.record["model"]["num_parameters"]
        for name, scored in run.scores.items():
            cell.runs[name][config["seed"]] = scored
            cell.substances[name].add(run.substance)
    return grid


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its dotted key."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _scored(result: Mapping[str, Any]) -> Scored:
    """The split that chose nothing, where there is one."""
    scores, floor = result.get("report") or result, result.get("floor")
    return Scored(
        scores["score"],
        scores["num_unparseable"],
        scores["num_examples"],
        floor and Floor(floor["majority"], floor["shortcut"], floor["shortcut_name"]),
    )
