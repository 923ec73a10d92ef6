"""The runs that an experiment of conf/ asks for."""

from collections.abc import Sequence

from prompt_tuning.commands.composition import configs_of
from prompt_tuning.config import TrainConfig, train_config
from prompt_tuning.errors import raise_all


def planned_runs(experiment: str, overrides: Sequence[str] = ()) -> list[TrainConfig]:
    """Every run of `ptune train -m experiment=<experiment> <overrides>`, in its order.

    Whether the data is there is not looked at.

    Raises:
        UserError: there is no such experiment, or an override is wrong.
    """
    arguments = [f"experiment={experiment}", *overrides]
    configs, problems = configs_of("train", arguments, multirun=True)
    raise_all(problems)
    return [train_config(config) for config in configs]
