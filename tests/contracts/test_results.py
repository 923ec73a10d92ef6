"""What is committed in results/ is whole, and `ptune report` writes it again byte for byte."""

import re
import subprocess
import tomllib
from collections import Counter
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import matplotlib
import pytest

from prompt_tuning.bench.needs import describe_hours
from prompt_tuning.commands import report as report_command
from prompt_tuning.commands.report import plan
from prompt_tuning.composition import composed, planned_runs, points_of
from prompt_tuning.config import (
    IGNORED_KEYS,
    DoctorConfig,
    choices,
    config_hash,
    typed,
)
from prompt_tuning.report.artefact import PAPER, write
from prompt_tuning.report.catalogue import ARTEFACTS, chosen
from prompt_tuning.report.page import page
from prompt_tuning.report.paper import SIZES, paper_dir
from prompt_tuning.report.records import Library, portable, read_committed

REPOSITORY = Path(__file__).parents[2]
RESULTS = REPOSITORY / "results"
# Fonts and layout are matplotlib's: another version draws the same figure in other bytes.
DRAWN_BY = "3.11.2"


@pytest.fixture(scope="session")
def records():
    return read_committed(RESULTS / "runs")


@cache
def planned(experiment, *overrides):
    """Its runs, composed once for all tests."""
    return planned_runs(experiment, overrides)


@pytest.fixture(scope="session")
def report(records, tmp_path_factory):
    """Every artefact, from the committed records alone."""
    library, scratch = Library(records, IGNORED_KEYS), tmp_path_factory.mktemp("plans")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_command, "planned_runs", lambda name, own: planned(name, *own))
        return [
            artefact.filled(plan(artefact, [], scratch), library)
            if artefact.models != PAPER or library.has_model(SIZES)
            else artefact
            for artefact in ARTEFACTS
        ]


@pytest.mark.parametrize("experiment", choices("experiment"))
def test_an_experiment_has_valid_runs_and_says_how_many_and_what_they_cost(experiment):
    """Without -m the cost is said: of the paper's models, what `ptune doctor` adds up."""
    runs = planned(experiment)
    number = len({repr(config) for config in runs})
    text = (REPOSITORY / "conf" / "experiment" / f"{experiment}.yaml").read_text()
    assert re.search(rf"^# .*\b{number} runs\b", text, re.MULTILINE), number
    (cost,) = re.findall(r"\bCost: (.*)", text)
    if estimate := re.match(r"about ([\d,]+) hours of an A100", cost):
        cfg = composed("doctor", [f"experiment={experiment}"])
        hours = dict(describe_hours(runs, typed(DoctorConfig, cfg)))["all"]
        assert hours.startswith(f"{estimate[1]} GPU hours")


def test_every_experiment_is_part_of_an_artefact():
    """One that is not could be run for weeks and would show nowhere."""
    shown = {experiment for artefact in ARTEFACTS for experiment in artefact.experiments}
    assert {*choices("experiment")} <= shown
    assert len({artefact.name for artefact in ARTEFACTS}) == len(ARTEFACTS)


def test_the_heads_of_an_artefacts_own_experiments_show_the_commands_for_all_of_it():
    """What it takes from those of another artefact is made by that one's commands."""
    for artefact in ARTEFACTS:
        for experiment, *overrides in artefact.sweeps:
            if experiment.startswith(artefact.name):
                head = (REPOSITORY / "conf" / "experiment" / f"{experiment}.yaml").read_text()
                assert " ".join(["ptune train -m", f"experiment={experiment}", *overrides]) in head


def test_results_are_few_enough_files_to_read():
    tracked = ["git", "-C", str(REPOSITORY), "ls-files", "results"]
    listed = subprocess.run(tracked, check=True, capture_output=True, text=True).stdout.split()
    assert 0 < len(listed) <= 150


def test_published_numbers_travel_in_the_wheel():
    wheel = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    included = wheel["targets"]["wheel"]["force-include"]
    assert included["results/paper"] == "prompt_tuning/_paper"
    assert paper_dir() == RESULTS / "paper"


def test_committed_records_are_records_of_runs(records):
    """Each once, named by its config's hash, without a path of the machine that made it."""
    assert Counter(record.content["kind"] for record in records)["train"] >= 861
    assert len({record.name for record in records}) == len(records)
    for record in records:
        assert portable(record.content) == record.content, record.name
        if record.content["kind"] == "inspect":  # named by its prompt too
            assert record.content["members"], record.name
        else:
            assert record.name.endswith(record.content["config_hash"]), record.name
    for path in (RESULTS / "runs").glob("*.jsonl"):
        chosen(path.stem)
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines == sorted({*lines}), path
    for path in (RESULTS / "bench.jsonl", *(RESULTS / "runs").glob("*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert not [line for line in lines if '"/' in line or "=/" in line], path


def test_todays_hash_of_every_committed_run_is_the_one_that_it_has(records):
    """Recomputed from what its experiment asks for today, under the budget that it had."""
    library, checked = Library(records, IGNORED_KEYS), set()
    ours = [artefact for artefact in ARTEFACTS if artefact.models != PAPER]
    for experiment, *overrides in {sweep for artefact in ours for sweep in artefact.sweeps}:
        for run in planned(experiment, *overrides):
            record = library.find("train", [asdict(run)])
            if record is None:
                continue
            had = record.content["config"]["machine"]["max_tokens_per_micro_batch"]
            machine = replace(run.machine, max_tokens_per_micro_batch=had, device="cpu")
            assert config_hash(replace(run, machine=machine)) == record.content["config_hash"]
            checked.add(record.name)
    assert checked == {record.name for record in records if record.content["kind"] == "train"}


def test_no_record_is_left_out_of_the_report(records, report):
    shown = {record.name for artefact in report for record in artefact.records}
    assert {record.name for record in records} == shown


def test_every_recorded_command_still_starts_its_run(records):
    """It is composed by today's config, and its experiment is the one that the record names.

    Of commands that differ in values alone, one is composed.
    """
    one_of_each = {
        frozenset(re.sub("^(?!experiment)(.*?)=.*", r"\1", word) for word in command): command
        for command in sorted({tuple(record.content["command"]) for record in records})
    }
    for program, command, *arguments in one_of_each.values():
        assert program == "ptune"
        overrides = [argument for argument in arguments if argument != "-m"]
        points_of(command, overrides, multirun="-m" in arguments, only_first=True)
    for record in records:
        if record.content["kind"] == "train":
            experiment = f"experiment={record.content['config']['experiment']}"
            assert experiment in record.content["command"], record.name


def without_figures(path):
    return re.sub("<svg.*?</svg>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_tables_figures_and_page_regenerate_byte_for_byte(report, tmp_path):
    write(report, tmp_path)
    (tmp_path / "report.html").write_text(page(report), encoding="utf-8")
    made = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.*") if path.suffix != ".png"}
    committed = {
        path.relative_to(RESULTS)
        for folder in ("tables", "figures")
        for path in (RESULTS / folder).iterdir()
        if path.suffix != ".png"  # drawn beside the SVG and not committed
    }
    assert made == {*committed, Path("report.html")}
    for path in sorted(made):
        ours, theirs = (folder / path for folder in (tmp_path, RESULTS))
        if matplotlib.__version__ == DRAWN_BY:
            assert ours.read_bytes() == theirs.read_bytes(), path
        elif path.suffix != ".svg":
            assert without_figures(ours) == without_figures(theirs), path
