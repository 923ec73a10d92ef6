"""What this project asks of Hydra: launchers, sweepers, and the one private name that it uses."""

import ast
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from hydra.experimental.callback import Callback

import prompt_tuning
from prompt_tuning import cli, hydra_app
from prompt_tuning.config import config_dir
from prompt_tuning.errors import UserError
from prompt_tuning.hydra_app import PLUGINS, check_plugins
from prompt_tuning.training import tuning

SEEN = []  # what Hydra has got back from each run


class Seen(Callback):
    """A callback of Hydra's, which sees what a sweeper would."""

    def on_job_end(self, config, job_return, **kwargs):
        SEEN.append(job_return.return_value)


@pytest.mark.parametrize(
    ("report", "expected"), [({"score": 81.5}, 79.0), (None, 79.0)], ids=["report", "no report"]
)
def test_a_sweeper_gets_the_score_that_chose_the_step_and_never_the_reported_one(
    monkeypatch, tmp_path, report, expected
):
    """Of a run that failed it gets none; its trial is a failed one."""

    def train(config, folder):
        if config.seed == 1:
            raise UserError("no seed 1")
        folder.start({})
        folder.finish({"result": {"score": 79.0, "report": report}})

    SEEN.clear()
    monkeypatch.setattr(tuning, "train", train)
    monkeypatch.chdir(tmp_path)
    callback = f"+hydra.callbacks.seen._target_={__name__}.Seen"
    monkeypatch.setattr(sys, "argv", ["ptune", "train", "-m", "seed=0,1", callback])
    assert cli.main() == 2
    assert [expected, None] == SEEN


def test_one_name_of_hydras_is_private():
    """It may change without notice: Hydra's own parser reads flags anywhere on a line."""
    package = Path(prompt_tuning.__file__).parent
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in package.rglob("*.py")]
    imports = [
        node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    ]
    private = [node for node in imports if (node.module or "").startswith("hydra._internal")]
    names = [f"{node.module}.{each.name}" for node in private for each in node.names]
    assert names == ["hydra._internal.utils.get_args_parser"]
    given = hydra_app.get_args_parser().parse_intermixed_args(["a=1", "-m", "b=2", "--cfg", "job"])
    assert (given.overrides, given.multirun, given.cfg) == (["a=1", "b=2"], True, "job")
    assert not any((given.help, given.hydra_help, given.shell_completion, given.info))
    assert not any((given.config_dir, given.config_path, given.config_name))


def test_every_file_of_hydras_groups_has_its_plugin():
    files = {path.relative_to(config_dir()) for path in (config_dir() / "hydra").glob("*/*.yaml")}
    assert {f"{path.parent.as_posix()}={path.stem}" for path in files} == {*PLUGINS}


@pytest.mark.parametrize("name", PLUGINS)
def test_a_launcher_that_is_not_installed_names_the_command_that_installs_it(monkeypatch, name):
    def missing(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(hydra_app, "version", missing)
    check_plugins(["hydra/launcher=basic", "seed=1"])
    with pytest.raises(UserError, match=rf"needs {PLUGINS[name][0]}") as caught:
        check_plugins([name])
    assert f"ptune[{PLUGINS[name][1]}]" in str(caught.value.fix)
