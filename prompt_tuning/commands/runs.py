"""`ptune list what=runs`: how far the runs of experiments are, and which runs are of none."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from prompt_tuning.commands.plans import planned_points
from prompt_tuning.config import run_name
from prompt_tuning.config_reading import choices
from prompt_tuning.run_folder import STATES, RunFolder, RunState


def list_runs(output_dir: Path, experiment: str | None, overrides: Sequence[str]) -> None:
    """Prints the runs of one experiment that are not done, or a line for every experiment.

    Only experiments that have a run in `output_dir` have a line: composing the points of all of
    them takes a minute.

    Args:
        output_dir: where the runs' folders are.
        experiment: None: all that have been started, then the runs that none of these asks for.
        overrides: of `ptune train`, that the runs were started with.

    Raises:
        UserError: the experiment does not take the overrides.
    """
    found = _started(output_dir)
    known = choices("experiment")
    names = [experiment] if experiment else [name for name in known if name in found.values()]
    width = max([len(name) for name in names], default=0)
    if names:
        print(" " * width, *(f"{name:>8}" for name in STATES), f"{'of':>8}", flush=True)
    asked_for: set[str] = set()
    for name in names:
        planned = {run_name(config): own for own, config in planned_points(name, overrides)}
        states = {run: RunFolder(output_dir / run).state() for run in planned}
        print(f"{name:<{width}}", _counts(states.values()), f"{len(states):>8}", flush=True)
        if experiment:
            _print_unfinished(planned, states)
        asked_for |= {*planned}
    if not experiment:
        _print_others(output_dir, [run for run in found if run not in asked_for])
        print(f"no run yet of: {', '.join(name for name in known if name not in names)}")


def _started(output_dir: Path) -> dict[str, str | None]:
    """The experiment under which each run of `output_dir` was started, by the run's name."""
    started: dict[str, str | None] = {}
    for path in sorted(output_dir.glob("*/config.json")):
        config = json.loads(path.read_text(encoding="utf-8"))
        started[path.parent.name] = config.get("experiment")
    for path in sorted(output_dir.glob("*/failure.json")):
        started.setdefault(path.parent.name, None)  # it failed before it had a config
    return started


def _counts(states: Iterable[RunState]) -> str:
    counted = Counter(state.name for state in states)
    return " ".join(f"{counted[name]:>8}" for name in STATES)


def _print_unfinished(planned: dict[str, str], states: dict[str, RunState]) -> None:
    """Each run that is not done: state, name, what distinguishes it from the others, reason."""
    for run, state in states.items():
        if state.name != "done":
            print(_line(state, run))
            print(f"{'':9} {planned[run]}")


def _print_others(output_dir: Path, others: Sequence[str]) -> None:
    """The runs that no experiment with a line asks for."""
    if others:
        print(f"{len(others)} runs in {output_dir} that no experiment above asks for:")
    for run in others:
        print(_line(RunFolder(output_dir / run).state(), run))


def _line(state: RunState, run: str) -> str:
    detail = state.detail.replace("\n", f"\n{'':9} ")
    return f"  {state.name:<7} {run}" + (f"\n{'':9} {detail}" if detail else "")
