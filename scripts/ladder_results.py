#!/usr/bin/env python
"""Writes the ladder's tables from the records of its runs; every number comes from a record.

    python scripts/ladder_results.py runs --checkpoints ladder \
        --output results/ladder.md --csv results/ladder.csv

Rows and columns are those of conf/experiment/*_ladder.yaml.
"""

import argparse
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from ladder_records import (
    AXES,
    MIN_SEEDS,
    Axes,
    Cells,
    Run,
    axes_of,
    illegal_share,
    read_cells,
    read_records,
    variation,
    varied_keys,
    write_csv,
)
from result_tables import markdown, spread

from prompt_tuning.commands.composition import configs_of
from prompt_tuning.config import train_config

SHOWN_ILLEGAL_SHARE = 0.01  # of a cell's answers
Plan = Sequence[tuple[Axes, int]]  # axes and seed of every run that a question asks for


class Question(NamedTuple):
    """A table: the axes that make its rows, and the sweeps of conf/experiment/ that fill it."""

    title: str
    rows: tuple[str, ...]
    sweeps: tuple[str, ...]


def both(experiment: str, squad: str = "init=sampled_vocab") -> tuple[str, ...]:
    """An experiment, and the same on mini_squad, which has no class labels."""
    sweep = f"experiment={experiment}"
    return (sweep, f"{sweep} task=mini_squad {squad}".rstrip())


QUESTIONS = (
    Question(
        "Control",
        ("method", "variant", "lm_adapt_steps"),
        (*both("control_ladder"), *both("control_ladder_model_tuning", "")),
    ),
    Question(
        "Pre-training objective", ("model", "variant", "lm_adapt_steps"), both("fig3c_ladder")
    ),
    Question("Steps of LM adaptation", ("model", "lm_adapt_steps"), both("fig3d_ladder")),
    Question("Prompt length", ("model", "length"), both("fig3a_ladder")),
    Question(
        "Initialisation",
        ("model", "init"),
        both("fig3b_ladder", "init=random_uniform,sampled_vocab"),
    ),
    Question(
        "Size",
        ("method", "model", "variant", "lm_adapt_steps"),
        (*both("fig1_ladder"), *both("fig1_ladder_model_tuning", "")),
    ),
)


def planned(question: Question) -> Plan:
    """The runs that the question's sweeps ask for."""
    plan: dict[tuple[Axes, int], None] = {}  # ordered, each once
    for sweep in question.sweeps:
        configs, problems = configs_of("train", shlex.split(sweep))
        assert not problems, problems
        for config in map(train_config, configs):
            plan[axes_of(asdict(config)), config.seed] = None
    return list(plan)


def label(question: Question, axes: Axes) -> str:
    """A run's row in the table of a question."""
    values = dict(zip(AXES, axes, strict=True))
    return ", ".join(str(values[name]) for name in question.rows)


def cell_text(runs: Sequence[Run]) -> str:
    """Mean, deviation, seeds, a dagger if they are few, and the share of illegal answers."""
    few = "†" if len(runs) < MIN_SEEDS else ""
    text = spread([run.score for run in runs]) + few
    share = illegal_share(runs)
    return text if share <= SHOWN_ILLEGAL_SHARE else f"{text}, illegal {100 * share:.1f} %"


def question_lines(question: Question, plan: Plan, cells: Cells) -> list[str]:
    """A question: its table, the rows' means over tasks, and the runs that have no record."""
    asked = {axes: label(question, axes) for axes, _ in plan}
    tasks = list(dict.fromkeys(axes[0] for axes in asked))
    order = list(dict.fromkeys(asked.values()))
    found = {key: runs for key, runs in cells.items() if key[0] in asked}
    keys = varied_keys(found)
    rows: dict[str, dict[str, list[Run]]] = defaultdict(dict)
    for axes, text in sorted(asked.items(), key=lambda item: order.index(item[1])):
        for (other, settings), runs in found.items():
            if other == axes:
                rows[text + variation(settings, keys)][axes[0]] = runs
    comparable = [task for task in tasks if {asked[a] for a in asked if a[0] == task} == {*order}]
    floors = {task: floors_of(row.get(task, ()) for row in rows.values()) for task in tasks}
    table = [
        [text, *(cell_text(row[task]) if task in row else None for task in tasks)]
        for text, row in rows.items()
    ]
    majorities = ["; ".join(f"{f[0]:.1f}" for f in floors[task]) or None for task in tasks]
    shortcuts = ["; ".join(f"{f[1]:.1f} ({f[2]})" for f in floors[task]) or None for task in tasks]
    table += [["floor: majority", *majorities], ["floor: best shortcut", *shortcuts]]
    return [
        *(f"## {question.title}", "", shared_text(question, [*asked]), ""),
        *(markdown([", ".join(question.rows), *tasks], table) if rows else []),
        *((mean_text(rows, floors, comparable), "") if rows else ()),
        *(missing_text(question, plan, found), ""),
    ]


def floors_of(cells: Iterable[Sequence[Run]]) -> list[tuple[float, float, str]]:
    """The floors in the records of a column: one, unless they are of different items."""
    return sorted({run.floor for runs in cells for run in runs if run.floor})


