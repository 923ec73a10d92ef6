"""The runs that an experiment of conf/ asks for."""

from collections.abc import Sequence

from prompt_tuning.commands import train
from prompt_tuning.commands.composition import own_overrides, points_of
from prompt_tuning.config import TrainConfig, train_config
from prompt_tuning.errors import raise_all
from prompt_tuning.run_folder import RunFolder


def planned_runs(experiment: str, overrides: Sequence[str] = ()) -> list[TrainConfig]:
    """Every run of `ptune train -m experiment=<experiment> <overrides>`, in its order.

    Whether the data is there is not looked at.

    Raises:
        UserError: there is no such experiment, or an override is wrong.
    """
    return [config for _, config in planned_points(experiment, overrides)]


def planned_points(experiment: str, overrides: Sequence[str] = ()) -> list[tuple[str, TrainConfig]]:
    """Those runs, each with the overrides that it alone has; raises as `planned_runs`."""
    arguments = [f"experiment={experiment}", *overrides]
    points, problems = points_of("train", arguments, multirun=True)
    raise_all(problems)
    configs = [train_config(point.config) for point in points]
    return list(zip(own_overrides(points), configs, strict=True))


def trained_runs(
    experiment: str, overrides: Sequence[str] = ()
) -> list[tuple[TrainConfig, RunFolder]]:
    """The runs of an experiment, all finished: those that were not are trained, one by one.

    Raises:
        UserError: as `planned_runs`, or a run cannot be trained.
        InProgress: another process has claimed one of them.
    """
    runs = [(config, train.folder_of(config)) for config in planned_runs(experiment, overrides)]
    for config, folder in runs:
        if folder.record() is None:
            train.run(config)
    return runs
