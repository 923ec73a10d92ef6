"""`ptune list`: what can be chosen in conf/, how far runs are, which prompts a folder has."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig
from rich.table import Table

from prompt_tuning.composition import choices_with, own_files_now, planned_points
from prompt_tuning.config import ListConfig, config_dir, run_name, typed
from prompt_tuning.errors import UserError, did_you_mean, printable
from prompt_tuning.prompt_files import library_paths, load_prompt
from prompt_tuning.run_folder import STATES, RunFolder, RunState
from prompt_tuning.sweeps import Sweep, SweepRun
from prompt_tuning.task_registry import CHOICES
from prompt_tuning.terminal import print_table

GROUPS = ("model", "variant", "task", "init", "method", "recipe", "experiment", "tracking")
RUNS, PROMPTS = "runs", "prompts"
PROMPT_COLUMNS = ("name", "task", "model", "variant", "init", "size", "score", "step")


def check(cfg: DictConfig) -> ListConfig:
    config = typed(ListConfig, cfg)
    known = (*GROUPS, RUNS, PROMPTS)
    if config.what is not None and config.what not in known:
        fix = did_you_mean(config.what, known) or "ptune list"
        raise UserError(f"what={config.what} is no group", allowed=", ".join(known), fix=fix)
    if config.what != RUNS and (config.experiment is not None or config.train):
        raise UserError("experiment= and train= belong to what=runs", fix="add what=runs")
    if config.what == PROMPTS and not Path(config.output_dir).is_dir():
        raise UserError(f"output_dir={config.output_dir} is not a folder", fix="name the library's")
    return config


def run(config: ListConfig) -> None:
    """Prints each group with its files and the first line of each; or runs; or prompts."""
    if config.what == RUNS:
        experiment = config.experiment.name if config.experiment else None
        list_runs(Path(config.output_dir), experiment, config.train)
    elif config.what == PROMPTS:
        list_prompts(Path(config.output_dir))
    else:
        list_groups([config.what] if config.what else GROUPS)


def list_groups(groups: Sequence[str]) -> None:
    """Prints what each file of the groups is, from its first line."""
    own_files = own_files_now()
    names = {group: choices_with(own_files, group) for group in groups}
    width = max(len(name) for group in groups for name in names[group])
    for group in groups:
        print(f"{group}=")
        for name in names[group]:
            print(f"  {name:<{width}}  {summary(group, name, own_files)}".rstrip())


def summary(group: str, name: str, own_files: Path | None) -> str:
    """A line about a choice: a task's own, or the first comment line of its file, if it has one."""
    if group == "task" and name in CHOICES:
        return CHOICES[name].about.splitlines()[0]
    path = config_dir() / group / f"{name}.yaml"
    if own_files is not None and not path.is_file():
        path = own_files / group / f"{name}.yaml"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    comments = (line[2:] for line in lines if line.startswith("# ") and "@package" not in line)
    return printable(next(comments, ""))


def list_runs(output_dir: Path, experiment: str | None, overrides: Sequence[str]) -> None:
    """Prints an experiment's runs that are not done and its scores, or a line for every experiment.

    Only experiments that have a run in `output_dir` have a line, and after them the runs that none
    of these asks for: composing the points of all of them takes a minute.

    Raises:
        UserError: the experiment does not take the overrides, those that its runs began with.
    """
    found = _started(output_dir)
    known = choices_with(own_files_now(), "experiment")
    names = [experiment] if experiment else [name for name in known if name in found.values()]
    width = max(map(len, names), default=0)
    if names:
        print(" " * width, *(f"{name:>8}" for name in STATES), f"{'of':>8}", flush=True)
    asked_for: set[str] = set()
    for name in names:
        points = planned_points(name, overrides)
        runs = [SweepRun(axes, RunFolder(output_dir / run_name(c))) for axes, c in points]
        states = {run.folder.name: run.folder.state() for run in runs}
        counted = Counter(state.name for state in states.values())
        counts = [*(counted[state] for state in STATES), len(states)]
        print(f"{name:<{width}}", *(f"{count:>8}" for count in counts), flush=True)
        if experiment:
            _print_runs(states, {run.folder.name: run.label for run in runs})
            Sweep(runs).print_results()
        asked_for |= {*states}
    if not experiment:
        if others := [run for run in found if run not in asked_for]:
            print(f"{len(others)} runs in {output_dir} that no experiment above asks for:")
        _print_runs({run: RunFolder(output_dir / run).state() for run in others})
        print(f"no run yet of: {', '.join(name for name in known if name not in names)}")


def _started(output_dir: Path) -> dict[str, str | None]:
    """The experiment under which each run of `output_dir` was started, by the run's name."""
    started = {
        path.parent.name: (RunFolder(path.parent).config() or {}).get("experiment")
        for path in sorted(output_dir.glob("*/config.json"))
    }
    for path in sorted(output_dir.glob("*/failure.json")):
        started.setdefault(path.parent.name, None)  # it failed before it had a config
    return started


def _print_runs(states: Mapping[str, RunState], own: Mapping[str, str] | None = None) -> None:
    """Each run that is not done: state, name, reason; what distinguishes it from the others."""
    for run, state in states.items():
        if own is None or state.name != "done":
            below = [*state.detail.splitlines(), *([own[run]] if own else [])]
            print("\n          ".join([f"  {state.name:<7} {printable(run)}", *below]))


def list_prompts(folder: Path) -> None:
    """A line for every prompt: what it is for, on which model, how well it did on dev.

    A file that cannot be read has the reason instead.
    """
    paths = library_paths(folder)
    table, unreadable = Table(*PROMPT_COLUMNS, box=None, pad_edge=False, header_style=""), []
    for name, path in paths.items():
        try:
            prompt = load_prompt(path)
        except UserError as error:
            unreadable.append(printable(f"{name}  {error.problem}"))
            continue
        known = prompt.metadata
        names = [str(known.get(key, "-")) for key in ("task", "model", "variant", "init")]
        score = "-" if known.get("score") is None else f"{known['score']:.2f}"
        size = f"{prompt.length}x{prompt.hidden_size}"
        table.add_row(printable(name), *names, size, score, str(known.get("step", "-")))
    print_table(table)
    print(*unreadable, sep="\n", end="\n" if unreadable else "")
    print(f"{len(paths)} prompts in {folder}: ptune predict library={folder} ...")
