"""`ptune evaluate`: a saved prompt on any task and split."""

from omegaconf import DictConfig

from prompt_tuning.config import EvaluateConfig
from prompt_tuning.config_checks import evaluate_config
from prompt_tuning.task_data import check_data, check_rank, task_of


def check(cfg: DictConfig) -> EvaluateConfig:
    """The evaluation, or everything that is wrong with it."""
    config = evaluate_config(cfg)
    task = task_of(config.task)
    check_rank(task, config.evaluation)
    check_data(task, config.data, (config.split,))
    return config


def run(config: EvaluateConfig) -> None:
    """Evaluates; prints the closing line itself."""
    from prompt_tuning.runs.prompt_evaluation import evaluate

    evaluate(config)
