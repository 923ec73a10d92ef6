"""The records of tuning runs on mini tasks, grouped into cells that differ in their seed alone.

Runs that differ in anything but the seed, the machine, tracking or the folders of output and cache
are never in one cell.
"""

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from prompt_tuning.config import NOT_IN_HASH

AXES = {  # of a run -> key of its config
    "task": "task.name",
    "model": "model.name",
    "variant": "variant.name",
    "lm_adapt_steps": "variant.lm_adapt_steps",
    "method": "method",
    "init": "init.strategy",
    "length": "prompt.length",
    "recipe": "recipe",
}
MIN_SEEDS = 3  # of a cell; one with fewer says so
Axes = tuple[Any, ...]  # values in the order of AXES
Settings = frozenset[tuple[str, str]]  # everything else that fixes a run but the seed


@dataclass(frozen=True)
class Run:
    """A finished run on a mini task."""

    axes: Axes
    settings: Settings
    seed: int
    score: float  # on test, percent
    num_unparseable: int
    num_examples: int
    floor: tuple[float, float, str] | None  # majority, best shortcut (percent), the shortcut's name
    folder: str
    code: str  # commit, and whether it was changed


Cells = dict[tuple[Axes, Settings], list[Run]]  # a cell: runs that differ in their seed alone


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its dotted key."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def axes_of(config: Mapping[str, Any]) -> Axes:
    """A config's place on every axis."""
    values = dict(flat(config))
    return tuple(values[key] for key in AXES.values())


def settings_of(record: Mapping[str, Any]) -> Settings:
    """Config, weights and data of a run, without its axes and what may differ between its seeds."""
    config, model = record["config"], record["model"]
    ignored = ("seed", *AXES.values(), *NOT_IN_HASH)
    values = {
        key: value
        for key, value in flat(config)
        if not any(key == name or key.startswith(f"{name}.") for name in ignored)
    }
    values |= {f"model.{fact}": model[fact] for fact in ("fingerprint", "dtype")}
    values |= {key: value for key, value in flat(record["data"], "data.") if key.endswith("sha256")}
    return frozenset((key, json.dumps(value)) for key, value in values.items())


def read_records(folder: Path, kinds: Iterable[str]) -> dict[Path, dict[str, Any]]:
    """The records of some kinds under a folder, by their path."""
    found = {path: json.loads(path.read_text("utf-8")) for path in folder.rglob("record.json")}
    return {path: found[path] for path in sorted(found) if found[path]["kind"] in kinds}


def read_cells(folder: Path) -> tuple[Cells, list[Path]]:
    """The runs on mini tasks under a folder, and the records that have no score on test.

    Raises:
        SystemExit: two records are of the same run, or one lacks what this version records.
    """
    cells: Cells = defaultdict(list)
    left_out = []
    for path, record in read_records(folder, ["train"]).items():
        if not record["config"]["task"]["name"].startswith("mini_"):
            continue
        report = record["result"].get("report")
        if not report or report["split"] != "test":
            left_out.append(path)
            continue
        try:
            run = run_of(record, path.parent.name)
        except KeyError as key:
            raise SystemExit(f"{path} has no {key}: it is of another version") from key
        runs = cells[run.axes, run.settings]
        if same := [other.folder for other in runs if other.seed == run.seed]:
            raise SystemExit(f"two records of one run: {same[0]} and {path}: remove one of them")
        runs.append(run)
    return cells, left_out


def run_of(record: Mapping[str, Any], folder: str) -> Run:
    """The run of a record that has a score on test.

    Raises:
        KeyError: the record lacks a key.
    """
    report, floor = record["result"]["report"], record["result"]["floor"]
    return Run(
        axes=axes_of(record["config"]),
        settings=settings_of(record),
        seed=record["config"]["seed"],
        score=report["score"],
        num_unparseable=report["num_unparseable"],
        num_examples=report["num_examples"],
        floor=floor and (floor["majority"], floor["shortcut"], floor["shortcut_name"]),
        folder=folder,
        code=(record["commit"] or "no checkout")[:12] + (", changed" if record["dirty"] else ""),
    )


def varied_keys(cells: Cells) -> list[str]:
    """Settings in which cells of the same axes differ."""
    by_axes = defaultdict(list)
    for axes, settings in cells:
        by_axes[axes].append(settings)
    unequal = [frozenset.union(*s) - frozenset.intersection(*s) for s in by_axes.values()]
    return sorted({key for settings in unequal for key, _ in settings})


def variation(settings: Settings, keys: Sequence[str]) -> str:
    """The settings of `keys`, as text to append."""
    values = dict(settings)
    return "".join(f", {key}={values.get(key, '-')}" for key in keys)


def illegal_share(runs: Sequence[Run]) -> float:
    """Answers that are none of the task's, of all answers."""
    return sum(run.num_unparseable for run in runs) / sum(run.num_examples for run in runs)


def write_csv(path: Path, cells: Cells) -> None:
    """Every cell in full precision, with the folders of its runs."""
    keys = varied_keys(cells)
    header = [*AXES, "other_settings", "num_seeds", "mean", "sample_sd", "illegal_share"]
    rows = []
    for (axes, settings), runs in cells.items():
        scores = [run.score for run in runs]
        deviation = stdev(scores) if len(scores) > 1 else None
        numbers = [len(scores), fmean(scores), deviation, illegal_share(runs)]
        floor = runs[0].floor or (None, None, None)
        folders = " ".join(run.folder for run in runs)
        rows.append([*axes, variation(settings, keys)[2:], *numbers, *floor, folders])
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*header, "majority", "shortcut", "shortcut_name", "runs"])
        writer.writerows(sorted(rows, key=str))