def mean_text(
    rows: Mapping[str, Mapping[str, Sequence[Run]]],
    floors: Mapping[str, Sequence[tuple[float, float, str]]],
    comparable: Sequence[str],
) -> str:
    """Every row's mean over the same tasks; of a row that lacks one of them, a dash.

    Args:
        rows: cells by row and task.
        floors: by task.
        comparable: the tasks that the plan has in every row.
    """
    tasks = [task for task in comparable if any(task in row for row in rows.values())]
    if not tasks:
        return "Mean over tasks: -."
    means = []
    for text, row in rows.items():
        mean = "-"
        if all(task in row for task in tasks):
            few = "†" if any(len(row[task]) < MIN_SEEDS for task in tasks) else ""
            mean = f"{fmean(fmean(run.score for run in row[task]) for task in tasks):.1f}{few}"
        means.append(f"{text}: {mean}")
    if all(len(floors[task]) == 1 for task in tasks):
        means.append(f"majority: {fmean(floors[task][0][0] for task in tasks):.1f}")
        means.append(f"best shortcut: {fmean(floors[task][0][1] for task in tasks):.1f}")
    return f"Mean over tasks ({', '.join(tasks)}): {'; '.join(means)}."


def shared_text(question: Question, asked: Sequence[Axes]) -> str:
    """The axes that make no row; where tasks differ in one, whose value it is."""
    texts = []
    for index, name in enumerate(AXES):
        tasks: dict[Any, list[str]] = defaultdict(list)
        for axes in asked:
            if name not in ("task", *question.rows) and axes[index] is not None:
                tasks[axes[index]].append(axes[0])
        for value, of in tasks.items():
            whose = "" if len(tasks) == 1 else f" ({', '.join(dict.fromkeys(of))})"
            texts.append(f"{name}={value}{whose}")
    experiments = dict.fromkeys(sweep.split()[0] for sweep in question.sweeps)
    return f"`{'`, `'.join(experiments)}`: {', '.join(texts)}."


def missing_text(question: Question, plan: Plan, cells: Cells) -> str:
    """Which of the question's runs have no record: row, tasks, seeds."""
    done = {(axes, run.seed) for (axes, _), runs in cells.items() for run in runs}
    seeds: dict[Axes, list[str]] = defaultdict(list)
    for axes, seed in plan:
        if (axes, seed) not in done:
            seeds[axes].append(str(seed))
    tasks: dict[tuple[str, str], list[str]] = defaultdict(list)
    for axes, of in seeds.items():
        tasks[label(question, axes), " ".join(of)].append(axes[0])
    places = [f"{row} on {', '.join(names)}, seed {of}" for (row, of), names in tasks.items()]
    which = f" ({'; '.join(places)})" if places and done else ""
    return f"Missing: {sum(map(len, seeds.values()))} of {len(plan)} runs{which}."


def report_lines(cells: Cells, left_out: Sequence[Path]) -> list[str]:
    """Everything about the tuning runs."""
    codes = Counter(run.code for runs in cells.values() for run in runs)
    commits = "; ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
    lines = [
        "# Results of the embedded ladder",
        "",
        "Generated by `scripts/ladder_results.py` from the records of runs; not edited by hand.",
        "Scores on test, in percent: mean ± sample standard deviation (ddof=1) over seeds (number",
        f"of seeds); † has fewer than {MIN_SEEDS}. Illegal answers are none of the task's and are",
        f"wrong; their share is shown where it is above {100 * SHOWN_ILLEGAL_SHARE:.0f} %.",
        "",
        f"Records by commit: {commits}. Without a score on test, left out: {len(left_out)}"
        + "".join(f"; {path}" for path in left_out)
        + ".",
        "",
    ]
    plans = {question: planned(question) for question in QUESTIONS}
    for question, plan in plans.items():
        lines += question_lines(question, plan, cells)
    asked = {axes for plan in plans.values() for axes, _ in plan}
    rest = {key: runs for key, runs in cells.items() if key[0] not in asked}
    keys = varied_keys(rest)
    table = [
        [*axes, variation(s, keys)[2:] or None, cell_text(runs)] for (axes, s), runs in rest.items()
    ]
    if table:
        header = [*AXES, "other settings", "score"]
        lines += [
            "## Runs that no question asks for",
            "",
            *markdown(header, sorted(table, key=str)),
        ]
    return lines


def checkpoint_lines(folder: Path) -> list[str]:
    """The pre-training runs under a folder, smallest model first, then as they were finished."""
    records = read_records(folder, ("pretrain", "adapt")).values()
    table = []
    for record in sorted(records, key=lambda r: (r["num_parameters"], r["finished_at"])):
        config, result = record["config"], record["result"]
        probes = result.get("probes", {}).items()
        table.append(
            {
                "name": config["name"],
                "parameters": f"{record['num_parameters']:,}",
                "command": record["kind"],
                "from": Path(config["checkpoint"] or "random weights").name,
                "objective": config["objective"]["name"],
                "steps": config["pretraining"]["num_steps"],
                "learning rate": config["pretraining"]["learning_rate"],
                "tokens": f"{result['num_tokens']:,}",
                "held-out loss": f"{result['held_out_loss']:.4f}",
                "probes": ", ".join(f"{kind} {share:.2f}" for kind, share in probes) or None,
                "seconds": f"{record['duration_s']:.0f}",
                "seed": config["seed"],
            }
        )
    rows = markdown([*table[0]], [[*row.values()] for row in table]) if table else ["No records."]
    return ["## Pre-training", "", *rows]


def main() -> None:
    """Parses the command line and writes both files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, help="folder of `ptune train`")
    parser.add_argument("--checkpoints", type=Path, help="folder of `ptune pretrain` and `adapt`")
    parser.add_argument("--output", type=Path, required=True, help="a Markdown file")
    parser.add_argument("--csv", type=Path, required=True, help="every cell, in full precision")
    arguments = parser.parse_args()
    cells, left_out = read_cells(arguments.runs)
    if not cells:
        parser.error(f"{arguments.runs} has no record of a mini task's score on test")
    lines = report_lines(cells, left_out)
    if arguments.checkpoints:
        lines += checkpoint_lines(arguments.checkpoints)
    for path in (arguments.output, arguments.csv):
        path.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    write_csv(arguments.csv, cells)


if __name__ == "__main__":
    main()
