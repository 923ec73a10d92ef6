"""Records as runs leave them, without the runs: what tests of a report are made of."""

import copy
import json

from prompt_tuning.config import IGNORED_KEYS
from prompt_tuning.report.catalogue import chosen
from prompt_tuning.report.records import Library, read_committed, read_runs

FLOOR = {"majority": 50.0, "shortcut": 52.5, "shortcut_name": "bag of fields"}
CONFIG = {
    "task": {"name": "mini_rte", "report_split": "test"},
    "model": {"name": "ladder_400k", "checkpoints": {0: "a"}, "path": None},
    "variant": {"name": "lm_adapted", "lm_adapt_steps": 6000},
    "method": "prompt_tuning",
    "init": {"strategy": "class_label"},
    "prompt": {"length": 20, "num_shots": None, "template": None},
    "training": {"num_steps": 600},
    "evaluation": {"rank": None},
    "data": {"dir": None, "source": "auto", "cache_dir": "x"},
    "optimizer": {"learning_rate": 0.3},
    "machine": {"num_threads": None, "dtype": "auto"},
    "tracking": {"name": "none"},
    "output_dir": "runs",
    "experiment": None,
    "seed": 0,
}


def config(seed=0, **changed):
    """The config of a run; a dotted key is written with two underscores."""
    values = copy.deepcopy(CONFIG) | {"seed": seed}
    for key, value in changed.items():
        *sections, last = key.split("__")
        section = values
        for part in sections:
            section = section[part]
        section[last] = value
    return values


def answers(score, split="test"):
    counts = {"num_examples": 400, "num_unparseable": 0}
    return {"split": split, "score": score, "metrics": {"accuracy": score}, **counts}


def result(score, report=None, **more):
    on_test, floor = (None, None) if report is None else (answers(report), FLOOR)
    return {**answers(score, "validation"), "report": on_test, "floor": floor, **more}


def write_run(folder, cfg, came_out, *, name=None, fingerprint="f0", data="d0"):
    axes = (cfg["task"]["name"], cfg["model"]["name"], cfg["method"], cfg["prompt"]["length"])
    run = folder / (name or "-".join(map(str, (*axes, cfg["variant"]["name"], cfg["seed"]))))
    return write_record(
        run,
        "train",
        cfg,
        came_out,
        model={"fingerprint": fingerprint, "num_parameters": 464_192, "dtype": "float32"},
        data={"train": {"sha256": data}, "truncated_inputs": 0},
        duration_s=60.0,
    )


def write_record(run, kind, cfg, came_out, **more):
    """The record of a finished run of any command, in its folder."""
    about = {"finished_at": "2026-11-26T00:00:00+00:00", "commit": "c0ffee", "dirty": False}
    run.mkdir(parents=True)
    record = {"kind": kind, "config": cfg, "result": came_out, **about, **more}
    (run / "record.json").write_text(json.dumps(record))
    return run


def write_seeds(folder, scores, **changed):
    for seed, score in enumerate(scores):
        write_run(folder, config(seed, **changed), result(score - 1, score))


def library_of(folder):
    """The records of runs in a folder, and those committed in it."""
    return Library([*read_runs(folder), *read_committed(folder / "committed")], IGNORED_KEYS)


def filled(name, folder, *planned):
    """An artefact whose plan is given, from the records of a folder."""
    (artefact,) = chosen(name)
    return artefact.filled(planned, library_of(folder))


def seeds(**changed):
    return [config(seed, **changed) for seed in range(3)]


def row(made, *start):
    (found,) = [[*row] for row in made.table.rows if [*row[: len(start)]] == [*start]]
    return found[len(start) :]
