"""A plan is composed once: composing takes most of a report's time."""

from prompt_tuning.commands import report
from prompt_tuning.report.catalogue import chosen


def test_a_plan_is_composed_again_only_where_it_may_differ(monkeypatch, tmp_path):
    composed = []
    planned_runs = report.planned_runs
    monkeypatch.setattr(
        report, "planned_runs", lambda *sweep: (composed.append(sweep), planned_runs(*sweep))[1]
    )
    (artefact,) = chosen("table5_ladder")
    first = report.plan(artefact, ["model=ladder_100k", "seed=0"], tmp_path)
    assert first == report.plan(artefact, ["model=ladder_100k", "seed=0"], tmp_path)
    assert len(composed) == 1
    assert {run["model"]["name"] for run in first} == {"ladder_100k"}
    other = report.plan(artefact, ["model=ladder_100k", "seed=1"], tmp_path)
    assert {run["seed"] for run in other} == {1}
