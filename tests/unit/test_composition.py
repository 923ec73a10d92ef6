"""Composing many runs at once gives what Hydra composes one by one."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from prompt_tuning.composition import points_of
from prompt_tuning.config import config_dir


def values(config):
    """Without what is Hydra's own, and with its interpolations as they stand."""
    return OmegaConf.to_container(OmegaConf.masked_copy(config, [*config]), resolve=False)


@pytest.mark.parametrize(
    "swept",
    [
        ["task=rte,squad,mini_rte", "recipe=mini,paper", "seed=0,1"],
        ["task=boolq,mini_boolq", "task.report_split=test", "evaluation.every_steps=5,9"],
        ["method=multitask_model_tuning", "task=superglue,mini_superglue"],
    ],
)
def test_a_sweep_over_tasks_has_the_configs_that_hydra_composes(swept):
    """A task is put in place of another one, and values are set, without composing again."""
    points = points_of("train", swept, multirun=True)
    expanded = [[]]
    for axis in swept:
        key, _, choices = axis.partition("=")
        values_of = choices.split(",")
        expanded = [[*point, f"{key}={value}"] for point in expanded for value in values_of]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        expected = [values(compose("train", point)) for point in expanded]
    assert [values(point.config) for point in points] == expected
