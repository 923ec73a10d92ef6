"""The W&B report as far as it goes without W&B: built, serialised, and refused with a reason."""

import pytest
from made_records import config, filled, result, seeds, write_run

from prompt_tuning.errors import UserError
from prompt_tuning.report import dashboard


@pytest.fixture
def artefacts(tmp_path):
    """One with a run, one without any."""
    write_run(tmp_path, config(), result(60.0, 60.0), name="mini_rte-0a1b2c3d")
    return [filled("fig3a_ladder", tmp_path, *seeds()), filled("fig3a", tmp_path)]


def test_panels_show_the_values_of_their_runs_summaries(tmp_path):
    """Under the names by which the commands log them."""
    transferred = {**result(60.0), "transfer": {"mrpc": result(50.0)}}
    write_run(tmp_path, config(), transferred, name="qqp-0")
    names = ("table2", "table3_ladder", "section7_ladder")
    transfer, votes, inspections = (filled(name, tmp_path, config()).panels for name in names)
    assert transfer.values == ["transfer/mrpc/score"]
    assert transfer.axes == ("method", "model.name", "task.name")
    assert votes.names == []  # no ensemble
    assert votes.values == ["average/score", "best/score", "ensemble/score"]
    assert "inspect/tightness" in inspections.values


def test_without_the_package_or_the_network_it_says_what_to_do(artefacts, monkeypatch):
    def missing():
        raise UserError("wandb=true needs the package wandb-workspaces")

    monkeypatch.setattr(dashboard, "_library", missing)
    with pytest.raises(UserError, match="needs the package"):
        dashboard.publish(artefacts, "ptune", None)

    class Refusing:
        def Report(self, **_):  # noqa: N802
            raise ConnectionError("no route")

    monkeypatch.setattr(dashboard, "_library", Refusing)
    with pytest.raises(UserError, match="ConnectionError: no route"):
        dashboard.publish(artefacts, "ptune", None)
