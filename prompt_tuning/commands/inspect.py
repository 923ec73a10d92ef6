"""`ptune inspect`: what trained prompts look like among the vocabulary."""

from dataclasses import replace

from omegaconf import DictConfig

from prompt_tuning.commands.plans import planned_runs, trained_runs
from prompt_tuning.config import InspectConfig, TrainConfig, inspect_config
from prompt_tuning.config_reading import choices
from prompt_tuning.errors import UserError, did_you_mean
from prompt_tuning.task_data import task_of


def check(cfg: DictConfig) -> InspectConfig:
    """What to look at, or why not; loads no model."""
    config = inspect_config(cfg)
    if config.task is not None:
        task_of(config.task)
    if config.of is None:
        return config
    experiments = choices("experiment")
    if config.of not in experiments:
        raise UserError(
            f"experiment={config.of}: there is no such experiment",
            allowed=", ".join(experiments),
            fix=did_you_mean(config.of, experiments) or "ptune list what=experiment",
        )
    without = [run for run in planned_runs(config.of, config.train) if run.prompt.length is None]
    if without:
        raise UserError(
            f"experiment={config.of} has {len(without)} runs without a soft prompt "
            f"(method={without[0].method})",
            fix="choose an experiment of prompt tuning: ptune list what=experiment",
        )
    return config


def run(config: InspectConfig) -> None:
    """Looks at one prompt, or at every prompt of an experiment; trains those that are missing."""
    from prompt_tuning.runs.prompt_inspection import inspect  # imports torch

    if config.of is None:
        inspect(config)
        return
    machine = [f"output_dir={config.output_dir}", f"tracking={config.tracking.name}"]
    for run_config, folder in trained_runs(config.of, [*machine, *config.train]):
        inspect(_of_run(config, run_config, str(folder.prompt_path)))


def _of_run(config: InspectConfig, run_config: TrainConfig, path: str) -> InspectConfig:
    """The inspection of one run's prompt: everything that it does not ask for is the run's."""
    return replace(
        config,
        prompt=path,
        of=None,
        train=[],
        model=run_config.model,
        variant=run_config.variant,
        task=run_config.task,
        data=run_config.data,
    )
