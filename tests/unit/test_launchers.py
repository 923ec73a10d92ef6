"""Parallel launchers: threads for each job, and a plugin that is missing."""

import pytest
from omegaconf import OmegaConf

from prompt_tuning.commands import launchers
from prompt_tuning.commands.launchers import PLUGINS, check_launchers, threads_of_a_job
from prompt_tuning.config_reading import config_dir
from prompt_tuning.errors import UserError


@pytest.mark.parametrize(
    ("launcher", "threads"),
    [
        ({"n_jobs": 2}, 4),
        ({"n_jobs": 3}, 2),
        ({"n_jobs": 16}, 1),
        ({"n_jobs": -1}, 1),
        ({"n_jobs": -5}, 2),
        ({"cpus_per_task": 6}, 6),
        ({"cpus_per_task": None}, None),
        ({"ray": {"remote": {"num_cpus": 3}}}, 3),
        ({"ray": {"remote": {}}}, None),
        ({}, None),
    ],
)
def test_the_cores_are_divided_among_the_jobs(
    launcher: dict[str, object], threads: int | None
) -> None:
    """Eight cores. Jobs that each take all of them wait for each other."""
    assert threads_of_a_job(OmegaConf.create(launcher), num_cores=8) == threads


def test_every_launcher_file_has_its_plugin() -> None:
    files = {path.stem for path in (config_dir() / "hydra" / "launcher").glob("*.yaml")}
    assert files == {*PLUGINS}


@pytest.mark.parametrize("name", PLUGINS)
def test_a_launcher_that_is_not_installed_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def missing(package: str) -> str:
        raise launchers.PackageNotFoundError(package)

    monkeypatch.setattr(launchers, "version", missing)
    check_launchers(["hydra/launcher=basic", "seed=1"])
    with pytest.raises(UserError, match=rf"needs {PLUGINS[name][0]}") as caught:
        check_launchers([f"hydra/launcher={name}"])
    assert f"ptune[{PLUGINS[name][1]}]" in str(caught.value.fix)
