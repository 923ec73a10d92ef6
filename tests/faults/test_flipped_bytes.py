"""Single bytes of a finished run's files that are not what was written: no command breaks."""

import random
import shutil
from contextlib import suppress
from dataclasses import asdict

import pytest
from faults.damages import RUN
from made_records import filled
from quick_runs import train_config_of

from prompt_tuning import api
from prompt_tuning.commands import compare, train
from prompt_tuning.commands.list import list_runs
from prompt_tuning.config import CompareConfig
from prompt_tuning.errors import UserError
from prompt_tuning.report.records import commit
from prompt_tuning.run_folder import RunFolder
from prompt_tuning.training import tuning

FLIPS = 60  # of each file, a quarter of them where `-m faults` does not ask for all


@pytest.fixture
def run(finished, tmp_path, monkeypatch):
    """A copy of that run, the only one in runs/; it is in whole/ too."""
    for name in ("runs", "whole"):
        shutil.copytree(finished / "runs", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    (record,) = tmp_path.glob("runs/*/record.json")
    return record.parent


@pytest.fixture(scope="module")
def config():
    """That run's."""
    return train_config_of(*RUN[1:])


def flipped(path, number):
    """Copies of a file, in each one bit of one byte another; the same at every run."""
    content, rng = path.read_bytes(), random.Random(path.name)
    copies = [bytearray(content) for _ in range(number)]
    for copy in copies:
        copy[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return [bytes(copy) for copy in copies]


def is_listed(run, config):
    list_runs(run.parent, None, [])


def is_compared(run, config):
    (whole,) = run.parents[1].glob("whole/*/record.json")
    with suppress(UserError):  # its config is damaged
        compare.run(CompareConfig([str(run), str(whole.parent)], picture=None))


def is_trained(run, config):
    train.run(config)


def is_reported(run, config):
    for name in ("fig3a_ladder", "table5_ladder"):
        artefact = filled(name, run.parent, asdict(config))
        assert artefact.markdown
    committed = run.parents[1] / "committed"
    commit({artefact.name: artefact.records}, committed)
    shutil.rmtree(committed, ignore_errors=True)  # of a damaged record nothing is written


def is_a_row_of_a_frame(run, config):
    assert len(api.runs(run.parent)) == int(RunFolder(run).record() is not None)
    assert len(api.Run(run, {}).history) <= 5


@pytest.mark.parametrize(
    "name", ["record.json", "config.json", "metrics.jsonl", "predictions/report.jsonl"]
)
def test_a_run_with_a_flipped_byte_is_used_or_told_of(name, run, config, monkeypatch, pytestconfig):
    """A run whose record is damaged is done again, which is not our matter here."""
    monkeypatch.setattr(tuning, "train", lambda config, folder: None)
    number = FLIPS if "faults" in pytestconfig.getoption("-m") else FLIPS // 4
    for copy in [*flipped(run / name, number), (run / name).read_bytes()]:
        (run / name).write_bytes(copy)
        for use in (is_listed, is_compared, is_trained, is_reported, is_a_row_of_a_frame):
            use(run, config)


def test_a_flipped_byte_never_changes_what_a_record_says(run):
    """It is no record then, unless the byte is white space or in the name of the checksum."""
    folder = RunFolder(run)
    whole, num_kept = folder.record(), 0
    assert whole is not None and "checksum" not in whole
    copies = flipped(folder.record_path, 10 * FLIPS)
    for copy in copies:
        folder.record_path.write_bytes(copy)
        found = folder.record()
        num_kept += found is not None
        assert found is None or {**found, **whole} == found
    assert num_kept < len(copies) / 10
