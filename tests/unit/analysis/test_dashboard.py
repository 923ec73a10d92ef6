"""The W&B report as far as it goes without W&B: built, serialised, and refused with a reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from prompt_tuning.analysis import dashboard
from prompt_tuning.analysis.artefacts import chosen
from prompt_tuning.analysis.building import Section
from prompt_tuning.analysis.collecting import Found, Grid
from prompt_tuning.analysis.ensembles import Votes
from prompt_tuning.analysis.paper import tolerances
from prompt_tuning.ensembling import run as ensembles
from prompt_tuning.errors import UserError
from prompt_tuning.inspection import run as inspections
from prompt_tuning.train import outcome, tuning


@pytest.fixture
def sections() -> list[Section]:
    """One with a run, one without any."""
    found = Found("mini_rte-0a1b2c3d", Path("record.json"), "", {"model": {}})
    with_runs, without = Grid(num_planned=1, found=[({}, found)]), Grid(num_planned=1)
    grids = {"fig3a_ladder": with_runs, "fig3a": without}
    return [Section(chosen(name)[0], grid, tolerances()) for name, grid in grids.items()]


def test_the_report_groups_the_runs_of_a_figure_by_its_axes(
    sections: list[Section], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys are where tracking puts them: in the nested config and in the summary."""
    pytest.importorskip("wandb_workspaces", reason="the extra dashboard is not installed")
    from wandb_workspaces.reports.v2 import interface

    project = {"project": {"internalId": "x"}}
    monkeypatch.setattr(interface, "_get_api", lambda: None)
    monkeypatch.setattr(interface, "execute_graphql", lambda *_: project)
    report: Any = dashboard.make_report(sections, "ptune", "someone")
    spec = json.loads(report._to_model().model_dump_json(by_alias=True))["spec"]
    (grid,) = [block for block in spec["blocks"] if block["type"] == "panel-grid"]
    (runs,) = grid["metadata"]["runSets"]
    names = [key["name"] for key in runs["grouping"]]
    assert names == ["prompt.value.length", "model.value.name"]
    assert "mini_rte-0a1b2c3d" in json.dumps(runs["filters"])
    scatter, bars = grid["metadata"]["panelBankSectionConfig"]["panels"]
    assert scatter["config"]["xAxis"] == f"summary:{dashboard.PARAMETERS}"
    assert scatter["config"]["yAxis"] == "summary:report/score"
    assert bars["config"]["metrics"] == ["report/score"]


def test_sections_that_are_no_figure_show_their_own_values() -> None:
    """Under the names by which the commands log them."""
    transferred = {"result": {"transfer": {"mrpc": {}}}}
    found = [({}, Found("qqp-0", Path("record.json"), "", transferred))]
    ensemble = Found("ensemble-0", Path("record.json"), "", {"model": {}, "data": {}})
    votes = [Votes("ladder_400k", "mini_rte", found=[ensemble])]

    def of(name: str, **more: Any) -> dashboard.Shown:
        return dashboard.shown(Section(chosen(name)[0], Grid(found=found), tolerances(), **more))

    assert of("table2").values == ["transfer/mrpc/score"]
    assert of("table2").axes == ("method", "model.name", "task.name")
    of_votes = of("table3_ladder", votes=votes)
    assert of_votes.names == ["ensemble-0"]
    assert of_votes.values == ["average/score", "best/score", "ensemble/score"]
    assert "inspect/tightness" in of("section7_ladder").values
    for module, text in (
        (outcome, 'f"transfer/{name}"'),
        (inspections, 'f"inspect/{name}"'),
        (ensembles, '"score"'),
    ):
        assert text in Path(module.__file__).read_text(encoding="utf-8")


def test_a_run_has_in_its_summary_what_the_panels_ask_for() -> None:
    assert f'"{dashboard.PARAMETERS}"' in Path(tuning.__file__).read_text(encoding="utf-8")


def test_without_the_package_or_the_network_it_says_what_to_do(
    sections: list[Section], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Any:
        raise UserError("wandb=true needs the package wandb-workspaces")

    monkeypatch.setattr(dashboard, "_library", missing)
    with pytest.raises(UserError, match="needs the package"):
        dashboard.publish(sections, "ptune", None)

    class Refusing:
        def Report(self, **_: Any) -> Any:  # noqa: N802
            raise ConnectionError("no route")

    monkeypatch.setattr(dashboard, "_library", Refusing)
    with pytest.raises(UserError, match="ConnectionError: no route"):
        dashboard.publish(sections, "ptune", None)
