"""`ptune list`: what can be chosen, read from the heads of the files in conf/, and what has run."""

from pathlib import Path

from omegaconf import DictConfig

from prompt_tuning.commands.library import list_prompts
from prompt_tuning.commands.runs import list_runs
from prompt_tuning.config import ListConfig, typed
from prompt_tuning.config_reading import choices, config_dir
from prompt_tuning.errors import UserError, did_you_mean
from prompt_tuning.task_registry import CHOICES

GROUPS = ("model", "variant", "task", "init", "method", "recipe", "experiment", "tracking")
RUNS, PROMPTS = "runs", "prompts"


def check(cfg: DictConfig) -> ListConfig:
    """What to list, or why not."""
    config = typed(ListConfig, cfg)
    known = (*GROUPS, RUNS, PROMPTS)
    if config.what is not None and config.what not in known:
        fix = did_you_mean(config.what, known) or "ptune list"
        raise UserError(f"what={config.what} is no group", allowed=", ".join(known), fix=fix)
    experiments = choices("experiment")
    if config.of is not None and config.of not in experiments:
        raise UserError(
            f"experiment={config.of}: there is no such experiment",
            allowed=", ".join(experiments),
            fix=did_you_mean(config.of, experiments) or "ptune list what=experiment",
        )
    if config.what != RUNS and (config.of is not None or config.train):
        raise UserError("experiment= and train= belong to what=runs", fix="add what=runs")
    if config.what == PROMPTS and not Path(config.output_dir).is_dir():
        raise UserError(f"output_dir={config.output_dir} is not a folder", fix="name the library's")
    return config


def run(config: ListConfig) -> None:
    """Prints each group with its files and the first line of each; or runs; or prompts."""
    if config.what == RUNS:
        list_runs(Path(config.output_dir), config.of, config.train)
        return
    if config.what == PROMPTS:
        list_prompts(Path(config.output_dir))
        return
    groups = [config.what] if config.what else GROUPS
    width = max(len(name) for group in groups for name in choices(group))
    for group in groups:
        print(f"{group}=")
        for name in choices(group):
            print(f"  {name:<{width}}  {summary(group, name)}")


def summary(group: str, name: str) -> str:
    """A line about a choice: a task's own, or the first comment line of a file of conf/."""
    if group == "task":
        return CHOICES[name].about.splitlines()[0]
    lines = (config_dir() / group / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return next(line[2:] for line in lines if not line.startswith("# @package"))
