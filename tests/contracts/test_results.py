"""What is committed in results/ is whole, and `ptune report` writes it again byte for byte."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest

from prompt_tuning.analysis.artefacts import ARTEFACTS, chosen
from prompt_tuning.analysis.building import build, write
from prompt_tuning.analysis.collecting import Library, record_paths
from prompt_tuning.analysis.paper import paper_dir, tolerances
from prompt_tuning.commands.report import plan
from prompt_tuning.config import NOT_IN_HASH, choices

REPOSITORY = Path(__file__).parents[2]
RESULTS = REPOSITORY / "results"
WRITTEN = sorted(path.stem for path in (RESULTS / "tables").glob("*.md"))


def test_every_experiment_is_part_of_an_artefact() -> None:
    """One that is not could be run for weeks and would show nowhere."""
    shown = {experiment for artefact in ARTEFACTS for experiment in artefact.experiments}
    assert {*choices("experiment")} <= shown
    assert len({artefact.name for artefact in ARTEFACTS}) == len(ARTEFACTS)


@pytest.mark.parametrize(
    ("name", "number"),
    [("fig1_ladder", 108), ("control_ladder", 48), ("table5_ladder", 48), ("table3_ladder", 180)],
)
def test_a_plan_is_what_the_experiments_ask_for(name: str, number: int) -> None:
    """And the heads of the experiments show the commands for all of it."""
    (artefact,) = chosen(name)
    assert len(plan(artefact, [])) >= number
    for experiment, *overrides in artefact.sweeps:
        if experiment in choices("experiment"):
            head = (REPOSITORY / "conf" / "experiment" / f"{experiment}.yaml").read_text()
            assert " ".join(["ptune train -m", f"experiment={experiment}", *overrides]) in head


def test_published_numbers_travel_in_the_wheel() -> None:
    wheel = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    included = wheel["targets"]["wheel"]["force-include"]
    assert included["results/paper"] == "prompt_tuning/_paper"
    assert paper_dir() == RESULTS / "paper"


def test_committed_records_are_records_of_runs() -> None:
    for path in record_paths(RESULTS / "absent", RESULTS / "runs"):
        record = json.loads(path.read_text(encoding="utf-8"))
        assert record["kind"] in ("train", "ensemble", "inspect"), path
        if record["kind"] == "inspect":  # named by its prompt too
            assert record["members"], path
        else:
            assert path.stem.endswith(record["config_hash"]), path


def test_tables_without_runs_are_committed() -> None:
    assert {"fig4", "table4"} <= {*WRITTEN}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_committed_table_regenerates_byte_for_byte(name: str, tmp_path: Path) -> None:
    """From the committed records alone. Figures are drawn by matplotlib, whose versions differ."""
    (artefact,) = chosen(name)
    library = Library(record_paths(tmp_path, RESULTS / "runs"), NOT_IN_HASH)
    is_planned = artefact.on_ladder or library.has_model(["small", "base", "large", "xl", "xxl"])
    plans = {name: plan(artefact, [])} if is_planned else {}
    write(build([artefact], plans, library, tolerances()), tmp_path)
    for ending in ("md", "csv"):
        committed = RESULTS / "tables" / f"{name}.{ending}"
        assert (tmp_path / "tables" / committed.name).read_bytes() == committed.read_bytes()
    shutil.rmtree(tmp_path / "figures")
