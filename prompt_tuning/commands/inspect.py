"""`ptune inspect`: what trained prompts look like among the vocabulary."""

from dataclasses import replace

from omegaconf import DictConfig

from prompt_tuning.commands.train import trained_runs
from prompt_tuning.composition import planned_runs
from prompt_tuning.config import InspectConfig, TrainConfig
from prompt_tuning.config_checks import inspect_config
from prompt_tuning.errors import UserError
from prompt_tuning.task_data import task_of


def check(cfg: DictConfig) -> InspectConfig:
    """What to look at, or why not; loads no model."""
    config = inspect_config(cfg)
    if config.task is not None:
        task_of(config.task)
    if config.experiment is None:
        return config
    name = config.experiment.name
    without = [run for run in planned_runs(name, config.train) if run.prompt.length is None]
    if without:
        raise UserError(
            f"experiment={name} has {len(without)} runs without a soft prompt "
            f"(method={without[0].method})",
            fix="choose an experiment of prompt tuning: ptune list what=experiment",
        )
    return config


def run(config: InspectConfig) -> None:
    """Looks at one prompt, or at every prompt of an experiment; trains those that are missing."""
    from prompt_tuning.runs.prompt_inspection import inspect  # imports torch

    if config.experiment is None:
        inspect(config)
        return
    machine = [f"output_dir={config.output_dir}", f"tracking={config.tracking.name}"]
    for run_config, folder in trained_runs(config.experiment.name, [*machine, *config.train]):
        inspect(_of_run(config, run_config, str(folder.prompt_path)))


def _of_run(config: InspectConfig, run_config: TrainConfig, path: str) -> InspectConfig:
    """The inspection of one run's prompt: everything that it does not ask for is the run's."""
    return replace(
        config,
        prompt=path,
        experiment=None,
        train=[],
        model=run_config.model,
        variant=run_config.variant,
        task=run_config.task,
        data=run_config.data,
    )
