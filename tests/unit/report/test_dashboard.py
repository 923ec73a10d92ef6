"""The W&B report as far as it goes without W&B: built, serialised, and refused with a reason."""

import json
from pathlib import Path
from typing import Any

import pytest
from made_records import config, filled, result, seeds, write_run

from prompt_tuning.ensembling import ensemble_prompts as ensembles
from prompt_tuning.errors import UserError
from prompt_tuning.inspection import inspect_prompt as inspections
from prompt_tuning.report import dashboard
from prompt_tuning.report.artefact import Artefact, Panels
from prompt_tuning.training import outcome, walk


@pytest.fixture
def artefacts(tmp_path: Path) -> list[Artefact]:
    """One with a run, one without any."""
    write_run(tmp_path, config(), result(60.0, 60.0), name="mini_rte-0a1b2c3d")
    return [filled("fig3a_ladder", tmp_path, *seeds()), filled("fig3a", tmp_path)]


def test_the_report_groups_the_runs_of_a_figure_by_its_axes(
    artefacts: list[Artefact], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys are where tracking puts them: in the nested config and in the summary."""
    pytest.importorskip("wandb_workspaces", reason="the extra dashboard is not installed")
    from wandb_workspaces.reports.v2 import interface

    project = {"project": {"internalId": "x"}}
    monkeypatch.setattr(interface, "_get_api", lambda: None)
    monkeypatch.setattr(interface, "execute_graphql", lambda *_: project)
    report: Any = dashboard.make_report(artefacts, "ptune", "someone")
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


def test_panels_show_the_values_of_their_runs_summaries(tmp_path: Path) -> None:
    """Under the names by which the commands log them."""
    transferred = {**result(60.0), "transfer": {"mrpc": result(50.0)}}
    write_run(tmp_path, config(), transferred, name="qqp-0")

    def panels(name: str) -> Panels:
        return filled(name, tmp_path, config()).panels

    assert panels("table2").values == ["transfer/mrpc/score"]
    assert panels("table2").axes == ("method", "model.name", "task.name")
    assert panels("table3_ladder").names == []  # no ensemble
    assert panels("table3_ladder").values == ["average/score", "best/score", "ensemble/score"]
    assert "inspect/tightness" in panels("section7_ladder").values
    for module, text in (
        (outcome, 'f"transfer/{name}"'),
        (inspections, 'f"inspect/{name}"'),
        (ensembles, '"score"'),
        (walk, f'"{dashboard.PARAMETERS}"'),
    ):
        assert text in Path(module.__file__).read_text(encoding="utf-8")


def test_without_the_package_or_the_network_it_says_what_to_do(
    artefacts: list[Artefact], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Any:
        raise UserError("wandb=true needs the package wandb-workspaces")

    monkeypatch.setattr(dashboard, "_library", missing)
    with pytest.raises(UserError, match="needs the package"):
        dashboard.publish(artefacts, "ptune", None)

    class Refusing:
        def Report(self, **_: Any) -> Any:  # noqa: N802
            raise ConnectionError("no route")

    monkeypatch.setattr(dashboard, "_library", Refusing)
    with pytest.raises(UserError, match="ConnectionError: no route"):
        dashboard.publish(artefacts, "ptune", None)
